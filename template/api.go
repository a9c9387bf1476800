package template

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// The APIs SAM makes for events that name none.
const (
	implicitREST = "ServerlessRestApi"
	implicitHTTP = "ServerlessHttpApi"
)

// apis are the APIs read so far.
type apis struct {
	byID  map[string]*api
	order []*api
	left  map[string]bool // by id: APIs that are not supported, and all that belongs to them is left out with them
}

// api is an API on its way into the catalog.
type api struct {
	api     *catalog.API
	r       *resource
	managed bool // events add routes to it
	cors    *restCORS
	at      map[string]tree.Pos // where each route is, by method and path
}

func key(route catalog.Route) string { return route.Method + " " + route.Path }

func (a *api) has(route catalog.Route) bool {
	_, found := a.at[key(route)]
	if !found && route.Method != catalog.AnyMethod {
		_, found = a.at[catalog.AnyMethod+" "+route.Path]
	}
	return found
}

// newAPI takes an API in and settles its name, owner and id.
func (l *loader) newAPI(r *resource, kind string) *api {
	a := &api{r: r, at: map[string]tree.Pos{}, api: &catalog.API{ID: id10(l, r), LogicalID: r.id, Name: l.app.Name, Kind: kind, Position: r.at.String()}}
	a.api.Owner = l.app.Owner
	if r.node != nil {
		if p := l.darumaOf("Metadata", r.node.Get("Metadata")); p != nil {
			if owner := p.text("Owner"); owner != "" {
				a.api.Owner = owner
			}
			p.done()
		}
	}
	l.apis.byID[a.api.ID] = a
	l.apis.order = append(l.apis.order, a)
	return a
}

// named takes over the API's own name and the owner its tags give.
func (a *api) named(p *properties) {
	if name := p.text("Name"); name != "" {
		a.api.Name = name
	}
	if owner := ownerTag(p.textMap("Tags")); owner != "" {
		a.api.Owner = owner
	}
}

// addRoute adds a route, unless there is one like it. Routes to functions that are left out are left out.
func (l *loader) addRoute(a *api, route catalog.Route, at tree.Pos) {
	if first, taken := a.at[key(route)]; taken {
		l.report(Problem{Position: at, Message: "API method \"" + strings.ToLower(route.Method) + "\" defined multiple times for path \"" + route.Path + "\".", Hint: "the other is at " + first.String()})
		return
	}
	a.at[key(route)] = at
	if route.Mock == nil {
		if f, known := l.functions[route.Target.Function]; known && f == nil {
			return
		}
	}
	a.api.Routes = append(a.api.Routes, route)
}

// implicitAPIs adds the APIs that SAM makes for events that name none, as resources.
func (l *loader) implicitAPIs(g globals) {
	for _, implicit := range []struct{ id, typ, event, property string }{
		{implicitREST, serverlessAPI, "Api", "RestApiId"},
		{implicitHTTP, serverlessHTTPAPI, "HttpApi", "ApiId"},
	} {
		if l.resources[implicit.id] != nil {
			continue
		}
		var at *tree.Pos
		exists := false
		for _, r := range l.order {
			if r.typ != serverlessFunction {
				continue
			}
			for _, e := range fieldsOf(r.props.Get("Events")) {
				if t := e.Value.Get("Type"); t == nil || t.Text != implicit.event || e.Value.Get("Properties").Get(implicit.property) != nil {
					continue
				}
				if at == nil {
					at = &e.Pos
				}
				exists = exists || r.exists
			}
		}
		if at == nil {
			continue
		}
		r := &resource{id: implicit.id, typ: implicit.typ, at: *at, exists: exists, props: &tree.Node{Pos: *at, Kind: tree.Map}}
		if !exists {
			r.node = &tree.Node{Pos: *at, Kind: tree.Map, Fields: []tree.Field{{Name: "Condition", Pos: *at, Value: tree.Text(*at, "of its functions")}}}
		}
		g.merge(l, r)
		l.resources[r.id] = r
		l.order = append(l.order, r)
	}
}

// serverlessAPI reads an AWS::Serverless::Api, all but its routes from events.
func (l *loader) serverlessAPI(r *resource) {
	p := l.properties(r)
	a := l.newAPI(r, catalog.REST)
	a.managed = (*apiResource)(r).managed()
	a.named(p)
	stage := "Prod"
	if r.id != implicitREST || p.has("StageName") {
		p.require("StageName")
		if stage = p.text("StageName"); stage == "" && p.value("StageName") != nil {
			p.fault("StageName", p.at("StageName"), "StageName cannot be empty.", "")
		}
	}
	variables := p.textMap("Variables")
	if stage != "" {
		a.api.Stages = append(a.api.Stages, catalog.Stage{Name: stage, Variables: variables})
	}
	if p.value("OpenApiVersion") == nil && stage != "Stage" {
		// SAM's deployment makes this stage too, unless OpenApiVersion is set.
		a.api.Stages = append(a.api.Stages, catalog.Stage{Name: "Stage"})
	}
	a.api.Binary = binaryTypes(p.texts("BinaryMediaTypes"))
	a.cors = l.restCORS(p)
	if body := p.definition(); body != nil {
		l.openAPI(a, p, body)
	}
	p.refuse("MergeDefinitions", "the merging of DefinitionBody with events", "write the routes in one of them")
	l.auth(p, "the API "+r.id)
	l.methodSettings(p)
	l.restRefusals(p)
	if v := p.value("EndpointConfiguration"); v.IsScalar() {
		if p.one("EndpointConfiguration", "REGIONAL", "EDGE", "PRIVATE") == "PRIVATE" {
			p.refuse("EndpointConfiguration", "the restriction to a private network: the API is open to all who reach this machine", "")
		}
	} else if c := p.sub("EndpointConfiguration"); c != nil {
		if c.one("Type", "REGIONAL", "EDGE", "PRIVATE") == "PRIVATE" {
			c.missing("Type", c.at("Type"), "private endpoints are not supported", "the restriction to a private network: the API is open to all who reach this machine", "")
		}
		c.accept("VPCEndpointIds", "VpcEndpointIds", "IpAddressType")
		c.done()
	}
	p.accept("AccessLogSetting", "TracingEnabled", "Description", "Mode", "AlwaysDeploy", "PropagateTags", "FailOnWarnings", "Models", "ApiKeySourceType", "SecurityPolicy", "EndpointAccessMode", "CacheClusterSize")
	p.done()
}

