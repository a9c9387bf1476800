package wire

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// protocol is how a request and its answer are written.
type protocol uint8

const (
	restJSON protocol = iota
	json10
	json11
	cbor
	queryXML
	ec2XML
	restXML
	s3XML
)

// protocolOf tells a request's protocol from what SDKs send. It only shapes
// answers: which service a request goes to is what its signature says.
func protocolOf(r *http.Request, service string) protocol {
	if service == "" {
		service = hostService(r.Host)
	}
	kind := r.Header.Get("Content-Type")
	switch {
	case r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor":
		return cbor
	case r.Header.Get("X-Amz-Target") != "":
		if strings.HasPrefix(kind, "application/x-amz-json-1.1") {
			return json11
		}
		return json10
	case isS3(service):
		return s3XML
	case service == "route53" || service == "cloudfront":
		return restXML
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"), strings.HasPrefix(r.URL.RawQuery, "Action="), strings.Contains(r.URL.RawQuery, "&Action="):
		if service == "ec2" {
			return ec2XML
		}
		return queryXML
	}
	return restJSON
}

// hostService guesses a service from a host like lambda.us-east-1.amazonaws.com,
// for requests that are not signed.
func hostService(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	name, ok := strings.CutSuffix(host, ".amazonaws.com")
	if !ok {
		return ""
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		switch {
		case strings.HasPrefix(l, "s3express-"): // "bucket--use1-az4--x-s3.s3express-use1-az4.us-east-1"
			return "s3express"
		case l == "s3":
			return "s3"
		}
	}
	return labels[0]
}

// operation names what a request asks for, as far as can be told from outside.
func operation(r *Request) string {
	var op string
	switch p := protocolOf(r.HTTP, r.Service); p {
	case json10, json11:
		op = r.HTTP.Header.Get("X-Amz-Target")
		op = op[strings.LastIndexByte(op, '.')+1:]
	case cbor:
		op = r.Path[strings.LastIndexByte(r.Path, '/')+1:]
	case queryXML, ec2XML:
		op = form(r).Get("Action")
	default:
		op = r.HTTP.Method + " " + r.Path
	}
	return op[:min(len(op), 128)]
}

// form is a query-protocol request's parameters: its body, or its URL's query.
func form(r *Request) url.Values {
	text := string(r.Body)
	if r.HTTP.Method != http.MethodPost {
		text = r.HTTP.URL.RawQuery
	}
	v, err := url.ParseQuery(text)
	if err != nil {
		return nil
	}
	return v
}
