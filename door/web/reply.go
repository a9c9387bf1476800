package web

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// A product is one of the three things this door speaks for; they differ in
// statuses, bodies and headers, and must not be mixed.
type product uint8

const (
	httpAPI product = iota
	restAPI
	functionURL
)

// product says whose rules the call is under.
func (c *call) product() product {
	switch {
	case c.to.url != nil, c.to.lost == urlLabel:
		return functionURL
	case c.to.lost == apiLabel, c.to.api != nil && c.to.api.Kind == catalog.REST:
		return restAPI
	}
	return httpAPI
}

const jsonType = "application/json"

// defaultType is the content type of an answer in which the function names none.
func (p product) defaultType(a *answer) string {
	if p == httpAPI && a.chosen {
		return "text/plain; charset=utf-8"
	}
	return jsonType
}

// stamp sets the headers that every answer of a product has.
func (c *call) stamp(h http.Header, p product) {
	switch p {
	case httpAPI:
		h["Apigw-Requestid"] = []string{c.extended}
	case restAPI:
		h["X-Amzn-Requestid"] = []string{c.request}
		h["X-Amz-Apigw-Id"] = []string{c.extended}
	case functionURL:
		h["X-Amzn-Requestid"] = []string{c.request}
	}
}

// send writes a function's answer.
func (c *call) send(w http.ResponseWriter, p product, a *answer) {
	h := w.Header()
	c.head(h, p, a)
	h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	if noBody(a.status) {
		delete(h, "Content-Length")
	}
	w.WriteHeader(a.status)
	if len(a.body) > 0 && !noBody(a.status) {
		deliver(w, a.body) // a client that went away is not ours to tell
	}
}

// noBody says whether a status has no body (RFC 9110, section 6.4.1).
func noBody(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// writeTime bounds how long a client may take to accept one piece of an answer.
const writeTime = 30 * time.Second

// smallBytes is what fits into a connection's buffers whatever the client does.
const smallBytes = 64 << 10

// deliver writes a body, and gives the client time for it but not for ever.
func deliver(w http.ResponseWriter, body []byte) {
	if len(body) <= smallBytes {
		w.Write(body)
		return
	}
	ctrl := http.NewResponseController(w)
	ctrl.SetWriteDeadline(time.Now().Add(writeTime + time.Duration(len(body)/(1<<20))*time.Second))
	w.Write(body)
	ctrl.Flush()
	ctrl.SetWriteDeadline(time.Time{}) // the connection may live on
}

// head sets every header of a function's answer but the body's length.
func (c *call) head(h http.Header, p product, a *answer) {
	for i := range a.headers {
		addField(h, p, &a.headers[i])
	}
	if len(a.cookies) > 0 {
		h["Set-Cookie"] = append(h["Set-Cookie"], a.cookies...)
	}
	if h["Content-Type"] == nil && !noBody(a.status) {
		h["Content-Type"] = []string{p.defaultType(a)}
	}
	c.stamp(h, p)
	c.name(h, p)
	c.span.Status = a.status
	if cors := c.to.cors(); cors != nil {
		cors.apply(h, c.r.Header.Get("Origin"))
	}
}

// cors returns the configuration the door answers for, or nil.
func (to *aim) cors() *cors {
	if to.url != nil {
		return to.url.cors
	}
	if to.api != nil {
		return to.api.cors
	}
	return nil
}

// addField adds one header of a function's answer. Names keep the function's
// spelling but for those that net/http acts on. What describes the connection
// or the framing is never forwarded; REST APIs and function URLs give some of
// it another name (Developer Guide, "Amazon API Gateway important notes").
func addField(h http.Header, p product, f *field) {
	name := textproto.CanonicalMIMEHeaderKey(f.name)
	switch name {
	case "Transfer-Encoding", "Keep-Alive", "Proxy-Connection", "Te":
		return
	case "Content-Length", "Connection", "Date", "Server":
		if p != httpAPI {
			h[remapped+f.name] = append(h[remapped+f.name], f.value)
			return
		}
		if name == "Content-Length" || name == "Connection" {
			return
		}
	case "Authorization", "Content-Md5", "Expect", "Host", "Max-Forwards", "Proxy-Authenticate", "Trailer", "Upgrade", "User-Agent", "Www-Authenticate":
		if p != httpAPI {
			h[remapped+f.name] = append(h[remapped+f.name], f.value)
			return
		}
		if name == "Trailer" || name == "Upgrade" {
			return
		}
	case "X-Amzn-Requestid", "X-Amz-Apigw-Id", "Apigw-Requestid":
		if p == restAPI {
			h[remapped+f.name] = append(h[remapped+f.name], f.value)
		}
		return
	case "Content-Type":
		h[name] = []string{f.value}
		return
	case "Set-Cookie", "Vary", "Content-Encoding", daruma.TraceHeader, daruma.TraceParentHeader:
	default:
		name = f.name
	}
	h[name] = append(h[name], f.value)
}

const remapped = "x-amzn-Remapped-"

// A refusal is an answer that the door gives instead of a function's.
type refusal struct {
	status int
	kind   string // x-amzn-ErrorType; HTTP APIs have none
	body   string
}

// refuse writes a refusal.
func (c *call) refuse(w http.ResponseWriter, p product, why refusal) {
	h := w.Header()
	c.stamp(h, p)
	c.name(h, p)
	c.span.Status = why.status
	if why.kind != "" && p != httpAPI {
		h["X-Amzn-Errortype"] = []string{why.kind}
	}
	h["Content-Type"] = []string{jsonType}
	if !strings.HasPrefix(why.body, "{") {
		h["Content-Type"] = []string{"text/plain"}
	}
	if cors := c.to.cors(); cors != nil && c.r != nil {
		cors.apply(h, c.r.Header.Get("Origin"))
	}
	h["Content-Length"] = []string{strconv.Itoa(len(why.body))}
	w.WriteHeader(why.status)
	w.Write([]byte(why.body))
}
