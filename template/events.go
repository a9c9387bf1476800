package template

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// otherEvents are the event types that are not supported, with what is missing.
var otherEvents = map[string]string{
	"Kinesis":             "invocations with records of the stream",
	"S3":                  "invocations with events of the bucket",
	"Schedule":            "invocations on the schedule",
	"ScheduleV2":          "invocations on the schedule",
	"EventBridgeRule":     "invocations with events that match the rule",
	"CloudWatchEvent":     "invocations with events that match the rule",
	"CloudWatchLogs":      "invocations with lines of the log group",
	"Cognito":             "invocations by the user pool",
	"IoTRule":             "invocations by the rule",
	"AlexaSkill":          "invocations by the skill",
	"MSK":                 "invocations with messages of the cluster",
	"MQ":                  "invocations with messages of the broker",
	"SelfManagedKafka":    "invocations with messages of the cluster",
	"DocumentDB":          "invocations with changes of the database",
	"S3Tables":            "invocations with events of the table bucket",
	"WebSocketApi":        "invocations with messages of the WebSocket API",
	"ApiGatewayWebSocket": "invocations with messages of the WebSocket API",
}

// events reads a SAM function's Events. Every event that is supported becomes a route.
func (l *loader) events(r *resource, f *catalog.Function, p *properties, alias string) {
	p.ask("Events")
	section := r.props.Get("Events")
	if section == nil || section.Kind == tree.Broken || section.Kind == tree.Null {
		return
	}
	if section.Kind != tree.Map {
		p.fault("Events", section.Pos, "property 'Events' must be a map, not "+section.Kind.String(), "")
		return
	}
	for _, e := range section.Fields {
		path := "Events." + e.Name
		if name, _ := section.Function(); name != "" || e.Value.Kind != tree.Map {
			p.fault(path, e.Pos, "an event must be a map with Type and Properties", "")
			continue
		}
		for _, attribute := range e.Value.Fields {
			if !slices.Contains([]string{"Type", "Properties"}, attribute.Name) {
				p.fault(path, attribute.Pos, "an event has Type and Properties, not '"+attribute.Name+"'", tree.Near(attribute.Name, []string{"Type", "Properties"}))
			}
		}
		t := e.Value.Get("Type")
		if t == nil || t.Kind != tree.String {
			p.fault(path, e.Pos, "the event "+e.Name+" must have a Type", "")
			continue
		}
		switch missing, other := otherEvents[t.Text]; {
		case t.Text == "SNS":
			l.later = append(l.later, event{r, func() { l.topicEvent(e, f.Name, alias) }})
		case t.Text == "Api" || t.Text == "HttpApi":
			l.later = append(l.later, event{r, func() { l.routeEvent(e, daruma.Target{Function: f.Name, Qualifier: alias}) }})
		case t.Text == "SQS":
			l.later = append(l.later, event{r, func() { l.mappingEvent(e, r.id+e.Name, daruma.Target{Function: f.Name, Qualifier: alias}, "Queue") }})
		case t.Text == "DynamoDB":
			l.later = append(l.later, event{r, func() { l.mappingEvent(e, r.id+e.Name, daruma.Target{Function: f.Name, Qualifier: alias}, "Stream") }})
		case other:
			p.missing(path, t.Pos, "events of type "+t.Text+" are not supported", missing+" ("+e.Name+" of "+r.id+")", "")
		default:
			known := append(slices.Sorted(maps.Keys(otherEvents)), "Api", "HttpApi", "DynamoDB", "SNS", "SQS")
			p.fault(path, t.Pos, "there is no event type "+t.Text, tree.Near(t.Text, known))
		}
	}
}

// eventAPI returns the API that an Api or HttpApi event belongs to, as far as
// that can be seen before anything is worked out; nil for other events.
func (l *loader) eventAPI(event *tree.Node) *apiResource {
	property, implicit := "RestApiId", implicitREST
	switch t := event.Get("Type"); {
	case t == nil:
		return nil
	case t.Text == "HttpApi":
		property, implicit = "ApiId", implicitHTTP
	case t.Text != "Api":
		return nil
	}
	owner := event.Get("Properties").Get(property)
	if owner == nil {
		return (*apiResource)(l.resources[implicit])
	}
	if name, arg := owner.Function(); name == "Ref" {
		return (*apiResource)(l.resources[arg.Text])
	}
	return nil
}

// apiResource is a resource that is an API.
type apiResource resource

