package wire

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// What a payload's hash may be instead of a hash. Only S3 takes it (Amazon S3
// API Reference, "Authenticating Requests").
const unsignedPayload = "UNSIGNED-PAYLOAD"

// appendCanonical appends the canonical request (AWS Signature Version 4,
// "Create a canonical request"). It returns false when a header that should be
// signed is not there, or the query can be read in two ways.
func appendCanonical(b []byte, r *http.Request, c *claim, path, payload string) ([]byte, bool) {
	b = append(b, r.Method...)
	b = append(b, '\n')
	if isS3(c.service) {
		b = append(b, path...) // S3 escapes once, and the wire has done it
	} else {
		b = appendEscaped(b, path, true)
	}
	b = append(b, '\n')
	b, ok := appendQuery(b, r.URL.RawQuery)
	if !ok {
		return b, false
	}
	b = append(b, '\n')
	for name := range strings.SplitSeq(c.headers, ";") {
		b = append(b, name...)
		b = append(b, ':')
		if b, ok = appendHeader(b, r, name); !ok {
			return b, false
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, c.headers...)
	b = append(b, '\n')
	return append(b, payload...), true
}

// appendHeader appends the values of one header: trimmed, runs of spaces made
// one, joined by commas in the order they came.
func appendHeader(b []byte, r *http.Request, name string) ([]byte, bool) {
	switch name {
	case "host":
		return appendTrimmed(b, r.Host), true
	case "content-length":
		return strconv.AppendInt(b, r.ContentLength, 10), r.ContentLength >= 0
	}
	values, ok := r.Header[headerKey(name)]
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return b, ok
}

func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue
		}
		b = append(b, v[i])
	}
	return b
}

// headerKey is http.CanonicalHeaderKey, without work for what every SDK signs.
func headerKey(name string) string {
	switch name {
	case "x-amz-date":
		return "X-Amz-Date"
	case "x-amz-security-token":
		return "X-Amz-Security-Token"
	case "x-amz-content-sha256":
		return "X-Amz-Content-Sha256"
	case "x-amz-target":
		return "X-Amz-Target"
	case "x-amz-invocation-type":
		return "X-Amz-Invocation-Type"
	case "x-amz-log-type":
		return "X-Amz-Log-Type"
	case "amz-sdk-invocation-id":
		return "Amz-Sdk-Invocation-Id"
	case "amz-sdk-request":
		return "Amz-Sdk-Request"
	}
	return http.CanonicalHeaderKey(name)
}

// appendQuery appends the query in canonical form: every name and value
// escaped anew, sorted by name and then by value, the signature left out. It
// returns false for what url.ParseQuery would drop: what is signed and what is
// acted on must be the same.
func appendQuery(b []byte, raw string) ([]byte, bool) {
	if raw == "" {
		return b, true
	}
	type pair struct{ name, value string }
	var some [16]pair
	pairs := some[:0]
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		if part == "" || name == "X-Amz-Signature" {
			continue
		}
		n, ok1 := reescape(name)
		v, ok2 := reescape(value)
		if !ok1 || !ok2 {
			return b, false
		}
		pairs = append(pairs, pair{n, v})
	}
	slices.SortFunc(pairs, func(p, q pair) int {
		if n := strings.Compare(p.name, q.name); n != 0 {
			return n
		}
		return strings.Compare(p.value, q.value)
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b, true
}

// reescape undoes whatever escaping the client used and escapes as the
// signature demands.
func reescape(s string) (string, bool) {
	plain := true
	for i := range len(s) {
		plain = plain && unreserved(s[i])
	}
	if plain {
		return s, true
	}
	u, err := url.QueryUnescape(s)
	if err != nil || strings.Contains(s, ";") {
		return "", false
	}
	return string(appendEscaped(make([]byte, 0, len(u)+16), u, false)), true
}

// appendEscaped percent-encodes everything but RFC 3986's unreserved
// characters and, when asked to, the slash.
func appendEscaped(b []byte, s string, keepSlash bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; unreserved(c) || c == '/' && keepSlash {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

// wirePath returns the request's path as it was sent.
func wirePath(r *http.Request) string {
	path := r.RequestURI
	if !strings.HasPrefix(path, "/") {
		path = r.URL.EscapedPath()
	}
	path, _, _ = strings.Cut(path, "?")
	if path == "" {
		return "/"
	}
	return path
}

// normalPath resolves "." and ".." and drops empty segments. Services other
// than S3 sign the path in this form, so it is also the one they are given.
func normalPath(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	last := ""
	for seg := range strings.SplitSeq(path, "/") {
		switch last = seg; seg {
		case "", ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, seg)
		}
	}
	out := "/" + strings.Join(kept, "/")
	if (last == "" || last == "." || last == "..") && len(kept) > 0 {
		out += "/"
	}
	return out
}

// isS3 says whether a service signs as S3 does: path as sent, payload optional.
func isS3(service string) bool { return strings.HasPrefix(service, "s3") }
