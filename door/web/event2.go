package web

import (
	"encoding/base64"
	"mime"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/quote"
)

// eventBytesExtra is what an event has besides its headers, paths and body, about.
const eventBytesExtra = 1280

// eventSize estimates the size of an event, so that it is made in one piece.
func (c *call) eventSize(body int) int {
	n := eventBytesExtra + body + 3*len(c.to.full) + 3*len(c.query) + len(c.to.domain)
	for _, name := range c.names {
		for _, v := range c.r.Header[name] {
			n += len(name) + len(v) + 8
		}
	}
	return n
}

// event2 writes the payload of format 2.0 (Developer Guide, "Create AWS
// Lambda proxy integrations for HTTP APIs"): names in lower case, duplicates
// joined, empty parts absent, cookies apart from the headers.
func (c *call) event2() []byte {
	encoded := len(c.body) > 0 && !c.isText()
	size := len(c.body) + len(c.body)/16
	if encoded {
		size = base64.StdEncoding.EncodedLen(len(c.body))
	}
	key, stage := catalog.DefaultRoute, catalog.DefaultStage
	if c.to.url == nil {
		key, stage = c.to.route.key, c.to.stage.Name
	}
	b := make([]byte, 0, c.eventSize(size))
	b = append(b, `{"version":"2.0"`...)
	b = appendField(b, "routeKey", key)
	b = appendField(b, "rawPath", c.to.full)
	b = appendField(b, "rawQueryString", c.query)
	b = c.appendCookies(b)
	b = c.appendHeaders2(b)
	b = appendQuery2(b, c.query)
	b = c.appendContext2(b, key, stage)
	if c.to.url == nil {
		if len(c.to.route.names) > 0 {
			b = append(b, `,"pathParameters":`...)
			b = c.appendParameters(b)
		}
		if len(c.to.stage.Variables) > 0 {
			b = append(b, `,"stageVariables":`...)
			b = appendMap(b, c.to.stage.Variables)
		}
	}
	if len(c.body) > 0 {
		b = append(b, `,"body":`...)
		b = appendBody(b, c.body, encoded)
	}
	b = append(b, `,"isBase64Encoded":`...)
	return append(appendBool(b, encoded), '}')
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// appendBody appends a body as a JSON string, as it is or as base64.
func appendBody(dst, body []byte, encoded bool) []byte {
	if !encoded {
		return quote.Append(dst, body)
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), body)
	return append(dst, '"')
}

// isText says whether a body is passed as it is in payload 2.0. Everything
// else is passed as base64, form posts and compressed bodies included.
func (c *call) isText() bool {
	if c.r.Header.Get("Content-Encoding") != "" {
		return false
	}
	given := c.r.Header.Get("Content-Type")
	switch given {
	case "", "application/json":
		return true
	}
	t := mediaType(given)
	switch t {
	case "", "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(t, "text/") || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json") || strings.HasSuffix(t, "+xml")
}