// managed says whether SAM writes the API's definition: then events add routes to it, and it waits for their functions.
func (r *apiResource) managed() bool {
	return (r.typ == serverlessAPI || r.typ == serverlessHTTPAPI) && r.props.Get("DefinitionBody") == nil && r.props.Get("DefinitionUri") == nil
}

var (
	methods   = []string{"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "ANY"}
	pathVar   = regexp.MustCompile(`^\{[a-zA-Z0-9._:-]+\+?\}$`)
	pathPlain = regexp.MustCompile(`^[^{}]*$`)
)

// eventProperties works out what a function's event is described with. It
// returns false when that is no map, which is told.
func (l *loader) eventProperties(e tree.Field, node *tree.Node) (*properties, bool) {
	var v *tree.Node
	l.scope.At("Events."+e.Name, func() { v = l.scope.Eval(node) })
	if v == nil || v.Kind != tree.Map {
		if v == nil || v.Kind != tree.Broken {
			l.fault(node.Pos, "the Properties of the event "+e.Name+" must be a map", "")
		}
		return nil, false
	}
	return l.within("Events."+e.Name, v), true
}

// routeEvent reads an Api or an HttpApi event.
func (l *loader) routeEvent(e tree.Field, target daruma.Target) {
	at := e.Pos
	node := e.Value.Get("Properties")
	if node == nil || node.Kind == tree.Null {
		node = &tree.Node{Pos: at, Kind: tree.Map}
	}
	p, ok := l.eventProperties(e, node)
	if !ok {
		return
	}
	route := catalog.Route{Target: target, Position: at.String()}
	var api *api
	if e.Value.Get("Type").Text == "Api" {
		api = l.restEvent(p, &route)
	} else {
		api = l.httpEvent(p, &route)
	}
	p.done()
	if api == nil || route.Path == "" {
		return
	}
	if !api.managed {
		if !api.has(route) {
			l.warn(at, "the event "+e.Name+" adds no route: the API "+api.r.id+" has a definition of its own, without "+route.Method+" "+route.Path, "add it there")
		}
		return
	}
	l.addRoute(api, route, at)
}

// restEvent reads an Api event.
func (l *loader) restEvent(p *properties, route *catalog.Route) *api {
	p.require("Path", "Method")
	l.methodAndPath(p, route)
	route.Payload = "1.0"
	route.Timeout = time.Duration(p.integer("TimeoutInMillis", 50, 300_000, 0)) * time.Millisecond
	route.Stream = p.one("ResponseTransferMode", "BUFFERED", "STREAM") == "STREAM"
	l.auth(p, "the route "+route.Method+" "+route.Path)
	p.refuse("RequestModel", "the validation of bodies: every body reaches the function", "")
	p.refuse("RequestParameters", "the check for required parameters: every request reaches the function", "")
	p.ask("Stage")
	return l.eventOwner(p, "RestApiId", implicitREST, catalog.REST)
}

// httpEvent reads an HttpApi event. With neither path nor method it is the API's default route.
func (l *loader) httpEvent(p *properties, route *catalog.Route) *api {
	switch {
	case !p.has("Path") && !p.has("Method"):
		p.ask("Path", "Method")
		route.Method, route.Path = catalog.AnyMethod, catalog.DefaultRoute
	default:
		p.require("Path", "Method")
		l.methodAndPath(p, route)
	}
	route.Payload = p.one("PayloadFormatVersion", "1.0", "2.0")
	if route.Payload == "" {
		route.Payload = "2.0"
	}
	route.Timeout = time.Duration(p.integer("TimeoutInMillis", 50, 30_000, 0)) * time.Millisecond
	l.auth(p, "the route "+route.Method+" "+route.Path)
	l.routeSettings(p, "RouteSettings")
	p.ask("Stage")
	return l.eventOwner(p, "ApiId", implicitHTTP, catalog.HTTP)
}

// methodAndPath reads Path and Method. The path stays "" when something is wrong.
func (l *loader) methodAndPath(p *properties, route *catalog.Route) {
	method, path := strings.ToUpper(p.text("Method")), p.text("Path")
	if method == "X-AMAZON-APIGATEWAY-ANY-METHOD" || method == "*" {
		method = catalog.AnyMethod
	}
	ok := method != "" && path != ""
	if method != "" && !slices.Contains(methods, method) {
		p.fault("Method", p.at("Method"), fmt.Sprintf("there is no method %q", p.text("Method")), tree.Near(method, methods))
		ok = false
	}
	if path != "" {
		if wrong := wrongPath(path); wrong != "" && path != catalog.DefaultRoute {
			p.fault("Path", p.at("Path"), fmt.Sprintf("the path %q %s", path, wrong), "")
			ok = false
		}
	}
	if ok {
		route.Method, route.Path = method, path
	}
}

// wrongPath says what is wrong with a route's path, or "".
func wrongPath(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "must begin with a slash"
	}
	segments := strings.Split(path[1:], "/")
	seen := map[string]bool{}
	for i, s := range segments {
		switch {
		case pathPlain.MatchString(s):
		case !pathVar.MatchString(s):
			return "may have braces only around a whole segment, as in /pets/{id}"
		case strings.HasSuffix(s, "+}") && i < len(segments)-1:
			return "may have a greedy variable {" + strings.Trim(s, "{}") + "} at its end only"
		case seen[s]:
			return "has the variable " + s + " twice"
		default:
			seen[s] = true
		}
	}
	return ""
}

