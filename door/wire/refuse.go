package wire

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"
)

// An Error is an answer that refuses a request. [Refuse] gives it the shape of
// the request's protocol.
type Error struct {
	Status     int
	Code       string // "ResourceNotFoundException"
	Message    string
	MessageKey string      // rest-json only: "Message" where the service's model says so; "message" when ""
	Members    [][2]string // rest-json only: further members, in order, before the message
	Query      string      // the code in the query protocol, where it is another

	fault     fault  // of the gate; decides Status and Code in each protocol
	namespace string // before Code in the protocols with a target
	mark      func(h http.Header, r *Request, body []byte)
	closes    bool // the connection cannot be used any further
}

// Error returns the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// A fault is what the gate finds wrong; its name differs between protocols.
type fault uint8

const (
	noFault fault = iota
	missing
	incomplete
	unknownKey
	expiredToken
	mismatch
	skewed
	badPayload
	unsupported
)

// faults names each fault in the JSON and CBOR protocols and rest-json, in the
// query protocol, and in S3 (Common Errors in each service's API reference).
// The JSON protocols answer all of them with 400; the others with 403, but for
// what is not supported: a 400, since some SDKs try every 5xx again.
var faults = [...]struct {
	json, query, s3 string
	status          int
}{
	missing:      {"MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied", 403},
	incomplete:   {"IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed", 403},
	unknownKey:   {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", 403},
	expiredToken: {"ExpiredTokenException", "ExpiredToken", "ExpiredToken", 403},
	mismatch:     {"InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch", 403},
	skewed:       {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed", 403},
	badPayload:   {"InvalidSignatureException", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch", 403},
	unsupported:  {"UnsupportedOperationException", "UnsupportedOperation", "NotImplemented", 400},
}

func (f fault) error(message string) *Error {
	return &Error{Status: faults[f].status, Code: faults[f].json, Message: message, fault: f}
}

// Refuse answers r with e, in the error shape of the protocol r came in.
func Refuse(w http.ResponseWriter, r *Request, e *Error) {
	p := protocolOf(r.HTTP, r.Service)
	status, code := e.Status, e.Code
	if e.fault != noFault {
		switch p {
		case queryXML, ec2XML, restXML:
			code = faults[e.fault].query
		case s3XML:
			code = faults[e.fault].s3
		case json10, json11, cbor:
			status = http.StatusBadRequest
		}
	}
	if e.Query != "" && (p == queryXML || p == ec2XML || p == restXML) {
		code = e.Query
	}
	h := w.Header()
	var body []byte
	switch p {
	case json10, json11:
		h["Content-Type"] = []string{"application/x-amz-json-1.0"}
		if p == json11 {
			h["Content-Type"] = []string{"application/x-amz-json-1.1"}
		}
		e.queryMode(h, r, code, status)
		body = jsonObject([][2]string{{"__type", e.namespace + code}}, "message", e.Message)
	case cbor:
		h["Content-Type"], h["Smithy-Protocol"] = []string{"application/cbor"}, []string{"rpc-v2-cbor"}
		e.queryMode(h, r, code, status)
		body = cborError(code, e.Message)
	case queryXML, restXML:
		h["Content-Type"] = []string{"text/xml"}
		body = []byte("<ErrorResponse><Error><Type>" + blame(status) + "</Type>" + element("Code", code) + element("Message", e.Message) + "</Error>" + element("RequestId", r.ID) + "</ErrorResponse>")
	case ec2XML:
		h["Content-Type"] = []string{"text/xml;charset=UTF-8"}
		body = []byte(xml.Header + "<Response><Errors><Error>" + element("Code", code) + element("Message", e.Message) + "</Error></Errors>" + element("RequestID", r.ID) + "</Response>")
	case s3XML:
		h["Content-Type"], h["X-Amz-Request-Id"] = []string{"application/xml"}, []string{r.ID}
		body = []byte(xml.Header + "<Error>" + element("Code", code) + element("Message", e.Message) + element("RequestId", r.ID) + "</Error>")
	default:
		h["Content-Type"], h["X-Amzn-Errortype"] = []string{"application/json"}, []string{code}
		key := e.MessageKey
		if key == "" {
			key = "message"
		}
		body = jsonObject(e.Members, key, e.Message)
	}
	if e.mark != nil {
		e.mark(h, r, body)
	}
	w.WriteHeader(status)
	w.Write(body)
}

// queryMode tells those who ask for it what the code is in the query protocol.
func (e *Error) queryMode(h http.Header, r *Request, code string, status int) {
	if r.HTTP.Header.Get("X-Amzn-Query-Mode") != "true" {
		return
	}
	query := strings.TrimSuffix(code, "Exception")
	if e.fault != noFault { // SDKs tell by it that their clock is wrong
		query = faults[e.fault].query
	}
	h["X-Amzn-Query-Error"] = []string{cmp.Or(e.Query, query) + ";" + blame(status)}
}

// blame is whose fault a status is, in the query protocol's words.
func blame(status int) string {
	if status >= 500 {
		return "Receiver"
	}
	return "Sender"
}

// jsonObject writes members in their order, and then the message.
func jsonObject(members [][2]string, key, message string) []byte {
	b := []byte{'{'}
	for _, m := range append(members[:len(members):len(members)], [2]string{key, message}) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, quoted(m[0])...)
		b = append(b, ':')
		b = append(b, quoted(m[1])...)
	}
	return append(b, '}')
}

func quoted(s string) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

func element(name, text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return "<" + name + ">" + b.String() + "</" + name + ">"
}

// cborError encodes {"__type": code, "message": message} (RFC 8949: a map of
// two, of text strings).
func cborError(code, message string) []byte {
	b := []byte{0xa2}
	for _, s := range [...]string{"__type", code, "message", message} {
		s = s[:min(len(s), 0xffff)]
		b = append(b, 0x79, byte(len(s)>>8), byte(len(s)))
		b = append(b, s...)
	}
	return b
}
