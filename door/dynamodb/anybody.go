package dynamodb

import (
	"encoding/json"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Requests that nobody signed and that ask for no operation: whether the
// service is well, what a browser may send, and mistakes. The service answers
// them before it asks who somebody is.

// preflightSeconds is for how long a browser may remember what it may send.
const preflightSeconds = "172800"

// lookedIntoBytesMax is how far a body is looked into whose sender nobody knows.
const lookedIntoBytesMax = 64 << 10

// IsForAnybody says whether a request is answered by [Door.ServeAnybody]. One
// for another service is not: its host, its target or its protocol says whose it is.
func (d *Door) IsForAnybody(r *http.Request) bool {
	if isPreflight(r) {
		return r.URL.Path == "/" && isOurs(r.Host)
	}
	if len(r.Header["Authorization"]) > 0 || r.URL.Path != "/" || r.URL.RawQuery != "" || !isOurs(r.Host) {
		return false
	}
	if r.Method != http.MethodPost {
		return true
	}
	if asked := r.Header.Get("X-Amz-Target"); asked != "" {
		name, ours := strings.CutPrefix(asked, target)
		return !strings.Contains(asked, ".") || ours && d.operations[asked] == nil && !strings.Contains(absentOperations, " "+name+" ")
	}
	return r.Header.Get("Smithy-Protocol") == "" && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// isPreflight says whether a browser asks what a page may send.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != ""
}

// isOurs says whether a host is no other service's.
func isOurs(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	name, cloud := strings.CutSuffix(host, ".amazonaws.com")
	return !cloud || strings.HasPrefix(name, "dynamodb.") || strings.HasPrefix(name, "streams.dynamodb.") || strings.Contains(name, ".ddb.")
}

// ServeAnybody answers what [Door.IsForAnybody] lets in.
func (d *Door) ServeAnybody(w http.ResponseWriter, r *http.Request) {
	head, _ := io.ReadAll(io.LimitReader(r.Body, lookedIntoBytesMax)) // what breaks off is no JSON
	_, _ = io.CopyN(io.Discard, r.Body, bodyBytesMax)                 // who still sends would not see the answer
	h := w.Header()
	h.Set("X-Amzn-Requestid", requestID(h.Get("X-Amzn-Requestid")))
	share(h, r)
	switch kind, isJSON := jsonType(r, head); {
	case isPreflight(r):
		h.Set("Access-Control-Max-Age", preflightSeconds)
		for _, of := range [...]string{"Headers", "Method"} {
			if asked := r.Header.Get("Access-Control-Request-" + of); asked != "" {
				h.Set("Access-Control-Allow-"+strings.TrimSuffix(of, "s")+"s", asked)
			}
		}
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	case r.ContentLength > bodyBytesMax:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		tell(w, http.StatusOK, "text/plain", "healthy: dynamodb."+d.cfg.Region+".amazonaws.com ")
	case r.Method != http.MethodPost || !isJSON:
		tell(w, http.StatusNotFound, "text/plain", "<UnknownOperationException/>\n")
	case len(head) > 0 && !json.Valid(head):
		tell(w, http.StatusBadRequest, kind, `{"__type":"`+framework+`SerializationException"}`)
	default:
		tell(w, http.StatusBadRequest, kind, `{"__type":"`+framework+`UnknownOperationException"}`)
	}
}

// jsonType is the type in which a request is answered that comes in JSON, or
// that has neither a body nor a type.
func jsonType(r *http.Request, body []byte) (string, bool) {
	asked, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.TrimSpace(asked) {
	case "application/json", "application/x-amz-json-1.0":
		return contentType(r), true
	}
	return contentType(r), asked == "" && len(body) == 0
}

// tell answers with a text and its checksum.
func tell(w http.ResponseWriter, status int, kind, text string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(text))), 10))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// share lets a page of any origin read an answer, as the service does: who
// asked has signed, or learns nothing.
func share(h http.Header, r *http.Request) {
	if r.Header.Get("Origin") == "" {
		return
	}
	h["Access-Control-Allow-Origin"] = []string{"*"}
	h["Access-Control-Expose-Headers"] = []string{"x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date"}
}
