package template

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

func TestEventsBecomeRoutes(t *testing.T) {
	app := loads(t, sam+function("F", `AutoPublishAlias: live
Events:
  A: { Type: Api, Properties: { Path: '/a/{id}', Method: Get, TimeoutInMillis: 5000, ResponseTransferMode: STREAM } }
  B: { Type: Api, Properties: { Path: '/b/{proxy+}', Method: any } }
  C: { Type: HttpApi, Properties: { Path: /c, Method: POST, PayloadFormatVersion: '1.0', TimeoutInMillis: 1000 } }
  D: { Type: HttpApi }
  E: { Type: HttpApi, Properties: { Path: /e, Method: any } }`))
	http, rest := app.APIs[0], app.APIs[1]
	live := daruma.Target{Function: "F", Qualifier: "live"}
	for _, c := range []struct {
		api  *catalog.API
		want catalog.Route
	}{
		{rest, catalog.Route{Method: "GET", Path: "/a/{id}", Target: live, Payload: "1.0", Timeout: 5 * time.Second, Stream: true}},
		{rest, catalog.Route{Method: "ANY", Path: "/b/{proxy+}", Target: live, Payload: "1.0"}},
		{http, catalog.Route{Method: "POST", Path: "/c", Target: live, Payload: "1.0", Timeout: time.Second}},
		{http, catalog.Route{Method: "ANY", Path: "$default", Target: live, Payload: "2.0"}},
		{http, catalog.Route{Method: "ANY", Path: "/e", Target: live, Payload: "2.0"}},
	} {
		got := route(t, c.api, c.want.Method, c.want.Path)
		got.Position = ""
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("route (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]catalog.Stage{{Name: "Prod"}, {Name: "Stage"}}, rest.Stages); diff != "" {
		t.Errorf("stages of the implicit REST API (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]catalog.Stage{{Name: "$default"}}, http.Stages); diff != "" {
		t.Errorf("stages of the implicit HTTP API (-want +got):\n%s", diff)
	}
}

func TestWrongEventsAreRefused(t *testing.T) {
	with := func(event string) string { return sam + function("F", "Events: { E: "+event+" }") }
	wrong(t, []line{
		{"no method", with("{ Type: Api, Properties: { Path: / } }"), "missing required property 'Events.E.Method'"},
		{"HTTP path without method", with("{ Type: HttpApi, Properties: { Path: / } }"), "missing required property 'Events.E.Method'"},
		{"method", with("{ Type: Api, Properties: { Path: /, Method: fetch } }"), `there is no method "fetch"`},
		{"path", with("{ Type: Api, Properties: { Path: a, Method: get } }"), `the path "a" must begin with a slash`},
		{"half a variable", with("{ Type: Api, Properties: { Path: '/a{b}', Method: get } }"), "only around a whole segment"},
		{"greedy in the middle", with("{ Type: Api, Properties: { Path: '/{a+}/b', Method: get } }"), "at its end only"},
		{"payload", with("{ Type: HttpApi, Properties: { Path: /, Method: get, PayloadFormatVersion: 3.0 } }"), "must be one of 1.0, 2.0"},
		{"unknown property", with("{ Type: HttpApi, Properties: { Path: /, Method: get, Pth: x } }"), "property 'Events.E.Pth' is not defined"},
		{"no type", with("{ Properties: {} }"), "the event E must have a Type"},
		{"the same route twice", sam + function("F", "Events: { A: { Type: Api, Properties: { Path: /, Method: get } }, B: { Type: Api, Properties: { Path: /, Method: GET } } }"), `API method "get" defined multiple times for path "/".`},
		{"the wrong kind of API", sam + function("F", "Events: { A: { Type: Api, Properties: { Path: /, Method: get, RestApiId: !Ref H } } }") + "  H: { Type: AWS::Serverless::HttpApi }\n", "H is an HTTP API (use an event of type HttpApi)"},
		{"no API", sam + function("F", "Events: { A: { Type: Api, Properties: { Path: /, Method: get, RestApiId: F } } }"), "RestApiId must be a valid reference to an API"},
	})
	refused(t, []line{
		{"authorizer", with("{ Type: Api, Properties: { Path: /, Method: get, Auth: { Authorizer: A } } }"), "without it: the check of who calls: the route GET / is open to everybody"},
		{"foreign API", with("{ Type: Api, Properties: { Path: /, Method: get, RestApiId: abcdefghij } }"), "the API abcdefghij is not in this template"},
		{"model", with("{ Type: Api, Properties: { Path: /, Method: get, RequestModel: { Model: M } } }"), "the validation of bodies"},
		{"throttling", with("{ Type: HttpApi, Properties: { Path: /, Method: get, RouteSettings: { ThrottlingBurstLimit: 1 } } }"), "throttling by the gateway"},
	})
}

func TestAnAPIsPropertiesAreRead(t *testing.T) {
	app := loads(t, sam+`Globals:
  Api: { BinaryMediaTypes: ['image~1png'], Cors: "'*'" }
`+function("F", "Events: { E: { Type: Api, Properties: { Path: /, Method: get, RestApiId: !Ref A } }, H: { Type: HttpApi, Properties: { ApiId: !Ref B } } }")+`  A:
    Type: AWS::Serverless::Api
    Properties: { StageName: v1, Name: named, OpenApiVersion: 3.0.1, BinaryMediaTypes: ['*~1*'], Variables: { a: 1 }, TracingEnabled: true, EndpointConfiguration: REGIONAL, Tags: { owner: me } }
  B:
    Type: AWS::Serverless::HttpApi
    Properties: { StageName: beta, StageVariables: { b: c }, CorsConfiguration: { AllowOrigins: [https://x], AllowMethods: [GET], AllowHeaders: [h], ExposeHeaders: [e], MaxAge: 9, AllowCredentials: true } }
`)
	a, b := app.APIs[0], app.APIs[1]
	if a.Name != "named" || a.Owner != "me" || a.Kind != "REST" || b.Name != "app" || b.Kind != "HTTP" {
		t.Errorf("got %s of %s, %s and %s, %s; want named of me, REST and app, HTTP", a.Name, a.Owner, a.Kind, b.Name, b.Kind)
	}
	if diff := cmp.Diff([]catalog.Stage{{Name: "v1", Variables: map[string]string{"a": "1"}}}, a.Stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"image/png", "*/*"}, a.Binary); diff != "" {
		t.Errorf("binary types (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&catalog.CORS{Origins: []string{"https://x"}, Methods: []string{"GET"}, Headers: []string{"h"}, Expose: []string{"e"}, MaxAge: 9, Credentials: true}, b.CORS); diff != "" {
		t.Errorf("CORS (-want +got):\n%s", diff)
	}
	if r := route(t, a, "OPTIONS", "/"); r.Mock == nil || r.Mock.Status != 200 || r.Mock.Headers["Access-Control-Allow-Origin"] != "*" || r.Mock.Headers["Access-Control-Allow-Methods"] != "GET,OPTIONS" {
		t.Errorf("got the preflight %+v, want 200 for * and GET,OPTIONS", r.Mock)
	}
	if len(app.Unsupported) != 0 {
		t.Errorf("got %v, want nothing unsupported", app.Unsupported)
	}
}

func TestWrongAPIsAreRefused(t *testing.T) {
	rest := func(properties string) string {
		return sam + "Resources:\n  A: { Type: AWS::Serverless::Api, Properties: { StageName: v1, " + properties + " } }\n"
	}
	http := func(properties string) string {
		return sam + "Resources:\n  A: { Type: AWS::Serverless::HttpApi, Properties: { " + properties + " } }\n"
	}
	body := func(b string) string {
		return "DefinitionBody: { openapi: 3.0.1, paths: { /x: { get: { x-amazon-apigateway-integration: " + b + " } } } }"
	}
	wrong(t, []line{
		{"no stage", sam + "Resources:\n  A: { Type: AWS::Serverless::Api, Properties: { Name: a } }\n", "missing required property 'StageName'"},
		{"empty stage", strings.Replace(rest("Name: a"), "v1", "''", 1), "StageName cannot be empty."},
		{"unquoted origin", rest("Cors: '*'"), "must be in single quotes"},
		{"credentials for everybody", rest("Cors: { AllowCredentials: true }"), "can not be true when 'AllowOrigin'"},
		{"unknown CORS key", rest("Cors: { AllowOrigins: x }"), "property 'Cors.AllowOrigins' is not defined (did you mean AllowOrigin?)"},
		{"CORS that is a word", http("CorsConfiguration: maybe"), "Invalid value for 'Cors' property."},
		{"no integration", rest("DefinitionBody: { openapi: 3.0.1, paths: { /x: { get: {} } } }"), "No integration defined for method GET /x"},
		{"no version", rest("DefinitionBody: { paths: {} }"), "must say openapi or swagger"},
		{"path that is a word", rest("DefinitionBody: { openapi: 3.0.1, paths: { /x: y } }"), "the path /x must be a map"},
		{"HTTP without payload version", http(body("{ type: aws_proxy, uri: x }")), "must have payloadFormatVersion 1.0 or 2.0"},
		{"unknown property", http("CorsConfig: true"), "property 'CorsConfig' is not defined"},
	})
	refused(t, []line{
		{"authorizers", rest("Auth: { DefaultAuthorizer: X }"), "property 'Auth.DefaultAuthorizer' is not supported"},
		{"API key", rest("Auth: { ApiKeyRequired: true }"), "without it: the check of API keys: the API A is open to everybody"},
		{"usage plan", rest("Auth: { UsagePlan: { CreateUsagePlan: PER_API } }"), "without it: the quotas and the throttling of those with an API key"},
		{"domain", http("Domain: { DomainName: x }"), "the custom domain name"},
		{"throttling", http("DefaultRouteSettings: { ThrottlingRateLimit: 1 }"), "throttling by the gateway"},
		{"gateway responses", rest("GatewayResponses: { DEFAULT_4XX: {} }"), "the changed answers of the gateway itself"},
		{"private", rest("EndpointConfiguration: { Type: PRIVATE }"), "private endpoints are not supported"},
		{"canary", rest("CanarySetting: { PercentTraffic: 1 }"), "the canary stage"},
		{"cache", rest("CacheClusterEnabled: true"), "every request reaches the function"},
		{"HTTP integration", rest(body("{ type: http_proxy, uri: 'https://x' }")), "integrations of type http_proxy are not supported; without it: the route GET /x"},
		{"service integration", http(body("{ type: aws_proxy, integrationSubtype: SQS-SendMessage, payloadFormatVersion: '1.0' }")), "integrations with other services are not supported"},
		{"stage variable", rest(body("{ type: aws_proxy, uri: 'arn:${stageVariables.f}' }")), "functions that a stage variable names are not supported"},
		{"another function", rest(body("{ type: aws_proxy, uri: 'arn:aws:lambda:us-east-1:123456789012:function:other' }")), "is no function of this template; without it: GET /x"},
		{"security", rest("DefinitionBody: { openapi: 3.0.1, security: [{ k: [] }], paths: {} }"), "security of an API is not supported"},
	})
}

func TestEventsOfAnAPIWithADefinitionAddNothing(t *testing.T) {
	app := loads(t, sam+function("F", "Events: { E: { Type: Api, Properties: { Path: /, Method: get, RestApiId: !Ref A } } }")+"  A: { Type: AWS::Serverless::Api, Properties: { StageName: v1, DefinitionBody: { openapi: 3.0.1, paths: {} } } }\n")
	if len(app.APIs[0].Routes) != 0 || len(app.Warnings) != 1 {
		t.Errorf("got routes %v and %v, want none and a warning", app.APIs[0].Routes, app.Warnings)
	}
}

func TestOutputsPointToLocalAddresses(t *testing.T) {
	text := sam + function("F", "FunctionUrlConfig: { AuthType: NONE }", "Events: { A: { Type: Api, Properties: { Path: /, Method: get } }, H: { Type: HttpApi } }") + `Outputs:
  O1: { Value: !Sub 'https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/Prod/hello/?x=1' }
  O2: { Value: !Sub '${ServerlessHttpApi.ApiEndpoint}/hello' }
  O3: { Value: !GetAtt FUrl.FunctionUrl }
  O4: { Value: https://abcdefghij.execute-api.us-east-1.amazonaws.com/x }
`
	app, problems := read(t, text, Options{})
	if app == nil {
		t.Fatal(problems)
	}
	app.PointTo(Addresses{
		API: func(a *catalog.API, stage string) string {
			return map[string]string{"REST Prod": "http://127.0.0.1:3000/Prod", "HTTP $default": "http://127.0.0.1:3001"}[a.Kind+" "+stage]
		},
		Function: func(f *catalog.Function) string { return "http://" + f.Name + ".localhost:3000/" },
	})
	for i, want := range []string{"http://127.0.0.1:3000/Prod/hello/?x=1", "http://127.0.0.1:3001/hello", "http://F.localhost:3000/", "https://abcdefghij.execute-api.us-east-1.amazonaws.com/x"} {
		if got := app.Outputs[i].Value; got != want {
			t.Errorf("output %d is %s, want %s", i+1, got, want)
		}
	}
	if !strings.Contains(app.Outputs[0].Declared, ".execute-api.us-east-1.amazonaws.com/Prod/hello/") {
		t.Errorf("declared is %s, want the address on AWS", app.Outputs[0].Declared)
	}
}
