package web

import (
	"encoding/base64"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/quote"
)

// event1 writes the payload of format 1.0, that of REST APIs and of HTTP APIs
// that ask for it (Developer Guide, "Lambda proxy integrations in API
// Gateway"): names as the client wrote them, every value of a name apart,
// empty parts null. HTTP APIs say the version; REST APIs do not.
func (c *call) event1() []byte {
	rest := c.to.api.Kind == catalog.REST
	encoded := len(c.body) > 0 && (rest && c.to.api.isBinary(c.r.Header.Get("Content-Type")) || !rest && !c.isText())
	size := len(c.body) + len(c.body)/16
	if encoded {
		size = base64.StdEncoding.EncodedLen(len(c.body))
	}
	b := make([]byte, 0, 2*c.eventSize(0)+size)
	b = append(b, '{')
	if !rest {
		b = append(b, `"version":"1.0",`...)
	}
	b = append(b, `"resource":`...)
	b = quote.Append(b, c.to.route.Path)
	b = appendField(b, "path", c.to.path)
	b = appendField(b, "httpMethod", c.r.Method)
	b = c.appendHeaders1(b, rest, false)
	b = c.appendHeaders1(b, rest, true)
	b = appendQuery1(b, parseQuery(c.query))
	b = append(b, `,"pathParameters":`...)
	if len(c.to.route.names) > 0 {
		b = c.appendParameters(b)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"stageVariables":`...)
	if len(c.to.stage.Variables) > 0 {
		b = appendMap(b, c.to.stage.Variables)
	} else {
		b = append(b, "null"...)
	}
	b = c.appendContext1(b, rest)
	b = append(b, `,"body":`...)
	if len(c.body) > 0 {
		b = appendBody(b, c.body, encoded)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"isBase64Encoded":`...)
	return append(appendBool(b, encoded), '}')
}

// isBinary says whether a content type is among those the API passes as base64.
func (a *api) isBinary(contentType string) bool {
	if len(a.Binary) == 0 {
		return false
	}
	t := "application/json" // what a request without one is taken for
	if contentType != "" {
		t = mediaType(contentType)
	}
	for _, b := range a.Binary {
		b = strings.ToLower(b)
		if b == "*/*" || b == t {
			return true
		}
		if kind, ok := strings.CutSuffix(b, "/*"); ok && strings.HasPrefix(t, kind+"/") {
			return true
		}
	}
	return false
}

// dropped says whether a REST API does not pass a request's header on
// (Developer Guide, "Amazon API Gateway important notes").
func dropped(name string) bool {
	switch name {
	case "Content-Md5", "Max-Forwards", "Proxy-Authenticate", "Server", "Www-Authenticate":
		return true
	}
	return false
}

// appendHeaders1 appends "headers", where the last value of a name wins, or
// "multiValueHeaders", where each has a list.
func (c *call) appendHeaders1(dst []byte, rest, multi bool) []byte {
	if multi {
		dst = append(dst, `,"multiValueHeaders":{`...)
	} else {
		dst = append(dst, `,"headers":{`...)
	}
	for _, name := range c.names {
		if rest && dropped(name) {
			continue
		}
		dst = append(quote.Append(dst, c.spelling(name)), ':')
		values := c.r.Header[name]
		if multi {
			for i, v := range values {
				dst = append(dst, "[,"[min(i, 1)])
				dst = quote.Append(dst, v)
			}
			dst = append(dst, ']', ',')
			continue
		}
		dst = append(quote.Append(dst, values[len(values)-1]), ',')
	}
	open, shut := "", ""
	if multi {
		open, shut = "[", "]"
	}
	own := func(name, value string) {
		dst = append(append(dst, '"'), name...)
		dst = append(append(dst, '"', ':'), open...)
		dst = append(append(quote.Append(dst, value), shut...), ',')
	}
	if !rest {
		dst = append(append(append(dst, `"Content-Length":`...), open...), '"')
		dst = append(append(append(appendInt(dst, int64(len(c.body))), '"'), shut...), ',')
	}
	own("Host", c.r.Host)
	own(daruma.TraceHeader, c.header)
	own("X-Forwarded-Port", c.port)
	own("X-Forwarded-Proto", c.proto)
	dst = append(append(append(dst, `"X-Forwarded-For":`...), open...), '"')
	dst = append(append(c.forwarded(dst), '"'), shut...)
	return append(dst, '}')
}

// appendQuery1 appends the two forms of the decoded query: the last value of
// each name, and all of them.
func appendQuery1(dst []byte, ps []parameter) []byte {
	if len(ps) == 0 {
		return append(dst, `,"queryStringParameters":null,"multiValueQueryStringParameters":null`...)
	}
	dst = append(dst, `,"queryStringParameters":`...)
	first := true
	for i, p := range ps {
		if i+1 < len(ps) && ps[i+1].name == p.name {
			continue
		}
		if first {
			dst = append(dst, '{')
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = append(quote.Append(dst, p.name), ':')
		dst = quote.Append(dst, p.value)
	}
	dst = append(dst, `},"multiValueQueryStringParameters":{`...)
	for i, p := range ps {
		switch {
		case i > 0 && ps[i-1].name == p.name:
			dst = append(dst, ',')
		case i > 0:
			dst = append(dst, ']', ',')
			fallthrough
		default:
			dst = append(quote.Append(dst, p.name), ':', '[')
		}
		dst = quote.Append(dst, p.value)
	}
	return append(dst, ']', '}')
}

func (c *call) appendContext1(dst []byte, rest bool) []byte {
	a := c.to.api
	dst = append(dst, `,"requestContext":{"accountId":`...)
	dst = quote.Append(dst, c.place.Account)
	dst = appendField(dst, "apiId", a.ID)
	if rest {
		dst = appendField(dst, "deploymentId", c.to.stage.deployment)
	}
	dst = appendField(dst, "domainName", c.to.domain)
	dst = appendField(dst, "domainPrefix", a.ID)
	dst = appendField(dst, "extendedRequestId", c.extended)
	dst = appendField(dst, "httpMethod", c.r.Method)
	dst = append(dst, `,"identity":{"accessKey":null,"accountId":null,"caller":null,"cognitoAuthenticationProvider":null,"cognitoAuthenticationType":null,"cognitoIdentityId":null,"cognitoIdentityPoolId":null,"principalOrgId":null`...)
	dst = appendField(dst, "sourceIp", c.sourceIP)
	dst = append(dst, `,"user":null,"userAgent":`...)
	if agent := c.r.Header["User-Agent"]; len(agent) > 0 {
		dst = quote.Append(dst, agent[0])
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"userArn":null}`...)
	dst = appendField(dst, "path", c.to.full)
	dst = appendField(dst, "protocol", c.r.Proto)
	dst = appendField(dst, "requestId", c.request)
	dst = append(dst, `,"requestTime":"`...)
	dst = append(appendTime(dst, c.at), `","requestTimeEpoch":`...)
	dst = appendInt(dst, c.at.UnixMilli())
	dst = appendField(dst, "resourceId", c.to.route.resource)
	dst = appendField(dst, "resourcePath", c.to.route.Path)
	dst = appendField(dst, "stage", c.to.stage.Name)
	return append(dst, '}')
}