// mediaType returns a content type without its parameters, in lower case.
func mediaType(v string) string {
	if t, _, err := mime.ParseMediaType(v); err == nil {
		return t
	}
	t, _, _ := strings.Cut(v, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func (c *call) appendCookies(dst []byte) []byte {
	lines := c.r.Header["Cookie"]
	if len(lines) == 0 {
		return dst
	}
	dst = append(dst, `,"cookies":[`...)
	first := true
	for _, line := range lines {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = textproto.TrimString(cookie); cookie == "" {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = quote.Append(dst, cookie)
		}
	}
	return append(dst, ']')
}

// appendHeaders2 appends the headers in lower case. Besides the client's own
// there are host, the trace and what a proxy tells of the connection, and for
// HTTP APIs content-length always.
func (c *call) appendHeaders2(dst []byte) []byte {
	dst = append(dst, `,"headers":{`...)
	for _, name := range c.names {
		if name == "Cookie" || c.caller != nil && name == "Authorization" {
			continue
		}
		dst = append(appendLower(append(dst, '"'), name), '"', ':', '"')
		for i, v := range c.r.Header[name] {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = quote.AppendInner(dst, v)
		}
		dst = append(dst, '"', ',')
	}
	if c.to.url == nil || len(c.body) > 0 || c.r.Header["Content-Length"] != nil {
		dst = append(dst, `"content-length":"`...)
		dst = append(appendInt(dst, int64(len(c.body))), '"', ',')
	}
	dst = append(dst, `"host":`...)
	dst = quote.Append(dst, c.r.Host)
	dst = appendField(dst, "x-amzn-trace-id", c.header)
	dst = append(dst, `,"x-forwarded-for":"`...)
	dst = append(c.forwarded(dst), '"')
	dst = appendField(dst, "x-forwarded-port", c.port)
	dst = appendField(dst, "x-forwarded-proto", c.proto)
	return append(dst, '}')
}

// appendLower appends a header name, which is ASCII, in lower case.
func appendLower(dst []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendQuery2 appends the decoded query, the values of one name joined with commas.
func appendQuery2(dst []byte, query string) []byte {
	ps := parseQuery(query)
	if len(ps) == 0 {
		return dst
	}
	dst = append(dst, `,"queryStringParameters":`...)
	for i, p := range ps {
		if i > 0 && ps[i-1].name == p.name {
			dst = quote.AppendInner(append(dst, ','), p.value)
			continue
		}
		if i == 0 {
			dst = append(dst, '{')
		} else {
			dst = append(dst, '"', ',')
		}
		dst = append(quote.Append(dst, p.name), ':', '"')
		dst = quote.AppendInner(dst, p.value)
	}
	return append(dst, '"', '}')
}

// A parameter is one name=value of a query.
type parameter struct{ name, value string }

// parseQuery decodes a query and orders it by name; values of one name keep
// their order. What is not well encoded stays as it is.
func parseQuery(query string) []parameter {
	if query == "" {
		return nil
	}
	ps := make([]parameter, 0, 4)
	for part := range strings.SplitSeq(query, "&") {
		if part != "" {
			name, value, _ := strings.Cut(part, "=")
			ps = append(ps, parameter{decodeQuery(name), decodeQuery(value)})
		}
	}
	slices.SortStableFunc(ps, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	return ps
}

func decodeQuery(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

func (c *call) appendContext2(dst []byte, key, stage string) []byte {
	var id string
	account := c.place.Account
	dst = append(dst, `,"requestContext":{"accountId":`...)
	if u := c.to.url; u != nil {
		id = u.ID
		account = "anonymous" // as recorded of URLs without authentication
		if c.caller != nil {
			account = c.caller.AccountID
		}
	} else {
		id = c.to.api.ID
	}
	dst = quote.Append(dst, account)
	dst = appendField(dst, "apiId", id)
	if c.to.url != nil {
		dst = append(dst, `,"authentication":null`...)
	}
	if p := c.caller; p != nil {
		dst = append(dst, `,"authorizer":{"iam":{"accessKey":`...)
		dst = quote.Append(dst, p.AccessKey)
		dst = appendField(dst, "accountId", p.AccountID)
		dst = appendField(dst, "callerId", p.CallerID)
		dst = append(dst, `,"cognitoIdentity":null,"principalOrgId":null`...)
		dst = appendField(dst, "userArn", p.UserARN)
		dst = appendField(dst, "userId", p.UserID)
		dst = append(dst, '}', '}')
	}
	dst = appendField(dst, "domainName", c.to.domain)
	dst = appendField(dst, "domainPrefix", id)
	dst = append(dst, `,"http":{"method":`...)
	dst = quote.Append(dst, c.r.Method)
	dst = appendField(dst, "path", c.to.full)
	dst = appendField(dst, "protocol", c.r.Proto)
	dst = appendField(dst, "sourceIp", c.sourceIP)
	dst = appendField(dst, "userAgent", c.r.Header.Get("User-Agent"))
	dst = append(dst, '}')
	dst = appendField(dst, "requestId", c.request)
	dst = appendField(dst, "routeKey", key)
	dst = appendField(dst, "stage", stage)
	dst = append(dst, `,"time":"`...)
	dst = append(appendTime(dst, c.at), `","timeEpoch":`...)
	return append(appendInt(dst, c.at.UnixMilli()), '}')
}

// appendParameters appends the path parameters, decoded once.
func (c *call) appendParameters(dst []byte) []byte {
	for i, name := range c.to.route.names {
		dst = append(dst, "{,"[min(i, 1)])
		dst = append(quote.Append(dst, name), ':')
		dst = quote.Append(dst, decode(c.search.values[i]))
	}
	return append(dst, '}')
}

// appendMap appends a map as an object.
func appendMap(dst []byte, m map[string]string) []byte {
	dst = append(dst, '{')
	for name, value := range m {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(quote.Append(dst, name), ':')
		dst = quote.Append(dst, value)
	}
	return append(dst, '}')
}