// restRefusals refuses what would change the answers of a REST API.
func (l *loader) restRefusals(p *properties) {
	p.refuse("Domain", "the custom domain name", "")
	p.refuse("CanarySetting", "the canary stage", "")
	p.refuse("GatewayResponses", "the changed answers of the gateway itself", "")
	p.refuse("MinimumCompressionSize", "compression of answers", "")
	p.refuse("Policy", "the resource policy: the API is open to everybody", "")
	if p.boolean("CacheClusterEnabled") {
		p.refuse("CacheClusterEnabled", "the cache: every request reaches the function", "")
	}
	if p.boolean("DisableExecuteApiEndpoint") {
		p.refuse("DisableExecuteApiEndpoint", "the closing of the API's own address", "")
	}
}

// methodSettings accepts what only measures, and refuses throttling and caching.
func (l *loader) methodSettings(p *properties) {
	for _, item := range p.list("MethodSettings") {
		if item.Kind != tree.Map {
			continue
		}
		s := l.within("MethodSettings", item)
		s.accept("HttpMethod", "ResourcePath", "LoggingLevel", "DataTraceEnabled", "MetricsEnabled", "CacheTtlInSeconds", "CacheDataEncrypted")
		s.refuse("ThrottlingBurstLimit", "throttling by the gateway", "")
		s.refuse("ThrottlingRateLimit", "throttling by the gateway", "")
		if s.boolean("CachingEnabled") {
			s.refuse("CachingEnabled", "the cache: every request reaches the function", "")
		}
		s.done()
	}
}

// binaryTypes undoes how templates write slashes: image~1png.
func binaryTypes(types []string) []string {
	for i, t := range types {
		types[i] = strings.ReplaceAll(t, "~1", "/")
	}
	return types
}

// serverlessHTTPAPI reads an AWS::Serverless::HttpApi, all but its routes from events.
func (l *loader) serverlessHTTPAPI(r *resource) {
	p := l.properties(r)
	a := l.newAPI(r, catalog.HTTP)
	a.managed = (*apiResource)(r).managed()
	a.named(p)
	stage := p.text("StageName")
	if stage == "" {
		stage = catalog.DefaultStage
	}
	a.api.Stages = []catalog.Stage{{Name: stage, Variables: p.textMap("StageVariables")}}
	if body := p.definition(); body != nil {
		l.openAPI(a, p, body)
	}
	if c := p.value("CorsConfiguration"); c != nil {
		switch {
		case c.Kind == tree.Map:
			cors := l.within("CorsConfiguration", c)
			a.api.CORS = corsOf(cors)
			cors.done()
		case c.Kind == tree.List:
			a.api.CORS = &catalog.CORS{Origins: p.texts("CorsConfiguration")}
		case c.Kind == tree.Bool || c.Text == "true" || c.Text == "false":
			if c.Text == "true" {
				a.api.CORS = &catalog.CORS{Origins: []string{"*"}}
			}
		default:
			p.fault("CorsConfiguration", c.Pos, "Invalid value for 'Cors' property.", "it is true or a map")
		}
	}
	l.auth(p, "the API "+r.id)
	l.routeSettings(p, "DefaultRouteSettings")
	if s := p.sub("RouteSettings"); s != nil {
		for _, f := range s.node.Fields {
			l.routeSettings(s, f.Name)
		}
	}
	p.refuse("Domain", "the custom domain name", "")
	if p.boolean("DisableExecuteApiEndpoint") {
		p.refuse("DisableExecuteApiEndpoint", "the closing of the API's own address", "")
	}
	p.accept("AccessLogSettings", "FailOnWarnings", "Description", "PropagateTags", "IpAddressType")
	p.done()
}

// addAPIs takes the finished APIs into the app. An implicit API without routes does not exist.
func (l *loader) addAPIs() {
	for _, a := range l.apis.order {
		if a.cors != nil {
			a.cors.preflights(a)
		}
		slices.SortStableFunc(a.api.Routes, func(x, y catalog.Route) int {
			if c := strings.Compare(x.Path, y.Path); c != 0 {
				return c
			}
			return strings.Compare(x.Method, y.Method)
		})
		l.app.APIs = append(l.app.APIs, a.api)
	}
}
