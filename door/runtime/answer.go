package runtime

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/daruma-io/daruma"
)

const statusOK = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + `{"status":"OK"}`

// accepted answers 202, unless err says otherwise.
func (c *conn) accepted(err error) error {
	if err == nil {
		c.out = append(c.out, statusOK...)
	}
	return err
}

// answer adds an answer with a JSON body. fields are further header fields, each with its CRLF.
func (c *conn) answer(status int, fields string, data []byte) {
	o := c.out
	o = append(o, "HTTP/1.1 "...)
	o = strconv.AppendInt(o, int64(status), 10)
	o = append(o, ' ')
	o = append(o, http.StatusText(status)...)
	o = append(o, "\r\nContent-Type: application/json\r\n"...)
	o = append(o, fields...)
	o = append(o, "Content-Length: "...)
	o = strconv.AppendInt(o, int64(len(data)), 10)
	o = append(o, "\r\n\r\n"...)
	c.out = o
	c.out = append(c.out, data...)
}

// answerError adds an answer that refuses a request.
func (c *conn) answerError(status int, kind, reason string, end bool) {
	if kind == "" {
		kind = "InvalidRequest"
	}
	data, _ := json.Marshal(struct { // two strings cannot fail
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{reason, kind})
	fields := ""
	if end {
		fields = "Connection: close\r\n"
	}
	c.answer(status, fields, data)
}

// appendDelivery adds the head of the answer to next. Fields without a value are left out.
func appendDelivery(o []byte, d *daruma.Delivery) []byte {
	o = append(o, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "...)
	o = appendClean(o, d.ID)
	o = append(o, "\r\nLambda-Runtime-Deadline-Ms: "...)
	o = strconv.AppendInt(o, d.Deadline.UnixMilli(), 10)
	if d.ARN != "" {
		o = appendClean(append(o, "\r\nLambda-Runtime-Invoked-Function-Arn: "...), d.ARN)
	}
	if d.Trace != "" {
		o = appendClean(append(o, "\r\nLambda-Runtime-Trace-Id: "...), d.Trace)
	}
	if len(d.ClientContext) > 0 {
		o = appendClean(append(o, "\r\nLambda-Runtime-Client-Context: "...), d.ClientContext)
	}
	if len(d.Identity) > 0 {
		o = appendClean(append(o, "\r\nLambda-Runtime-Cognito-Identity: "...), d.Identity)
	}
	if d.Tenant != "" {
		o = appendClean(append(o, "\r\nLambda-Runtime-Aws-Tenant-Id: "...), d.Tenant)
	}
	o = append(o, "\r\nContent-Length: "...)
	o = strconv.AppendInt(o, int64(len(d.Payload)), 10)
	return append(o, "\r\n\r\n"...)
}

// appendClean adds a field's value. Control characters, which would end the
// field, become spaces: JSON has them only where they mean nothing.
func appendClean[T string | []byte](o []byte, v T) []byte {
	for i := range len(v) {
		if c := v[i]; c < ' ' || c == 0x7f {
			o = append(o, ' ')
		} else {
			o = append(o, c)
		}
	}
	return o
}

// appendExtensionEvent adds the whole answer to an extension's next.
func appendExtensionEvent(o []byte, e daruma.ExtensionEvent) []byte {
	type tracing struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	event := struct {
		EventType string   `json:"eventType"`
		Deadline  int64    `json:"deadlineMs"`
		RequestID string   `json:"requestId,omitempty"`
		ARN       string   `json:"invokedFunctionArn,omitempty"`
		Tracing   *tracing `json:"tracing,omitempty"`
		Reason    string   `json:"shutdownReason,omitempty"`
	}{EventType: "INVOKE", Deadline: e.Deadline, Reason: e.Shutdown}
	if e.Shutdown != "" {
		event.EventType = "SHUTDOWN"
	} else if e.Invoke != nil {
		event.RequestID, event.ARN = e.Invoke.ID, e.Invoke.ARN
		if e.Invoke.Trace != "" {
			event.Tracing = &tracing{"X-Amzn-Trace-Id", e.Invoke.Trace}
		}
	}
	data, _ := json.Marshal(event) // strings and numbers cannot fail
	o = append(o, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"...)
	if e.ID != "" {
		o = appendClean(append(o, "Lambda-Extension-Event-Identifier: "...), e.ID)
		o = append(o, "\r\n"...)
	}
	o = append(o, "Content-Length: "...)
	o = strconv.AppendInt(o, int64(len(data)), 10)
	o = append(o, "\r\n\r\n"...)
	return append(o, data...)
}
