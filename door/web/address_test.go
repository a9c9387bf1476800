package web

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/catalog"
)

func TestEveryWayToAddressAnAPI(t *testing.T) {
	staged := httpAPIOf("Staged", "GET /s")
	staged.Stages = []catalog.Stage{{Name: "live"}}
	w := open(t, answering(plain), setup{
		apis: []*catalog.API{restAPIOf("Rest", "Prod", "GET /r", "GET /both"), httpAPIOf("Web", "GET /h", "GET /both", "GET /Prod/only"), staged},
		functions: []*catalog.Function{
			urlOf("Fn", catalog.URL{}),
		},
	})
	for _, c := range []struct {
		host, path string
		status     int
		target     string // the function that is asked
		full       string // the path it is told, stage included
		domain     string
	}{
		{"rest0000.execute-api.eu-central-1.amazonaws.com", "/Prod/r", 200, "GET /r", "/Prod/r", "rest0000.execute-api.eu-central-1.amazonaws.com"},
		{"REST0000.Execute-API.eu-central-1.example.test:3000", "/Prod/r", 200, "GET /r", "/Prod/r", "rest0000.execute-api.eu-central-1.example.test"},
		{"rest0000.execute-api.localhost:3000", "/Prod/r", 200, "GET /r", "/Prod/r", "rest0000.execute-api.localhost"},
		{"rest0000.execute-api.localhost", "/r", 403, "", "", ""},                    // by host the stage is needed, as on AWS
		{"rest0000.execute-api.us-east-1.amazonaws.com", "/Prod/r", 403, "", "", ""}, // another region
		{"nobody.execute-api.localhost", "/Prod/r", 403, "", "", ""},
		{"web0000.execute-api.eu-central-1.amazonaws.com", "/h", 200, "GET /h", "/h", "web0000.execute-api.eu-central-1.amazonaws.com"},
		{"staged0000.execute-api.localhost", "/live/s", 200, "GET /s", "/live/s", "staged0000.execute-api.localhost"},
		{"staged0000.execute-api.localhost", "/s", 404, "", "", ""},
		{"fnurl.lambda-url.eu-central-1.on.aws", "/any/path", 200, "Fn", "/any/path", "fnurl.lambda-url.eu-central-1.on.aws"},
		{"fnurl.lambda-url.localhost:3000", "/", 200, "Fn", "/", "fnurl.lambda-url.localhost"},
		{"other.lambda-url.localhost:3000", "/", 403, "", "", ""},
		{"fnurl.execute-api.localhost", "/", 403, "", "", ""}, // a URL is not an API

		{"", "/_/Rest/Prod/r", 200, "GET /r", "/Prod/r", "rest0000.execute-api.eu-central-1.amazonaws.com"},
		{"", "/_/Rest/r", 403, "", "", ""},
		{"", "/_/Web/h", 200, "GET /h", "/h", "web0000.execute-api.eu-central-1.amazonaws.com"},
		{"", "/_/Staged/live/s", 200, "GET /s", "/live/s", "staged0000.execute-api.eu-central-1.amazonaws.com"},
		{"", "/_/Fn/a/b", 200, "Fn", "/a/b", "fnurl.lambda-url.eu-central-1.on.aws"},
		{"", "/_/Fn", 200, "Fn", "/", "fnurl.lambda-url.eu-central-1.on.aws"},
		{"", "/_/Nobody/h", 404, "", "", ""},

		{"", "/Prod/r", 200, "GET /r", "/Prod/r", "rest0000.execute-api.eu-central-1.amazonaws.com"},
		{"localhost:3000", "/Prod/both", 200, "GET /both", "/Prod/both", "rest0000.execute-api.eu-central-1.amazonaws.com"},
		{"my-host.example", "/both", 200, "GET /both", "/both", "web0000.execute-api.eu-central-1.amazonaws.com"}, // $default before a REST API without its stage
		{"", "/live/s", 200, "GET /s", "/live/s", "staged0000.execute-api.eu-central-1.amazonaws.com"},
		{"", "/r", 200, "GET /r", "/Prod/r", "rest0000.execute-api.eu-central-1.amazonaws.com"}, // the only REST API: its stage may be left out
		{"", "/Prod/only", 200, "GET /Prod/only", "/Prod/only", "web0000.execute-api.eu-central-1.amazonaws.com"},
		{"", "/Prod/nothing", 403, "", "", ""},
		{"", "/nothing", 404, "", "", ""},
	} {
		t.Run(c.host+c.path, func(t *testing.T) {
			before := w.runner.count()
			var header []string
			if c.host != "" {
				header = []string{"Host: " + c.host}
			}
			got := w.do("GET", c.path, "", header...)
			if got.StatusCode != c.status {
				t.Fatalf("got %d %s, want %d", got.StatusCode, got.body, c.status)
			}
			if c.target == "" {
				same(t, "runs", w.runner.count()-before, 0)
				return
			}
			same(t, "function", w.runner.last(t).Target.Function, c.target)
			e := w.event()
			full := at(e, "requestContext", "http", "path")
			if full == missing {
				full = at(e, "requestContext", "path")
			}
			same(t, "path", full, any(c.full))
			same(t, "domainName", at(e, "requestContext", "domainName"), any(c.domain))
			prefix, _, _ := strings.Cut(c.domain, ".")
			same(t, "domainPrefix", at(e, "requestContext", "domainPrefix"), any(prefix))
		})
	}
}

