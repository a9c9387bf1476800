package wire

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// algorithm is the one way of signing that is understood here (Signature
// Version 4; not 4A, not version 2, not bearer tokens).
const algorithm = "AWS4-HMAC-SHA256"

const (
	amzTime   = "20060102T150405Z"
	terminal  = "aws4_request"
	skewMax   = 15 * time.Minute
	expiryMax = 7 * 24 * time.Hour
	// signedHeadersMax bounds the names in SignedHeaders.
	signedHeadersMax = 64
)

// A claim is what a request says of its own signature: parsed, not yet believed.
type claim struct {
	accessKey string
	date      string // of the scope: 20150830
	region    string
	service   string
	scope     string // date/region/service/aws4_request
	headers   string // SignedHeaders: a;b;c
	signature string // 64 hexadecimal digits

	at        time.Time // when it was signed
	stamp     string    // the same as it stands in the string to sign
	token     string    // session token, or ""
	presigned bool
	expires   time.Duration // presigned: how long after at it is good
}

// parse finds the signature in a request's headers or its query. A claim it
// finds no error in is well formed; a request with none, with two, or with one
// of another kind is an error.
func (c *claim) parse(r *http.Request) *Error {
	auth, query := r.Header["Authorization"], r.URL.RawQuery
	switch {
	case len(auth) == 0 && hasAlgorithm(query):
		return c.parsePresigned(r)
	case len(auth) == 0 || len(auth) == 1 && !hasAlgorithm(query) && !strings.HasPrefix(auth[0], "AWS4-"):
		return missing.error("Missing Authentication Token")
	case len(auth) == 1 && hasAlgorithm(query):
		return mismatch.error("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	case len(auth) > 1 || strings.Contains(query, "X-Amz-Signature=") || strings.Contains(query, "X-Amz-Credential="):
		return incomplete.error("Only one way of authenticating may be used at a time.")
	}
	err := c.parseSigned(auth[0], r)
	if err != nil {
		if text := lacking(auth[0], r.Header); text != "" {
			return incomplete.error(text)
		}
	}
	return err
}

// parseSigned reads the signature of an Authorization header, and what belongs to it.
func (c *claim) parseSigned(auth string, r *http.Request) *Error {
	if err := c.parseHeader(auth); err != nil {
		return err
	}
	if tokens := r.Header["X-Amz-Security-Token"]; len(tokens) > 1 {
		return incomplete.error("X-Amz-Security-Token was sent more than once.")
	} else if len(tokens) == 1 {
		c.token = tokens[0]
	}
	if err := c.parseTime(r); err != nil {
		return err
	}
	return c.check()
}

// hasAlgorithm says whether a query names the way in which it is signed.
func hasAlgorithm(query string) bool {
	const name = "X-Amz-Algorithm"
	for part := range strings.SplitSeq(query, "&") {
		if rest, ok := strings.CutPrefix(part, name); ok && (rest == "" || rest[0] == '=') {
			return true
		}
	}
	return false
}

// lacking says what an Authorization header, and those beside it, lack; "" when
// that is nothing.
func lacking(auth string, beside http.Header) string {
	has := map[string]bool{}
	for _, part := range strings.FieldsFunc(auth, func(c rune) bool { return c == ' ' || c == ',' }) {
		if name, value, _ := strings.Cut(part, "="); value != "" {
			has[name] = true
		}
	}
	var text strings.Builder
	for _, name := range [...]string{"Credential", "Signature", "SignedHeaders"} {
		if !has[name] {
			text.WriteString("Authorization header requires '" + name + "' parameter. ")
		}
	}
	if len(beside["X-Amz-Date"]) == 0 && len(beside["Date"]) == 0 {
		text.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if text.Len() > 0 {
		text.WriteString("Authorization=" + auth)
	}
	return text.String()
}

// parseHeader takes an Authorization header apart.
func (c *claim) parseHeader(auth string) *Error {
	rest, ok := strings.CutPrefix(auth, algorithm)
	if !ok || rest == "" || rest[0] != ' ' {
		return incomplete.error("Authorization header requires the '" + algorithm + "' algorithm.")
	}
	var credential string
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var into *string
		switch name {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &c.headers
		case "Signature":
			into = &c.signature
		default:
			return incomplete.error("Authorization header has a part that is not Credential, SignedHeaders or Signature.")
		}
		if *into != "" {
			return incomplete.error("Authorization header has '" + name + "' twice.")
		}
		*into = value
	}
	return c.parseCredential(credential)
}

// parseCredential takes KEY/date/region/service/aws4_request apart.
func (c *claim) parseCredential(s string) *Error {
	key, scope, _ := strings.Cut(s, "/")
	c.accessKey, c.scope = key, scope
	var end string
	c.date, scope, _ = strings.Cut(scope, "/")
	c.region, scope, _ = strings.Cut(scope, "/")
	c.service, end, _ = strings.Cut(scope, "/")
	if key == "" || len(key) > 128 || c.date == "" || c.region == "" || c.service == "" || end == "" {
		return incomplete.error("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	if end != terminal {
		return mismatch.error("Credential should be scoped with a valid terminator: 'aws4_request'.")
	}
	return nil
}

// parseTime reads when a request was signed: X-Amz-Date, or else Date.
func (c *claim) parseTime(r *http.Request) *Error {
	values, name := r.Header["X-Amz-Date"], "x-amz-date"
	if len(values) == 0 {
		values, name = r.Header["Date"], "date"
	}
	if len(values) != 1 || !signs(c.headers, name) {
		return incomplete.error("The date must be sent once, and signed.")
	}
	at, err := parseStamp(values[0])
	if err != nil && name == "date" {
		at, err = http.ParseTime(values[0])
	}
	if err != nil {
		return incomplete.error("Date must be in ISO-8601 'basic format'.")
	}
	c.at, c.stamp = at.UTC(), values[0]
	if name == "date" {
		c.stamp = c.at.Format(amzTime)
	}
	return nil
}

// parseStamp reads a time as it is signed: 20150830T123600Z. It is time.Parse,
// without its work for what every client sends.
func parseStamp(s string) (time.Time, error) {
	if len(s) != len(amzTime) || s[8] != 'T' || s[15] != 'Z' {
		return time.Parse(amzTime, s)
	}
	var n [6]int // year, month, day, hour, minute, second
	for i, at := range [...]int{0, 4, 6, 9, 11, 13} {
		width := 2
		if i == 0 {
			width = 4
		}
		for _, d := range []byte(s[at : at+width]) {
			if d < '0' || d > '9' {
				return time.Parse(amzTime, s)
			}
			n[i] = n[i]*10 + int(d-'0')
		}
	}
	// Of what every month and day has there is no doubt; the rest is looked at closely.
	if n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 28 || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return time.Parse(amzTime, s)
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC), nil
}

// parsePresigned reads the signature of a presigned URL.
func (c *claim) parsePresigned(r *http.Request) *Error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return incomplete.error("The query string is not well formed.")
	}
	get := func(name string) string {
		if v := q[name]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	lacks := ""
	for _, name := range [...]string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if get(name) == "" {
			lacks += "AWS query-string parameters must include '" + name + "'. "
		}
	}
	if lacks != "" {
		return incomplete.error(lacks + "Re-examine the query-string parameters.")
	}
	if len(q["X-Amz-Security-Token"]) > 1 || len(q["X-Amz-Expires"]) > 1 || len(r.Header["X-Amz-Security-Token"]) > 0 {
		return incomplete.error("AWS query-string parameters must be given once.")
	}
	if get("X-Amz-Algorithm") != algorithm {
		return incomplete.error("X-Amz-Algorithm only supports '" + algorithm + "'.")
	}
	*c = claim{presigned: true, headers: get("X-Amz-SignedHeaders"), signature: get("X-Amz-Signature"), token: get("X-Amz-Security-Token"), stamp: get("X-Amz-Date"), expires: skewMax}
	if c.at, err = parseStamp(c.stamp); err != nil {
		return incomplete.error("X-Amz-Date must be in ISO-8601 'basic format'.")
	}
	if s, ok := q["X-Amz-Expires"]; ok {
		if c.expires, ok = seconds(s[0]); !ok {
			return incomplete.error("X-Amz-Expires must be between 1 and 604800 seconds.")
		}
	}
	if err := c.parseCredential(get("X-Amz-Credential")); err != nil {
		return err
	}
	return c.check()
}

