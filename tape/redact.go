package tape

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// secretHeaders are the headers whose values are never kept.
var secretHeaders = []string{
	"authorization", "proxy-authorization", "cookie", "set-cookie", "x-amz-security-token", "x-api-key", "api-key", "x-auth-token",
	"x-access-token", "x-goog-api-key", "x-csrf-token", "x-vault-token", "private-token", "www-authenticate", "proxy-authenticate",
}

// secretParameters are the query's parameters whose values are never kept.
// Those of AWS's presigned URLs differ each time, besides.
var secretParameters = []string{
	"x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-amz-date", "x-amz-expires", "signature", "sig",
	"access_token", "token", "api_key", "apikey", "key", "secret", "password", "client_secret", "refresh_token", "id_token", "code",
}

// addressHeaders are the headers whose values are addresses.
var addressHeaders = []string{"location", "content-location", "referer"}

// formType is the media type of forms.
const formType = "application/x-www-form-urlencoded"

// plainBytesMax is how much of a compressed body is looked into.
const plainBytesMax = 16 << 20

// A redactor leaves secrets out. names are in lower case.
type redactor struct{ names []string }

func newRedactor(names []string) redactor {
	r := redactor{}
	for _, n := range names {
		r.names = append(r.names, strings.ToLower(n))
	}
	return r
}

func (r redactor) secret(name string, known []string) bool {
	name = strings.ToLower(name)
	return slices.Contains(known, name) || slices.Contains(r.names, name)
}

// header returns a copy without secrets, and without what is over the limit.
func (r redactor) header(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	out := http.Header{}
	left := headerBytesMax
	for name, values := range h {
		for _, v := range values {
			if r.secret(name, secretHeaders) {
				v = Redacted
			} else if slices.Contains(addressHeaders, strings.ToLower(name)) {
				v = r.address(v)
			}
			if left -= len(name) + len(v); left < 0 {
				return out
			}
			out[name] = append(out[name], v)
		}
	}
	return out
}

// query returns a raw query without the values of secrets, its order kept.
func (r redactor) query(raw string) string {
	if raw == "" {
		return ""
	}
	parts := strings.Split(raw, "&")
	for i, p := range parts {
		name, _, ok := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err == nil && ok && r.secret(plain, secretParameters) {
			parts[i] = name + "=" + url.QueryEscape(Redacted)
		}
	}
	return strings.Join(parts, "&")
}

// address returns an address, or what begins like a path, without the values
// of secrets in its query and in its fragment.
func (r redactor) address(text string) string {
	text, fragment, hasFragment := strings.Cut(text, "#")
	if at, query, ok := strings.Cut(text, "?"); ok {
		text = at + "?" + r.query(query)
	}
	if hasFragment {
		text += "#" + r.query(fragment)
	}
	return text
}

// bodies takes the values of members with the given names out of a body, see
// body, and out of one that is compressed: what cannot be looked into though it
// says that it is JSON or a form is left out whole. The header may be another
// one then.
func (r redactor) bodies(h http.Header, b []byte) (http.Header, []byte) {
	if len(r.names) == 0 || len(b) == 0 {
		return h, b
	}
	kind := strings.ToLower(h.Get("Content-Type"))
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))) {
	case "", "identity":
		return h, r.body(kind, b)
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			break
		}
		// An error is that of a body that was cut: it has no more than this.
		plain, _ := io.ReadAll(io.LimitReader(z, plainBytesMax+1))
		if len(plain) > plainBytesMax {
			break
		}
		clean := r.body(kind, plain)
		if bytes.Equal(clean, plain) {
			return h, b
		}
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err = w.Write(clean)
		if errors.Join(err, w.Close()) != nil {
			break
		}
		return h, out.Bytes()
	default:
		if !strings.Contains(kind, "json") && !strings.HasPrefix(kind, formType) {
			return h, b
		}
	}
	h = h.Clone()
	h.Del("Content-Encoding")
	return h, []byte(Redacted)
}

// body returns a body without the values of members with the given names: of
// JSON at any depth, of several values one after another, of JSON that is text
// within them, and of a form. What begins like JSON and has such a name, but
// cannot be read to its end, is left out whole. Another kind of body is
// returned as it is.
func (r redactor) body(kind string, b []byte) []byte {
	if !r.mentioned(b) {
		return b
	}
	if strings.HasPrefix(kind, formType) {
		return []byte(r.form(string(b)))
	}
	if clean, ok := r.json(b); ok {
		return clean
	}
	if strings.Contains(kind, "json") || likeJSON(b) {
		return []byte(Redacted)
	}
	return b
}

// json returns JSON values, a line each, without those of the given names.
func (r redactor) json(b []byte) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	for {
		var v any
		if err := d.Decode(&v); err != nil {
			return bytes.TrimRight(out.Bytes(), "\n"), err == io.EOF && out.Len() > 0
		}
		if e.Encode(r.value(v)) != nil {
			return nil, false
		}
	}
}

// likeJSON says whether a text begins like an object or a list.
func likeJSON(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

func (r redactor) form(raw string) string {
	parts := strings.Split(raw, "&")
	for i, p := range parts {
		name, value, ok := strings.Cut(p, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil || !ok {
			continue
		}
		if r.secret(plain, nil) {
			parts[i] = name + "=" + url.QueryEscape(Redacted)
		} else if text, err := url.QueryUnescape(value); err == nil && r.text(text) != text {
			parts[i] = name + "=" + url.QueryEscape(r.text(text))
		}
	}
	return strings.Join(parts, "&")
}

// text returns a text, or, when it is JSON that has one of the names, that
// without their values.
func (r redactor) text(s string) string {
	if b := []byte(s); likeJSON(b) && r.mentioned(b) {
		if clean, ok := r.json(b); ok {
			return string(clean)
		}
	}
	return s
}

func (r redactor) mentioned(b []byte) bool {
	lower := bytes.ToLower(b)
	return slices.ContainsFunc(r.names, func(n string) bool { return bytes.Contains(lower, []byte(n)) })
}

func (r redactor) value(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if r.secret(name, nil) {
				v[name] = Redacted
			} else {
				v[name] = r.value(inner)
			}
		}
	case []any:
		for i := range v {
			v[i] = r.value(v[i])
		}
	case string:
		return r.text(v)
	}
	return v
}