func TestSeveralAPIsAreAskedByLogicalID(t *testing.T) {
	a, b := httpAPIOf("A", "$default"), httpAPIOf("B", "GET /b")
	a.Routes[0].Target.Function, b.Routes[0].Target.Function = "a", "b"
	w := open(t, answering(plain), setup{apis: []*catalog.API{b, a}})
	for path, want := range map[string]string{"/b": "b", "/x": "a"} { // $default routes come last
		w.do("GET", path, "")
		same(t, path, w.runner.last(t).Target.Function, want)
	}
}

func TestTwoRESTAPIsBothNeedTheirStage(t *testing.T) {
	w := open(t, answering(plain), setup{apis: []*catalog.API{restAPIOf("A", "Prod", "GET /a"), restAPIOf("B", "Prod", "GET /b")}})
	w.do("GET", "/Prod/a", "").is(t, 200, "ok")
	w.do("GET", "/Prod/b", "").is(t, 200, "ok")
	w.do("GET", "/b", "").is(t, 404, `{"message":"Not Found"}`)
}

func TestAnEmptyAppAnswersNotFound(t *testing.T) {
	open(t, answering(plain), setup{}).do("GET", "/", "").is(t, 404, `{"message":"Not Found"}`)
}

func TestANewCatalogIsServedAtOnce(t *testing.T) {
	view := catalog.NewView(testPlace, nil, nil, []*catalog.API{httpAPIOf("Api", "GET /old")}, nil)
	runner := answering(plain)
	w := open(t, runner, setup{})
	w.door.cfg.View = func() *catalog.View { return view }
	w.do("GET", "/old", "").is(t, 200, "ok")
	view = catalog.NewView(testPlace, nil, nil, []*catalog.API{httpAPIOf("Api", "GET /new")}, nil)
	w.do("GET", "/old", "").is(t, 404, `{"message":"Not Found"}`)
	w.do("GET", "/new", "").is(t, 200, "ok")
}

func TestURLsAreShortWhereNothingElseCouldAnswer(t *testing.T) {
	second := httpAPIOf("Second", "$default")
	second.Stages = append(second.Stages, catalog.Stage{Name: "live"})
	second.Routes = append(second.Routes, catalog.Route{Method: "GET", Path: "/x", Stages: []string{"live"}})
	view := catalog.NewView(testPlace, []*catalog.Function{urlOf("Fn", catalog.URL{}), urlOf("Signed", catalog.URL{Auth: catalog.AuthIAM}), {Name: "Plain", LogicalID: "Plain", Version: catalog.Latest}}, nil,
		[]*catalog.API{restAPIOf("Rest", "Prod", "GET /r", "ANY /{proxy+}"), httpAPIOf("First", "GET /h"), second}, nil)
	got := URLs(view, "127.0.0.1:3000")
	want := []Address{
		{"First", catalog.HTTP, catalog.DefaultStage, "http://127.0.0.1:3000/_/First", []string{"GET /h"}, ""},
		{"Rest", catalog.REST, "Prod", "http://127.0.0.1:3000/Prod", []string{"GET /r", "ANY /{proxy+}"}, ""},
		{"Second", catalog.HTTP, catalog.DefaultStage, "http://127.0.0.1:3000/_/Second", []string{"$default"}, ""},
		{"Second", catalog.HTTP, "live", "http://127.0.0.1:3000/live", []string{"$default", "GET /x"}, ""},
		{"Fn", KindURL, "", "http://127.0.0.1:3000/_/Fn/", nil, ""},
		{"Signed", KindURL, "", "http://127.0.0.1:3000/_/Signed/", nil, catalog.AuthIAM},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzAddressing(f *testing.F) {
	view := catalog.NewView(testPlace, []*catalog.Function{urlOf("Fn", catalog.URL{})}, nil,
		[]*catalog.API{restAPIOf("Rest", "Prod", "GET /r/{id}", "ANY /{proxy+}"), httpAPIOf("Web", "GET /h/{id}", "$default")}, nil)
	s := newSite(view)
	for _, seed := range [][2]string{{"rest0000.execute-api.localhost:1", "/Prod/r/1"}, {"", "/_/Web/h/%2F"}, {"[::1]:3000", "//"}, {"fnurl.lambda-url.eu-central-1.on.aws", "/%"}, {".execute-api..", "/_/"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, path string) {
		if !strings.HasPrefix(path, "/") {
			return
		}
		q := search{method: "GET"}
		to := s.aim(&q, host, path, "")
		if to.lost != "" {
			return
		}
		if to.api == nil && to.url == nil {
			t.Fatal("an app that takes every path took this one nowhere")
		}
		if !strings.HasPrefix(to.full, "/") || !strings.HasPrefix(to.path, "/") {
			t.Fatalf("paths %q and %q do not begin with a slash", to.full, to.path)
		}
		if !strings.HasSuffix(to.full, to.path) && to.path != "/" {
			t.Fatalf("path %q is not the end of %q", to.path, to.full)
		}
		if to.route != nil && len(to.route.names) != len(q.values) {
			t.Fatalf("route %s has %d parameters, found %q", to.route.key, len(to.route.names), q.values)
		}
	})
}

func TestNamesOfAPIsAndFunctionURLsAreToldFromOthers(t *testing.T) {
	for host, want := range map[string]bool{
		"abcdefghij.execute-api.us-east-1.amazonaws.com": true, "ABC.Execute-API.eu-west-1.amazonaws.com:443": true,
		"abc.lambda-url.us-east-1.on.aws": true, "abc.lambda-url.us-east-1.on.aws.": true,
		"lambda.us-east-1.amazonaws.com": false, "execute-api.us-east-1.amazonaws.com": false, "abc.execute-api": false,
		"execute-api": false, "": false, "127.0.0.1:3000": false, "checkip.amazonaws.com": false,
	} {
		if got := IsAddress(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}
