package tape

import (
	"bytes"
	"encoding/json"
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

// body returns a body without the values of members with the given names: of
// JSON at any depth, and of a form. Another kind of body is returned as it is.
func (r redactor) body(contentType string, b []byte) []byte {
	if len(r.names) == 0 || len(b) == 0 || !r.mentioned(b) {
		return b
	}
	if strings.HasPrefix(contentType, "application/x-www-form-urlencoded") {
		return []byte(redactor{r.names}.form(string(b)))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return b
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(r.value(v)) != nil {
		return b
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

func (r redactor) form(raw string) string {
	parts := strings.Split(raw, "&")
	for i, p := range parts {
		name, _, ok := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err == nil && ok && r.secret(plain, nil) {
			parts[i] = name + "=" + url.QueryEscape(Redacted)
		}
	}
	return strings.Join(parts, "&")
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
	}
	return v
}