// seconds reads X-Amz-Expires: plain digits, at least 1 s and at most 7 days.
func seconds(s string) (time.Duration, bool) {
	if s == "" || len(s) > 6 {
		return 0, false
	}
	var n time.Duration
	for _, d := range []byte(s) {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + time.Duration(d-'0')
	}
	n *= time.Second
	return n, n >= time.Second && n <= expiryMax
}

// check refuses claims that are complete and yet make no sense.
func (c *claim) check() *Error {
	if len(c.signature) != 64 || strings.Trim(c.signature, "0123456789abcdef") != "" {
		return mismatch.error(mismatchText)
	}
	if !sortedNames(c.headers) || !signs(c.headers, "host") {
		return mismatch.error("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization, and SignedHeaders must be sorted.")
	}
	if c.stamp[:8] != c.date {
		return mismatch.error("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
	}
	return nil
}

// sortedNames says whether s is a list of lower-case header names, in order,
// each once.
func sortedNames(s string) bool {
	last, n := "", 0
	for name := range strings.SplitSeq(s, ";") {
		if n++; name <= last || n > signedHeadersMax || strings.ContainsFunc(name, notInName) {
			return false
		}
		last = name
	}
	return true
}

func notInName(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		return false
	}
	return true
}

// signs says whether the list of signed headers names name, in any case.
func signs(list, name string) bool {
	for more := true; more; {
		var n string
		if n, list, more = strings.Cut(list, ";"); strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// unsigned returns a header that says something to AWS (X-Amz-…) and is not
// signed or stands there twice, or "". Were it let through, whoever is between
// could add it.
func unsigned(h http.Header, list string) string {
	for name, values := range h {
		if strings.HasPrefix(name, "X-Amz-") && (len(values) != 1 || !signs(list, name)) {
			return name
		}
	}
	return ""
}