// eventOwner returns the API an event belongs to, or nil when there is none, which is reported.
func (l *loader) eventOwner(p *properties, property, implicit, kind string) *api {
	v := p.value(property)
	if v == nil {
		if p.has(property) {
			return nil
		}
		return l.apis.byID[id(apiIDLength, l.app.Name, implicit)]
	}
	a := l.apis.byID[v.Text]
	switch {
	case a == nil && len(v.Refs) > 0, a == nil && l.resources[v.Text] == nil:
		p.missing(property, v.Pos, "the API "+v.Text+" is not in this template", "the route to it", "events of an API in the same template name it with Ref")
		return nil
	case a == nil:
		if a = l.apis.byID[l.apiNamed(v.Text)]; a == nil {
			p.fault(property, v.Pos, property+" must be a valid reference to an API in the same template; "+v.Text+" is none", "")
			return nil
		}
	}
	if a.api.Kind != kind {
		p.fault(property, v.Pos, property+" must be a valid reference to an "+kind+" API in the same template; "+a.r.id+" is an "+a.api.Kind+" API", "use an event of type "+map[string]string{catalog.HTTP: "HttpApi", catalog.REST: "Api"}[a.api.Kind])
		return nil
	}
	return a
}

// apiNamed returns the id of the API with a logical ID: SAM takes the bare name for a Ref.
func (l *loader) apiNamed(logical string) string {
	if r := l.resources[logical]; r != nil && r.exists {
		return id10(l, r)
	}
	return ""
}

// auth refuses whatever would keep callers out, by name.
func (l *loader) auth(p *properties, what string) {
	a := p.sub("Auth")
	if a == nil {
		return
	}
	for _, f := range a.node.Fields {
		switch f.Name {
		case "Authorizer", "DefaultAuthorizer", "Authorizers", "ApiKeyRequired", "UsagePlan", "ResourcePolicy", "EnableIamAuthorizer", "AuthorizationScopes", "InvokeRole", "OverrideApiAuth":
			if f.Value.Text == "NONE" || f.Value.Text == "false" || f.Name == "InvokeRole" || f.Name == "OverrideApiAuth" {
				continue
			}
			a.missing(f.Name, f.Pos, "property '"+a.full(f.Name)+"' is not supported", withoutAuth(f.Name, what), "")
		case "AddDefaultAuthorizerToCorsPreflight", "AddApiKeyRequiredToCorsPreflight":
		default:
			if f.Value.Kind != tree.Broken {
				a.fault(f.Name, f.Pos, "property '"+a.full(f.Name)+"' is not defined", tree.Near(f.Name, []string{"Authorizer", "DefaultAuthorizer", "Authorizers", "ApiKeyRequired", "UsagePlan", "ResourcePolicy", "EnableIamAuthorizer", "AuthorizationScopes", "InvokeRole"}))
			}
		}
	}
}

// withoutAuth says what is missing of what without a property of Auth.
func withoutAuth(property, what string) string {
	switch property {
	case "UsagePlan":
		return "the quotas and the throttling of those with an API key"
	case "ApiKeyRequired":
		return "the check of API keys: " + what + " is open to everybody"
	}
	return "the check of who calls: " + what + " is open to everybody"
}

// routeSettings accepts what only measures, and refuses throttling.
func (l *loader) routeSettings(p *properties, name string) {
	s := p.sub(name)
	if s == nil {
		return
	}
	s.accept("DetailedMetricsEnabled", "LoggingLevel", "DataTraceEnabled")
	s.refuse("ThrottlingBurstLimit", "throttling by the gateway", "")
	s.refuse("ThrottlingRateLimit", "throttling by the gateway", "")
	s.done()
}
