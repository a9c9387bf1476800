package template

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// rootResource is the id of a REST API's root, "/".
func (l *loader) rootResource(r *resource) string {
	return id(apiIDLength, l.app.Name, r.id, "RootResourceId")
}

// restAPI reads an AWS::ApiGateway::RestApi.
func (l *loader) restAPI(r *resource) {
	p := l.properties(r)
	a := l.newAPI(r, catalog.REST)
	if name := p.text("Name"); name != "" {
		a.api.Name = name
	}
	if owner := ownerTag(l.tagList(p)); owner != "" {
		a.api.Owner = owner
	}
	a.api.Binary = binaryTypes(p.texts("BinaryMediaTypes"))
	if body := p.value("Body"); body != nil {
		l.openAPI(a, p, body)
	}
	p.refuse("BodyS3Location", "the routes of the API "+r.id, "put the document into Body")
	p.refuse("CloneFrom", "the routes of the API "+r.id, "")
	l.restRefusals(p)
	if c := p.sub("EndpointConfiguration"); c != nil {
		if slices.Contains(c.texts("Types"), "PRIVATE") {
			c.missing("Types", c.at("Types"), "private endpoints are not supported", "the restriction to a private network: the API is open to all who reach this machine", "")
		}
		c.accept("VpcEndpointIds", "IpAddressType")
		c.done()
	}
	p.accept("Description", "FailOnWarnings", "Mode", "Parameters", "ApiKeySourceType", "SecurityPolicy", "EndpointAccessMode")
	p.done()
}

// restPaths works out the path of every AWS::ApiGateway::Resource, by id.
func (l *loader) restPaths() map[string]string {
	paths := map[string]string{}
	type part struct {
		r            *resource
		parent, name string
	}
	var parts []part
	for _, r := range l.order {
		if !r.exists {
			continue
		}
		switch r.typ {
		case restAPI, serverlessAPI:
			paths[l.rootResource(r)] = "/"
		case restResource:
			l.current = r
			p := l.properties(r)
			p.require("ParentId", "PathPart", "RestApiId")
			p.accept("RestApiId")
			parts = append(parts, part{r, p.text("ParentId"), p.text("PathPart")})
			p.done()
			l.current = nil
		}
	}
	for range parts { // a parent may come after its child; each round places one level
		for _, part := range parts {
			if parent, placed := paths[part.parent]; placed {
				paths[id10(l, part.r)] = strings.TrimSuffix(parent, "/") + "/" + part.name
			}
		}
		if !slices.ContainsFunc(parts, func(p part) bool { return paths[id10(l, p.r)] == "" }) {
			break
		}
	}
	return paths
}

// restMethod reads an AWS::ApiGateway::Method into a route.
func (l *loader) restMethod(r *resource, paths map[string]string) {
	p := l.properties(r)
	p.require("RestApiId", "ResourceId", "HttpMethod")
	method, path := strings.ToUpper(p.text("HttpMethod")), paths[p.text("ResourceId")]
	a := l.gatewayAPI(p, "RestApiId", catalog.REST)
	if auth := p.text("AuthorizationType"); auth != "" && auth != "NONE" {
		p.missing("AuthorizationType", p.at("AuthorizationType"), "authorization of type "+auth+" is not supported", "the check of who calls: "+method+" "+path+" is open to everybody", "")
	}
	if p.boolean("ApiKeyRequired") {
		p.refuse("ApiKeyRequired", "the API key: "+method+" "+path+" is open to everybody", "")
	}
	p.accept("AuthorizerId", "AuthorizationScopes", "MethodResponses", "OperationName", "RequestParameters")
	p.refuse("RequestModels", "the validation of bodies: every body reaches the function", "")
	p.refuse("RequestValidatorId", "the validation of requests: every request reaches the function", "")
	integration := p.sub("Integration")
	p.done()
	if path == "" && p.value("ResourceId") != nil {
		p.missing("ResourceId", p.at("ResourceId"), "the resource of this method is not in this template", "the route "+method, "")
	}
	if a == nil || path == "" || integration == nil {
		return
	}
	route := catalog.Route{Method: method, Path: path, Position: r.at.String()}
	what := method + " " + path
	ok := false
	switch typ := strings.ToUpper(integration.text("Type")); typ {
	case "AWS_PROXY":
		ok = l.proxy(a, integration, methodNames, what, &route)
	case "MOCK":
		responses := integration.list("IntegrationResponses")
		if len(responses) != 1 {
			integration.missing("IntegrationResponses", integration.node.Pos, "a mock integration with other than one response is not supported", "the route "+what, "")
			return
		}
		ok = l.fixed(integration, responses[0].Get("StatusCode"), responses[0].Get("ResponseParameters"), responses[0].Get("ResponseTemplates"), what, &route)
	default:
		integration.missing("Type", integration.at("Type"), "integrations of type "+typ+" are not supported", "the route "+what, "")
	}
	if ok {
		l.addRoute(a, route, r.at)
	}
}

