package template

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

const (
	anyMethodKey   = "x-amazon-apigateway-any-method"
	integrationKey = "x-amazon-apigateway-integration"
)

// openAPI reads an OpenAPI or Swagger document, worked out already, into a's routes.
func (l *loader) openAPI(a *api, p *properties, body *tree.Node) {
	if body.Kind != tree.Map {
		p.fault("DefinitionBody", body.Pos, "the definition of an API must be a map, not "+body.Kind.String(), "")
		return
	}
	if body.Get("openapi") == nil && body.Get("swagger") == nil {
		p.fault("DefinitionBody", body.Pos, "the definition of an API must say openapi or swagger and the version", "")
	}
	if title := body.Get("info").Get("title"); title.IsScalar() && !p.has("Name") {
		a.api.Name = title.Text
	}
	for _, f := range body.Fields {
		switch f.Name {
		case "x-amazon-apigateway-binary-media-types":
			for _, item := range f.Value.Items {
				a.api.Binary = append(a.api.Binary, item.Text)
			}
		case "x-amazon-apigateway-cors":
			if a.api.Kind == catalog.HTTP {
				l.openAPICORS(a, f.Value)
			}
		case "x-amazon-apigateway-policy":
			p.missing("DefinitionBody", f.Pos, f.Name+" is not supported", "the resource policy: the API is open to everybody", "")
		case "x-amazon-apigateway-gateway-responses":
			p.missing("DefinitionBody", f.Pos, f.Name+" is not supported", "the changed answers of the gateway itself", "")
		case "x-amazon-apigateway-request-validator":
			p.missing("DefinitionBody", f.Pos, f.Name+" is not supported", "the validation of requests: every request reaches the function", "")
		case "x-amazon-apigateway-minimum-compression-size":
			p.missing("DefinitionBody", f.Pos, f.Name+" is not supported", "compression of answers", "")
		case "security":
			if len(f.Value.Items) > 0 {
				p.missing("DefinitionBody", f.Pos, "security of an API is not supported", "the check of who calls: the API "+a.r.id+" is open to everybody", "")
			}
		}
	}
	for _, path := range fieldsOf(body.Get("paths")) {
		switch {
		case path.Value.Kind == tree.Map:
			l.openAPIPath(a, p, body, path)
		case path.Value.Kind != tree.Broken:
			p.fault("DefinitionBody", path.Value.Pos, "the path "+path.Name+" must be a map, not "+path.Value.Kind.String(), "")
		}
	}
}

func (l *loader) openAPICORS(a *api, n *tree.Node) {
	if n.Kind != tree.Map {
		return
	}
	c := l.within("DefinitionBody.x-amazon-apigateway-cors", n)
	texts := func(name string) []string {
		if v := c.value(name); v.IsScalar() {
			return []string{v.Text}
		}
		return c.texts(name)
	}
	a.api.CORS = &catalog.CORS{Origins: texts("allowOrigins"), Methods: texts("allowMethods"), Headers: texts("allowHeaders"), Expose: texts("exposeHeaders"),
		MaxAge: c.integer("maxAge", -1, 86400, 0), Credentials: c.boolean("allowCredentials")}
}

func (l *loader) openAPIPath(a *api, p *properties, body *tree.Node, path tree.Field) {
	name := path.Name
	if (name == "/"+catalog.DefaultRoute || name == catalog.DefaultRoute) && a.api.Kind == catalog.HTTP {
		name = catalog.DefaultRoute
	} else if wrong := wrongPath(name); wrong != "" {
		p.fault("DefinitionBody", path.Pos, fmt.Sprintf("the path %q %s", name, wrong), "")
		return
	}
	for _, operation := range path.Value.Fields {
		method := strings.ToUpper(operation.Name)
		if operation.Name == anyMethodKey {
			method = catalog.AnyMethod
		}
		if !slices.Contains(methods, method) || operation.Value.Kind != tree.Map {
			continue // parameters, summary and other parts that are no method
		}
		route := catalog.Route{Method: method, Path: name, Position: operation.Pos.String()}
		what := method + " " + name
		if s := operation.Value.Get("security"); s != nil && len(s.Items) > 0 {
			p.missing("DefinitionBody", s.Pos, "security of a route is not supported", "the check of who calls: "+what+" is open to everybody", "")
		}
		if v := operation.Value.Field("x-amazon-apigateway-request-validator"); v != nil {
			p.missing("DefinitionBody", v.Pos, v.Name+" is not supported", "the validation of requests: every request reaches the function", "")
		}
		integration := resolveRef(body, operation.Value.Get(integrationKey))
		switch {
		case integration != nil && integration.Kind == tree.Broken:
		case integration == nil && a.api.Kind == catalog.REST:
			p.fault("DefinitionBody", operation.Pos, "No integration defined for method "+what, "add "+integrationKey)
		case integration == nil:
			l.warn(operation.Pos, what+" has no "+integrationKey+": it is no route", "")
		case l.integration(a, l.within("DefinitionBody", integration), what, &route):
			l.addRoute(a, route, operation.Pos)
		}
	}
}

