package web

import (
	"context"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

var anyCORS = catalog.CORS{Origins: []string{"https://a.example", "http://*"}, Methods: []string{"GET", "POST"}, Headers: []string{"x-a", "x-b"}, Expose: []string{"x-c"}, MaxAge: 600, Credentials: true}

func corsSetup(c *catalog.CORS) setup {
	api := httpAPIOf("Web", "GET /a", "OPTIONS /own")
	api.CORS = c
	return setup{apis: []*catalog.API{api}, functions: []*catalog.Function{urlOf("Fn", catalog.URL{CORS: c, Auth: catalog.AuthIAM})}}
}

const corsPlain = `{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"https://evil","access-control-allow-methods":"X","x-own":"1"},"body":"ok"}`

func TestPreflightsAreAnsweredWithoutTheFunction(t *testing.T) {
	w := open(t, answering(corsPlain), corsSetup(&anyCORS))
	for path, status := range map[string]int{"/a": 204, "/own": 204, "/nothing": 204, "/_/Fn/x": 200} {
		got := w.do("OPTIONS", path, "", "Origin: https://a.example", "Access-Control-Request-Method: GET")
		got.is(t, status, "")
		got.has(t, "Access-Control-Allow-Origin", "https://a.example")
		got.has(t, "Access-Control-Allow-Methods", "GET,POST")
		got.has(t, "Access-Control-Allow-Headers", "x-a,x-b")
		got.has(t, "Access-Control-Max-Age", "600")
		got.has(t, "Access-Control-Allow-Credentials", "true")
		got.has(t, "Access-Control-Expose-Headers", "x-c")

		got = w.do("OPTIONS", path, "", "Origin: https://b.example", "Access-Control-Request-Method: GET")
		got.is(t, status, "")
		for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Credentials"} {
			got.has(t, name, "")
		}
	}
	same(t, "runs", w.runner.count(), 0)
}

func TestAnOPTIONSRequestThatIsNoPreflightIsAnOrdinaryOne(t *testing.T) {
	w := open(t, answering(corsPlain), corsSetup(&anyCORS))
	w.do("OPTIONS", "/own", "", "Origin: https://a.example").is(t, 200, "ok")
	w.do("OPTIONS", "/own", "", "Access-Control-Request-Method: GET").is(t, 200, "ok")
	w.do("OPTIONS", "/a", "", "Origin: https://a.example").is(t, 404, `{"message":"Not Found"}`)
	w = open(t, answering(corsPlain), corsSetup(nil))
	w.do("OPTIONS", "/own", "", "Origin: https://a.example", "Access-Control-Request-Method: GET").is(t, 200, "ok")
	w.do("OPTIONS", "/a", "", "Origin: https://a.example", "Access-Control-Request-Method: GET").is(t, 404, `{"message":"Not Found"}`)
}

func TestTheConfigurationOverridesTheFunctionsCORSHeaders(t *testing.T) {
	s := corsSetup(&anyCORS)
	s.functions[0].URL.Auth = catalog.AuthNone
	w := open(t, answering(corsPlain), s)
	for _, path := range []string{"/a", "/_/Fn/"} {
		got := w.do("GET", path, "", "Origin: http://localhost:5173")
		got.has(t, "Access-Control-Allow-Origin", "http://localhost:5173")
		got.has(t, "Access-Control-Allow-Methods", "")
		got.has(t, "Access-Control-Expose-Headers", "x-c")
		got.has(t, "Access-Control-Allow-Credentials", "true")
		got.has(t, "X-Own", "1")
		for _, origin := range [][]string{{"Origin: https://evil"}, nil} {
			w.do("GET", path, "", origin...).has(t, "Access-Control-Allow-Origin", "")
		}
	}
}

func TestAnyOriginIsAnsweredWithAStar(t *testing.T) {
	w := open(t, answering(corsPlain), corsSetup(&catalog.CORS{Origins: []string{"*"}, Methods: []string{"*"}}))
	got := w.do("GET", "/a", "", "Origin: https://x.example")
	got.has(t, "Access-Control-Allow-Origin", "*")
	got.has(t, "Access-Control-Allow-Credentials", "")
	w.do("OPTIONS", "/a", "", "Origin: https://x.example", "Access-Control-Request-Method: PUT").has(t, "Access-Control-Allow-Methods", "*")
}

func TestRefusalsCarryCORSHeadersToo(t *testing.T) {
	w := open(t, ending(daruma.Outcome{Kind: daruma.Crashed}), corsSetup(&anyCORS))
	for path, status := range map[string]int{"/a": 500, "/nothing": 404} {
		got := w.do("GET", path, "", "Origin: https://a.example")
		same(t, path, got.StatusCode, status)
		got.has(t, "Access-Control-Allow-Origin", "https://a.example")
	}
}

func TestWithoutConfigurationTheFunctionsCORSHeadersStay(t *testing.T) {
	w := open(t, answering(corsPlain), corsSetup(nil))
	w.do("GET", "/a", "", "Origin: https://a.example").has(t, "Access-Control-Allow-Origin", "https://evil")
}

func TestARESTAPIAnswersOPTIONSFromItsMock(t *testing.T) {
	api := restAPIOf("Rest", "Prod", "GET /a")
	api.Routes = append(api.Routes, catalog.Route{Method: "OPTIONS", Path: "/a", Mock: &catalog.Mock{Status: 200, Headers: map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET,OPTIONS"}}})
	runner := answering(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"https://own"}}`)
	w := open(t, runner, setup{apis: []*catalog.API{api}})
	got := w.do("OPTIONS", "/Prod/a", "", "Origin: https://x", "Access-Control-Request-Method: GET")
	got.is(t, 200, "")
	got.has(t, "Access-Control-Allow-Origin", "*")
	got.has(t, "Access-Control-Allow-Methods", "GET,OPTIONS")
	got.has(t, "Content-Type", "application/json")
	same(t, "runs", runner.count(), 0)
	w.do("GET", "/Prod/a", "").has(t, "Access-Control-Allow-Origin", "https://own") // the function's own affair
}

func TestAPreflightOnTheBareHostFindsTheAPIThatHasTheRoute(t *testing.T) {
	a, b := httpAPIOf("A", "GET /a"), httpAPIOf("B", "GET /b")
	a.CORS, b.CORS = &catalog.CORS{Origins: []string{"https://a"}}, &catalog.CORS{Origins: []string{"https://b"}}
	runner := &fakeRunner{run: func(context.Context, daruma.Invocation) daruma.Outcome { panic("the function ran") }}
	w := open(t, runner, setup{apis: []*catalog.API{a, b}})
	w.do("OPTIONS", "/b", "", "Origin: https://b", "Access-Control-Request-Method: GET").has(t, "Access-Control-Allow-Origin", "https://b")
	w.do("OPTIONS", "/a", "", "Origin: https://a", "Access-Control-Request-Method: GET").has(t, "Access-Control-Allow-Origin", "https://a")
}