// gatewayAPI returns the API a property names, or nil, which is reported.
func (l *loader) gatewayAPI(p *properties, property, kind string) *api {
	v := p.value(property)
	if v == nil {
		return nil
	}
	a := l.apis.byID[v.Text]
	if a == nil || a.api.Kind != kind {
		p.missing(property, v.Pos, "the API "+v.Text+" is not in this template", "this part of it", "")
		return nil
	}
	return a
}

// restStages reads stages and deployments of REST APIs.
func (l *loader) restStage(r *resource) {
	p := l.properties(r)
	p.require("RestApiId")
	a := l.gatewayAPI(p, "RestApiId", catalog.REST)
	name := p.text("StageName")
	stage := catalog.Stage{Name: name}
	if r.typ == restStage {
		stage.Variables = p.textMap("Variables")
		l.methodSettings(p)
		if p.boolean("CacheClusterEnabled") {
			p.refuse("CacheClusterEnabled", "the cache: every request reaches the function", "")
		}
		p.refuse("CanarySetting", "the canary stage", "")
		p.accept("DeploymentId", "AccessLogSetting", "CacheClusterSize", "ClientCertificateId", "Description", "DocumentationVersion", "Tags", "TracingEnabled")
	} else {
		p.refuse("DeploymentCanarySettings", "the canary stage", "")
		if d := p.sub("StageDescription"); d != nil {
			stage.Variables = d.textMap("Variables")
		}
		p.accept("Description")
	}
	p.done()
	if a != nil && name != "" {
		addStage(a, stage)
	}
}

func addStage(a *api, stage catalog.Stage) {
	i := slices.IndexFunc(a.api.Stages, func(s catalog.Stage) bool { return s.Name == stage.Name })
	switch {
	case i < 0:
		a.api.Stages = append(a.api.Stages, stage)
	case stage.Variables != nil:
		a.api.Stages[i] = stage
	}
}

// httpAPI reads an AWS::ApiGatewayV2::Api.
func (l *loader) httpAPI(r *resource) {
	p := l.properties(r)
	if p.one("ProtocolType", "HTTP", "WEBSOCKET") == "WEBSOCKET" {
		p.missing("ProtocolType", p.at("ProtocolType"), "WebSocket APIs are not supported", "the API "+r.id+" and its routes", "")
		l.apis.left[id10(l, r)] = true
		return
	}
	a := l.newAPI(r, catalog.HTTP)
	a.named(p)
	if body := p.value("Body"); body != nil {
		l.openAPI(a, p, body)
	}
	if c := p.sub("CorsConfiguration"); c != nil {
		a.api.CORS = corsOf(c)
		c.done()
	}
	if quick := p.value("Target"); quick != nil {
		if target, ok := l.target(p, "Target", quick, "the routes of the API "+r.id); ok {
			route := catalog.Route{Method: catalog.AnyMethod, Path: catalog.DefaultRoute, Payload: "2.0", Target: target, Position: r.at.String()}
			if given := p.text("RouteKey"); given != "" {
				route.Method, route.Path = splitRouteKey(given)
			}
			l.addRoute(a, route, r.at)
			addStage(a, catalog.Stage{Name: catalog.DefaultStage})
		}
	}
	p.refuse("BodyS3Location", "the routes of the API "+r.id, "put the document into Body")
	if p.boolean("DisableExecuteApiEndpoint") {
		p.refuse("DisableExecuteApiEndpoint", "the closing of the API's own address", "")
	}
	p.accept("Description", "FailOnWarnings", "CredentialsArn", "Version", "RouteSelectionExpression", "ApiKeySelectionExpression", "DisableSchemaValidation", "BasePath", "IpAddressType", "RouteKey")
	p.done()
}

func splitRouteKey(key string) (method, path string) {
	if key == catalog.DefaultRoute {
		return catalog.AnyMethod, catalog.DefaultRoute
	}
	method, path, _ = strings.Cut(key, " ")
	return strings.ToUpper(method), path
}

