package runtime

import (
	"bytes"
)

// A request is the head of one request. Its slices point into the
// connection's buffer and are good until more of the body is read.
type request struct {
	method, path []byte // path has no query
	length       int64  // of the body, when it is not chunked
	chunked      bool
	expect       bool // the client waits for 100 Continue
	close        bool // the connection ends with this request

	contentType, errorType, mode                []byte
	extension, identifier, features, exitReason []byte
}

// A badRequest is a head that is not HTTP/1.x as this door speaks it.
type badRequest struct {
	status int
	reason string
}

func (e *badRequest) Error() string { return e.reason }

var (
	errMalformed = &badRequest{400, "malformed request"}
	errVersion   = &badRequest{505, "HTTP version not supported"}
	errHeader    = &badRequest{431, "request header too large"}
	errCoding    = &badRequest{501, "transfer coding not supported"}
)

// parse reads one head from the front of b into r and returns its length; 0
// means that more bytes are needed. Lines end in CRLF; a head with two
// lengths, a folded line or a control character is malformed.
func parse(b []byte, r *request) (int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) >= headerBytesMax {
			return 0, errHeader
		}
		return 0, nil
	}
	if end > headerBytesMax {
		return 0, errHeader
	}
	*r = request{length: -1}
	rest := b[:end+2]
	eol := bytes.IndexByte(rest, '\r')
	if err := r.line(rest[:eol]); err != nil {
		return 0, err
	}
	for fields := 0; ; fields++ {
		if len(rest) < eol+2 || rest[eol+1] != '\n' {
			return 0, errMalformed
		}
		rest = rest[eol+2:]
		if len(rest) == 0 {
			break
		}
		if fields == headerFieldsMax {
			return 0, errHeader
		}
		eol = bytes.IndexByte(rest, '\r')
		colon := bytes.IndexByte(rest[:eol], ':')
		if colon <= 0 || !token(rest[:colon]) || bytes.IndexByte(rest[:eol], '\n') >= 0 || bytes.IndexByte(rest[:eol], 0) >= 0 {
			return 0, errMalformed
		}
		if err := r.field(rest[:colon], trim(rest[colon+1:eol])); err != nil {
			return 0, err
		}
	}
	if r.chunked && r.length >= 0 {
		return 0, errMalformed
	}
	r.length = max(r.length, 0)
	return end + 4, nil
}

// line takes the request line.
func (r *request) line(b []byte) error {
	first, last := bytes.IndexByte(b, ' '), bytes.LastIndexByte(b, ' ')
	if first <= 0 || last <= first+1 || !token(b[:first]) {
		return errMalformed
	}
	switch string(b[last+1:]) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		r.close = true
	default:
		if bytes.HasPrefix(b[last+1:], []byte("HTTP/")) {
			return errVersion
		}
		return errMalformed
	}
	r.method, r.path = b[:first], b[first+1:last]
	if bytes.HasPrefix(r.path, []byte("http://")) { // as a client behind a proxy asks
		slash := bytes.IndexByte(r.path[7:], '/')
		if slash < 0 {
			return errMalformed
		}
		r.path = r.path[7+slash:]
	}
	if q := bytes.IndexByte(r.path, '?'); q >= 0 {
		r.path = r.path[:q]
	}
	if len(r.path) == 0 || r.path[0] != '/' {
		return errMalformed
	}
	for _, c := range r.path {
		if c <= ' ' || c == 0x7f {
			return errMalformed
		}
	}
	return nil
}

// field takes one header field; those nobody needs are left alone.
func (r *request) field(name, value []byte) error {
	switch len(name) {
	case 6:
		if is(name, "expect") {
			r.expect = is(value, "100-continue")
		}
	case 10:
		if is(name, "connection") && has(value, "close") {
			r.close = true
		}
	case 12:
		if is(name, "content-type") {
			r.contentType = value
		}
	case 14:
		if is(name, "content-length") {
			n, ok := decimal(value)
			if !ok || r.length >= 0 && r.length != n {
				return errMalformed
			}
			r.length = n
		}
	case 17:
		if is(name, "transfer-encoding") {
			if !is(value, "chunked") || r.chunked {
				return errCoding
			}
			r.chunked = true
		}
	default:
		if len(name) > 17 && name[0]|0x20 == 'l' {
			r.lambda(name, value)
		}
	}
	return nil
}

// lambda takes a field whose name may start with Lambda-.
func (r *request) lambda(name, value []byte) {
	switch {
	case is(name, "lambda-runtime-function-error-type"):
		r.errorType = value
	case is(name, "lambda-runtime-function-response-mode"):
		r.mode = value
	case is(name, "lambda-extension-name"):
		r.extension = value
	case is(name, "lambda-extension-identifier"):
		r.identifier = value
	case is(name, "lambda-extension-accept-feature"):
		r.features = value
	case is(name, "lambda-extension-function-error-type"):
		r.exitReason = value
	}
}

// is compares b with lower, ignoring the case of ASCII letters.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// has says whether word is one of the comma-separated words of b.
func has(b []byte, word string) bool {
	for part := range bytes.SplitSeq(b, []byte(",")) {
		if is(trim(part), word) {
			return true
		}
	}
	return false
}

// trim cuts spaces and tabs off both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// token says whether b can be a method or a field's name.
func token(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == ':' || c == '(' || c == ')' || c == '"' || c == '/' {
			return false
		}
	}
	return len(b) > 0
}

// decimal reads a length of at most 15 digits.
func decimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// hexadecimal reads a chunk's length of at most 8 digits.
func hexadecimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int64(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