// resolveRef follows {$ref: '#/a/b'} within the document, once.
func resolveRef(body, n *tree.Node) *tree.Node {
	ref := n.Get("$ref")
	if ref == nil {
		return n
	}
	path, _ := strings.CutPrefix(ref.Text, "#/")
	n = body
	for _, part := range strings.Split(path, "/") {
		n = n.Get(strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~"))
	}
	return n
}

// names of an integration's parts: as OpenAPI writes them, and as CloudFormation does.
type integrationNames struct{ typ, uri, payload, timeout, transfer, responses string }

var (
	openAPINames = integrationNames{"type", "uri", "payloadFormatVersion", "timeoutInMillis", "responseTransferMode", "responses"}
	methodNames  = integrationNames{"Type", "Uri", "PayloadFormatVersion", "TimeoutInMillis", "ResponseTransferMode", "IntegrationResponses"}
)

// integration reads an OpenAPI integration into route. It says false when there is no route to be made of it.
func (l *loader) integration(a *api, p *properties, what string, route *catalog.Route) bool {
	names := openAPINames
	switch typ := strings.ToLower(p.text(names.typ)); typ {
	case "aws_proxy":
		if p.has("integrationSubtype") {
			p.missing("integrationSubtype", p.at("integrationSubtype"), "integrations with other services are not supported", "the route "+what, "")
			return false
		}
		return l.proxy(a, p, names, what, route)
	case "mock":
		return l.mock(p, p.node.Get(names.responses), what, route)
	case "":
		p.fault(names.typ, p.node.Pos, "the integration of "+what+" must have a type", "")
		return false
	default:
		p.missing(names.typ, p.at(names.typ), "integrations of type "+typ+" are not supported", "the route "+what, "")
		return false
	}
}

// proxy reads an integration that hands requests to a function.
func (l *loader) proxy(a *api, p *properties, names integrationNames, what string, route *catalog.Route) bool {
	uri := p.value(names.uri)
	if uri == nil || !uri.IsScalar() {
		if !p.has(names.uri) {
			p.fault(names.uri, p.node.Pos, "the integration of "+what+" must have a uri", "")
		}
		return false
	}
	route.Payload = "1.0"
	timeoutMax := 300_000
	if a.api.Kind == catalog.HTTP {
		timeoutMax = 30_000
		if v := p.text(names.payload); v == "1.0" || v == "2.0" {
			route.Payload = v
		} else {
			p.fault(names.payload, p.at(names.payload), "the integration of "+what+" must have "+names.payload+" 1.0 or 2.0", "put it in quotes")
		}
	}
	route.Timeout = time.Duration(p.integer(names.timeout, 50, timeoutMax, 0)) * time.Millisecond
	route.Stream = p.one(names.transfer, "BUFFERED", "STREAM") == "STREAM"
	target, ok := l.target(p, names.uri, uri, what)
	route.Target = target
	return ok
}

// functionARN finds the function in an integration's uri, bare or within API Gateway's own form.
var functionARN = regexp.MustCompile(`arn:aws[a-z-]*:lambda:([a-z0-9-]*):([0-9]*):function:([a-zA-Z0-9-_]+)(?::([a-zA-Z0-9-_$]+))?(?:/(?:invocations|response-streaming-invocations))?$`)

// target reads which function a value names: an ARN, a uri around it, or a bare name.
func (l *loader) target(p *properties, property string, v *tree.Node, what string) (daruma.Target, bool) {
	m := functionARN.FindStringSubmatch(v.Text)
	switch {
	case strings.Contains(v.Text, "stageVariables"):
		p.missing(property, v.Pos, "functions that a stage variable names are not supported", what, "name the function")
		return daruma.Target{}, false
	case m == nil && functionName.MatchString(v.Text) && l.knows(v.Text):
		return daruma.Target{Function: v.Text}, true
	case m == nil || !l.knows(m[3]):
		p.missing(property, v.Pos, v.Text+" is no function of this template", what, "")
		return daruma.Target{}, false
	}
	return daruma.Target{Function: m[3], Qualifier: m[4]}, true
}

func (l *loader) knows(function string) bool {
	_, found := l.functions[function]
	return found
}

// mock reads an integration with a fixed answer. responses is a map by pattern with one entry.
func (l *loader) mock(p *properties, responses *tree.Node, what string, route *catalog.Route) bool {
	if responses == nil || len(responses.Fields) != 1 {
		p.missing("responses", p.node.Pos, "a mock integration with other than one response is not supported", "the route "+what, "")
		return false
	}
	r := responses.Fields[0].Value
	return l.fixed(p, r.Get("statusCode"), r.Get("responseParameters"), r.Get("responseTemplates"), what, route)
}

// fixed makes route a fixed answer.
func (l *loader) fixed(p *properties, status, headers, templates *tree.Node, what string, route *catalog.Route) bool {
	code := 200
	if status.IsScalar() {
		if n, err := strconv.Atoi(status.Text); err == nil && n >= 100 && n < 600 {
			code = n
		}
	}
	for _, t := range fieldsOf(templates) {
		if text := strings.TrimSpace(t.Value.Text); text != "" && text != "{}" {
			p.missing("responses", t.Pos, "a mock integration with a body is not supported", "the body of the answer to "+what, "")
		}
	}
	route.Payload = "1.0"
	route.Mock = &catalog.Mock{Status: code, Headers: map[string]string{}}
	for _, h := range fieldsOf(headers) {
		name, found := strings.CutPrefix(h.Name, "method.response.header.")
		text := h.Value.Text
		if !found || len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' {
			p.missing("responses", h.Pos, "a mock integration's "+h.Name+" is not a fixed header", "this header in the answer to "+what, "")
			continue
		}
		route.Mock.Headers[name] = text[1 : len(text)-1]
	}
	return true
}