// httpIntegrations reads every AWS::ApiGatewayV2::Integration that leads to a function, by id.
func (l *loader) httpIntegrations() map[string]catalog.Route {
	out := map[string]catalog.Route{}
	for _, r := range l.order {
		if !r.exists || r.typ != httpIntegration {
			continue
		}
		l.current = r
		p := l.properties(r)
		if l.apis.left[p.text("ApiId")] {
			continue
		}
		p.require("ApiId", "IntegrationType")
		a := l.gatewayAPI(p, "ApiId", catalog.HTTP)
		p.accept("ConnectionType", "CredentialsArn", "Description", "IntegrationMethod", "PassthroughBehavior", "ContentHandlingStrategy")
		p.refuse("IntegrationSubtype", "the call of another service", "")
		p.refuse("RequestParameters", "changes of the request on its way to the function", "")
		p.refuse("ResponseParameters", "changes of the answer on its way back", "")
		names := methodNames
		names.uri, names.typ = "IntegrationUri", "IntegrationType"
		p.ask(names.uri, names.payload, names.timeout, names.transfer)
		route := catalog.Route{}
		switch typ := p.text("IntegrationType"); {
		case a == nil:
		case p.has("IntegrationSubtype"):
		case typ != "AWS_PROXY":
			p.missing("IntegrationType", p.at("IntegrationType"), "integrations of type "+typ+" are not supported", "the routes to it", "")
		case l.proxy(a, p, names, "the integration "+r.id, &route):
			out[id10(l, r)] = route
		}
		p.done()
	}
	l.current = nil
	return out
}

// httpRoute reads an AWS::ApiGatewayV2::Route.
func (l *loader) httpRoute(r *resource, integrations map[string]catalog.Route) {
	p := l.properties(r)
	if l.apis.left[p.text("ApiId")] {
		return
	}
	p.require("ApiId", "RouteKey")
	a := l.gatewayAPI(p, "ApiId", catalog.HTTP)
	routeKey := p.text("RouteKey")
	if auth := p.text("AuthorizationType"); auth != "" && auth != "NONE" {
		p.missing("AuthorizationType", p.at("AuthorizationType"), "authorization of type "+auth+" is not supported", "the check of who calls: "+routeKey+" is open to everybody", "")
	}
	p.accept("AuthorizerId", "AuthorizationScopes", "OperationName", "ApiKeyRequired", "ModelSelectionExpression", "RequestModels", "RequestParameters", "RouteResponseSelectionExpression")
	target := strings.TrimPrefix(p.text("Target"), "integrations/")
	p.done()
	if a == nil || routeKey == "" {
		return
	}
	route := catalog.Route{Target: daruma.Target{}, Position: r.at.String()}
	found, known := integrations[target]
	if !known {
		if p.value("Target") == nil && !p.has("Target") {
			p.missing("Target", r.at, "a route without a Target is not supported", "the route "+routeKey, "")
		}
		return // its integration is reported where it stands
	}
	route.Target, route.Payload, route.Timeout, route.Stream = found.Target, found.Payload, found.Timeout, found.Stream
	route.Method, route.Path = splitRouteKey(routeKey)
	wrong := ""
	if route.Path != catalog.DefaultRoute {
		wrong = wrongPath(route.Path)
	}
	if !slices.Contains(methods, route.Method) || wrong != "" {
		p.fault("RouteKey", p.at("RouteKey"), "a route's key is $default, or a method and a path that begins with a slash; "+routeKey+" is not", "")
		return
	}
	l.addRoute(a, route, r.at)
}

// httpStage reads an AWS::ApiGatewayV2::Stage.
func (l *loader) httpStage(r *resource) {
	p := l.properties(r)
	if l.apis.left[p.text("ApiId")] {
		return
	}
	p.require("ApiId", "StageName")
	a := l.gatewayAPI(p, "ApiId", catalog.HTTP)
	stage := catalog.Stage{Name: p.text("StageName"), Variables: p.textMap("StageVariables")}
	l.routeSettings(p, "DefaultRouteSettings")
	p.accept("AutoDeploy", "DeploymentId", "AccessLogSettings", "Description", "Tags", "ClientCertificateId", "AccessPolicyId", "RouteSettings")
	p.done()
	if a != nil && stage.Name != "" {
		addStage(a, stage)
	}
}

// httpDeployment reads an AWS::ApiGatewayV2::Deployment: what a stage serves is what the template says.
func (l *loader) httpDeployment(r *resource) {
	p := l.properties(r)
	p.accept("ApiId", "Description", "StageName")
	p.done()
}

// connector checks that an AWS::Serverless::Connector names what is there; it only grants permissions.
func (l *loader) connector(r *resource) {
	for _, side := range []string{"Source", "Destination"} {
		n := r.props.Get(side)
		if n == nil {
			l.fault(r.at, "missing required property '"+side+"'", "")
			continue
		}
		for _, end := range append([]*tree.Node{n}, n.Items...) {
			if name := end.Get("Id"); name.IsScalar() && l.resources[name.Text] == nil {
				l.unresolved(name.Text, "Resources", name.Pos)
			}
		}
	}
}
