package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/quote"
)

var update = flag.Bool("update", false, "write the golden events anew")

// noon is when every event of these tests happens.
var noon = time.Date(2020, time.March, 12, 19, 3, 58, 390_000_000, time.UTC)

// golden compares an event with a file, but for what differs by design.
func golden(t *testing.T, name string, event []byte) {
	t.Helper()
	for _, r := range []struct{ from, to string }{
		{`"requestId":"[^"]*"`, `"requestId":"ID"`},
		{`"extendedRequestId":"[^"]*"`, `"extendedRequestId":"SHORT"`},
		{`Root=1-5e6a879e-[0-9a-f]{24}`, `Root=1-5e6a879e-RANDOM`},
		{`127\.0\.0\.1:\d+`, `127.0.0.1:PORT`},
		{`(?i)("x-forwarded-port":\[?)"\d+"`, `$1"PORT"`},
	} {
		event = regexp.MustCompile(r.from).ReplaceAll(event, []byte(r.to))
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, event, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), pretty.String()); d != "" {
		t.Error(d)
	}
}

// shopAPIs are one API of each kind with the same routes.
func shopAPIs() []*catalog.API {
	web, rest, old := httpAPIOf("Web", "ANY /web/{kind}/{rest+}", "$default"), restAPIOf("Rest", "Prod", "POST /shop/{proxy+}", "GET /shop"), httpAPIOf("Old", "POST /old/{id}")
	web.Stages = []catalog.Stage{{Name: catalog.DefaultStage, Variables: map[string]string{"colour": "red"}}, {Name: "live"}}
	old.Stages = []catalog.Stage{{Name: "v1", Variables: map[string]string{"k": "v"}}}
	old.Routes[0].Payload = "1.0"
	rest.Stages[0].Variables = map[string]string{"table": "orders"}
	return []*catalog.API{web, rest, old}
}

func shop(t *testing.T) *world {
	return open(t, answering(plain), setup{apis: shopAPIs(), functions: []*catalog.Function{urlOf("Fn", catalog.URL{Qualifier: "live"})}, clock: &fixedClock{at: noon}})
}

var busyHeaders = []string{"User-Agent: agent/1", "Accept: */*", "Accept-Encoding: gzip", "X-Twice: 1", "X-Twice: 2", "Cookie: a=1; b=2", "Cookie: c=3", "Content-Type: application/json"}

func TestEventsMatchTheirGoldenFiles(t *testing.T) {
	for _, c := range []struct{ name, method, path, body string }{
		{"http-2.0", "POST", "/web/cats/a%2Fb/c?q=1&q=2&e=&x=%26+y", `{"a":1}`},
		{"http-2.0-default", "GET", "/", ""},
		{"http-2.0-stage", "GET", "/live/web/a/b", ""},
		{"http-1.0", "POST", "/v1/old/a%20b?q=1&q=2", `{"a":1}`},
		{"rest", "POST", "/Prod/shop/x/y/?q=1&q=2&e=", `{"a":1}`},
		{"rest-empty", "GET", "/Prod/shop", ""},
		{"url", "PUT", "/_/Fn/a%2Fb?multiQuery=foo&multiQuery=%2Fbar", "text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := shop(t)
			var headers []string
			if c.body != "" {
				headers = busyHeaders
			} else {
				headers = []string{"User-Agent: agent/1", "Accept-Encoding: gzip"}
			}
			w.do(c.method, c.path, c.body, headers...).is(t, 200, "ok")
			golden(t, c.name, w.runner.last(t).Payload)
		})
	}
}

// through decodes an event into AWS's type, encodes it again and says what got lost or changed.
func through[T any](t *testing.T, event []byte, unknown ...string) {
	t.Helper()
	var typed T
	if err := json.Unmarshal(event, &typed); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(typed)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	json.Unmarshal(event, &want)
	json.Unmarshal(again, &got)
	skip := map[string]bool{}
	for _, u := range unknown {
		skip[u] = true
	}
	var compare func(path string, want, got any)
	compare = func(path string, want, got any) {
		if skip[path] || want == nil && (got == nil || got == "") {
			return
		}
		if m, ok := want.(map[string]any); ok {
			g, _ := got.(map[string]any)
			for k := range m {
				compare(path+"/"+k, m[k], g[k])
			}
			return
		}
		if want == "" && got == nil || want == false && got == nil { // omitempty
			return
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
	compare("", want, got)
}

func TestEventsPassThroughTheTypesOfAWSWithoutLoss(t *testing.T) {
	w := shop(t)
	w.do("POST", "/web/cats/a/b?q=1&q=2", "x", busyHeaders...)
	through[events.APIGatewayV2HTTPRequest](t, w.runner.last(t).Payload)
	w.do("POST", "/Prod/shop/x?q=1&q=2", "x", busyHeaders...)
	through[events.APIGatewayProxyRequest](t, w.runner.last(t).Payload, "/requestContext/deploymentId", "/requestContext/identity/principalOrgId")
	w.do("POST", "/_/Fn/a?q=1", "x", busyHeaders...)
	through[events.LambdaFunctionURLRequest](t, w.runner.last(t).Payload, "/routeKey", "/requestContext/routeKey", "/requestContext/stage", "/requestContext/authentication")
}

func TestPayload2LeavesOutWhatIsEmpty(t *testing.T) {
	w := open(t, answering(plain), setup{apis: []*catalog.API{httpAPIOf("Api", "GET /a")}})
	w.do("GET", "/a", "")
	e := w.event()
	for _, k := range []string{"cookies", "queryStringParameters", "pathParameters", "stageVariables", "body", "resource", "httpMethod", "path", "multiValueHeaders", "multiValueQueryStringParameters"} {
		same(t, k, at(e, k), any(missing))
	}
	same(t, "rawQueryString", at(e, "rawQueryString"), any(""))
	same(t, "isBase64Encoded", at(e, "isBase64Encoded"), any(false))
	same(t, "authorizer", at(e, "requestContext", "authorizer"), any(missing))
	same(t, "authentication", at(e, "requestContext", "authentication"), any(missing))
}

func TestPayload1SaysNullForWhatIsEmpty(t *testing.T) {
	w := open(t, answering(`{"statusCode":200}`), setup{apis: []*catalog.API{restAPIOf("Api", "Prod", "GET /a")}})
	w.do("GET", "/Prod/a", "")
	e := w.event()
	for _, k := range []string{"queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body"} {
		same(t, k, at(e, k), any(nil))
	}
	same(t, "version", at(e, "version"), any(missing))
	same(t, "isBase64Encoded", at(e, "isBase64Encoded"), any(false))
}

func TestPayload2BodiesAreTextOrBase64(t *testing.T) {
	w := open(t, answering(plain), setup{apis: []*catalog.API{httpAPIOf("Api", "$default")}, functions: []*catalog.Function{urlOf("Fn", catalog.URL{})}})
	for _, path := range []string{"/a", "/_/Fn/a"} {
		for _, c := range []struct {
			headers []string
			encoded bool
		}{
			{nil, false},
			{[]string{"Content-Type: text/plain"}, false},
			{[]string{"Content-Type: text/csv; charset=utf-8"}, false},
			{[]string{"Content-Type: application/json"}, false},
			{[]string{"Content-Type: APPLICATION/JSON; charset=utf-8"}, false},
			{[]string{"Content-Type: application/vnd.api+json"}, false},
			{[]string{"Content-Type: application/xml"}, false},
			{[]string{"Content-Type: image/svg+xml"}, false},
			{[]string{"Content-Type: application/javascript"}, false},
			{[]string{"Content-Type: application/x-www-form-urlencoded"}, true},
			{[]string{"Content-Type: multipart/form-data; boundary=x"}, true},
			{[]string{"Content-Type: application/octet-stream"}, true},
			{[]string{"Content-Type: image/png"}, true},
			{[]string{"Content-Type: application/json", "Content-Encoding: gzip"}, true},
		} {
			w.do("POST", path, "a=1\x00\"", c.headers...)
			want := "a=1\x00\""
			if c.encoded {
				want = base64.StdEncoding.EncodeToString([]byte(want))
			}
			same(t, fmt.Sprint(path, c.headers), at(w.event(), "body"), any(want))
			same(t, fmt.Sprint(path, c.headers), at(w.event(), "isBase64Encoded"), any(c.encoded))
		}
	}
}

func TestRESTBodiesAreBase64OnlyForBinaryTypes(t *testing.T) {
	for _, c := range []struct {
		binary  []string
		kind    string
		encoded bool
	}{
		{nil, "image/png", false},
		{nil, "application/x-www-form-urlencoded", false},
		{[]string{"image/png"}, "image/png", true},
		{[]string{"image/png"}, "image/gif", false},
		{[]string{"image/*"}, "image/gif", true},
		{[]string{"*/*"}, "application/json", true},
		{[]string{"*/*"}, "", true},
	} {
		api := restAPIOf("Api", "Prod", "POST /a")
		api.Binary = c.binary
		w := open(t, answering(`{"statusCode":200}`), setup{apis: []*catalog.API{api}})
		var headers []string
		if c.kind != "" {
			headers = []string{"Content-Type: " + c.kind}
		}
		w.do("POST", "/Prod/a", "xyz", headers...)
		want := "xyz"
		if c.encoded {
			want = base64.StdEncoding.EncodeToString([]byte(want))
		}
		same(t, fmt.Sprint(c), at(w.event(), "body"), any(want))
		same(t, fmt.Sprint(c), at(w.event(), "isBase64Encoded"), any(c.encoded))
	}
}

func TestHTTPAPIsInPayload1EncodeBodiesAsInPayload2(t *testing.T) {
	w := shop(t)
	w.do("POST", "/v1/old/1", "a=1", "Content-Type: application/x-www-form-urlencoded")
	same(t, "body", at(w.event(), "body"), any("YT0x"))
	same(t, "version", at(w.event(), "version"), any("1.0"))
}

func TestTheClientsForwardedForIsAppendedToAndNotBelieved(t *testing.T) {
	w := shop(t)
	w.do("GET", "/web/a/b", "", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Port: 1", "X-Forwarded-Proto: gopher")
	e := w.event()
	same(t, "x-forwarded-for", at(e, "headers", "x-forwarded-for"), any("1.2.3.4, 127.0.0.1"))
	same(t, "x-forwarded-proto", at(e, "headers", "x-forwarded-proto"), any("http"))
	same(t, "x-forwarded-port", at(e, "headers", "x-forwarded-port"), any(w.server.URL[strings.LastIndexByte(w.server.URL, ':')+1:]))
	same(t, "sourceIp", at(e, "requestContext", "http", "sourceIp"), any("127.0.0.1"))
	w.do("GET", "/Prod/shop", "", "X-Forwarded-For: 1.2.3.4")
	same(t, "X-Forwarded-For", at(w.event(), "headers", "X-Forwarded-For"), any("1.2.3.4, 127.0.0.1"))
	same(t, "sourceIp", at(w.event(), "requestContext", "identity", "sourceIp"), any("127.0.0.1"))
}

func TestHeadersOfTheConnectionDoNotReachTheFunction(t *testing.T) {
	w := shop(t)
	w.do("POST", "/web/a/b", "x", "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 1", "Te: trailers", "X-Stay: 1", "Proxy-Connection: x")
	e := w.event()
	for _, name := range []string{"connection", "x-hop", "keep-alive", "te", "transfer-encoding", "proxy-connection"} {
		same(t, name, at(e, "headers", name), any(missing))
	}
	same(t, "x-stay", at(e, "headers", "x-stay"), any("1"))
	w.do("POST", "/Prod/shop/x", "x", "Content-Md5: 1", "Max-Forwards: 1", "Server: 1", "Www-Authenticate: 1", "Proxy-Authenticate: 1")
	for _, name := range []string{"Content-Md5", "Max-Forwards", "Server", "Www-Authenticate", "Proxy-Authenticate", "Content-Length"} {
		same(t, name, at(w.event(), "headers", name), any(missing))
		same(t, name, at(w.event(), "multiValueHeaders", name), any(missing))
	}
}

func TestPayload1KeepsHeaderNamesAsTheClientWroteThem(t *testing.T) {
	runner := answering(`{"statusCode":200}`)
	url, stop := serve(t, doorOf(runner, Limits{}, restAPIOf("Rest", "Prod", "GET /a")))
	defer stop()
	raw(t, url, "GET /Prod/a HTTP/1.1\r\nhost: x\r\ntEsT-HEADeR: aValUE\r\nuser-agent: u\r\nX-Plain: p\r\n\r\nGET /Prod/a HTTP/1.1\r\nHost: x\r\nTest-header: 2\r\n\r\n", 2)
	first, second := object(t, runner.seen[0].Payload), object(t, runner.seen[1].Payload)
	for _, key := range []string{"headers", "multiValueHeaders"} {
		for _, name := range []string{"tEsT-HEADeR", "user-agent", "X-Plain", "Host"} {
			if at(first, key, name) == missing {
				t.Errorf("%s: %s is not as it was written: %v", key, name, at(first, key))
			}
		}
		if at(second, key, "Test-header") == missing {
			t.Errorf("%s of the second request: %v", key, at(second, key))
		}
	}
	same(t, "userAgent", at(first, "requestContext", "identity", "userAgent"), any("u"))
	same(t, "userAgent", at(second, "requestContext", "identity", "userAgent"), any(nil))
}

func TestATraceIsMadeOrTakenOver(t *testing.T) {
	w := shop(t)
	w.do("GET", "/web/a/b", "")
	header, _ := at(w.event(), "headers", "x-amzn-trace-id").(string)
	if !regexp.MustCompile(`^Root=1-5e6a879e-[0-9a-f]{24}$`).MatchString(header) {
		t.Errorf("made: got %q", header)
	}
	if inv := w.runner.last(t); !regexp.MustCompile(`^` + header + `;Parent=[0-9a-f]{16}$`).MatchString(inv.Trace) {
		t.Errorf("handed on: got %q for %q", inv.Trace, header)
	}
	root := "Root=1-5759e988-bd862e3fe1be46a994272793"
	for given, want := range map[string]string{
		root + ";Parent=53995c3f42cd8ad8;Sampled=1":                root + ";Parent=[0-9a-f]{16};Sampled=1",
		root + ";Sampled=1":                                        root + `;Parent=[0-9a-f]{16};Sampled=1`,
		root + ";Parent=no;Sampled=x;Lineage=a:1":                  root + `;Parent=[0-9a-f]{16};Lineage=a:1`,
		"Sampled=0; " + root:                                       root + `;Parent=[0-9a-f]{16};Sampled=0`,
		"Self=1-67891234-12456789abcdef012345678;" + root + ";x=y": root + `;Parent=[0-9a-f]{16};Self=1-67891234-12456789abcdef012345678;x=y`,
	} {
		w.do("GET", "/Prod/shop", "", "X-Amzn-Trace-Id: "+given)
		same(t, "header", at(w.event(), "headers", "X-Amzn-Trace-Id"), any(given))
		if got := w.runner.last(t).Trace; !regexp.MustCompile("^"+want+"$").MatchString(got) || strings.Contains(got, "53995c3f42cd8ad8") {
			t.Errorf("%q: got %q, want %q with a parent of its own", given, got, want)
		}
	}
	for _, nonsense := range []string{"Root=nonsense", "Root=1-5759e988-bd862e3fe1be46a99427279g", "Parent=53995c3f42cd8ad8", root + strings.Repeat(";x=y", 300)} {
		w.do("GET", "/web/a/b", "", "X-Amzn-Trace-Id: "+nonsense)
		if header, _ := at(w.event(), "headers", "x-amzn-trace-id").(string); !strings.HasPrefix(header, "Root=1-5e6a879e-") {
			t.Errorf("%q was kept as %q", nonsense, header)
		}
	}
}

func TestRequestIDsAreTheSameInEventAndAnswer(t *testing.T) {
	w := shop(t)
	got := w.do("GET", "/web/a/b", "")
	got.has(t, "Apigw-Requestid", at(w.event(), "requestContext", "requestId").(string))
	if id := got.Header.Get("Apigw-Requestid"); len(id) != 16 || id[15] != '=' {
		t.Errorf("short form: got %q", id)
	}
	got = w.do("GET", "/Prod/shop", "")
	got.has(t, "X-Amzn-Requestid", at(w.event(), "requestContext", "requestId").(string))
	got.has(t, "X-Amz-Apigw-Id", at(w.event(), "requestContext", "extendedRequestId").(string))
	got = w.do("GET", "/_/Fn/", "")
	got.has(t, "X-Amzn-Requestid", at(w.event(), "requestContext", "requestId").(string))
	same(t, "invocation", w.runner.last(t).ID, got.Header.Get("X-Amzn-Requestid"))
}

func TestInvocationsSayWhatAndForWhom(t *testing.T) {
	w := shop(t)
	w.do("GET", "/_/Fn/", "")
	inv := w.runner.last(t)
	same(t, "target", inv.Target.String(), "Fn:live")
	same(t, "source", inv.Source, "url")
	same(t, "at", inv.At, noon)
	w.do("GET", "/web/a/b", "")
	same(t, "source", w.runner.last(t).Source, "http")
}

func TestEventsAgreeWithEncodingJSON(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aB\"\\\x01\n\t/é世😀\u2028<&>\u007f")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "s")
		var back string
		if err := json.Unmarshal(quote.Append(nil, s), &back); err != nil || back != s {
			t.Fatalf("%q: got %q, %v", s, back, err)
		}
		m := rapid.MapOf(text, text).Draw(t, "m")
		var again map[string]string
		if err := json.Unmarshal(appendMap(nil, m), &again); err != nil || len(m) != len(again) {
			t.Fatalf("%v: got %v, %v", m, again, err)
		}
		for k, v := range m {
			if again[k] != v {
				t.Fatalf("%q: got %q, want %q", k, again[k], v)
			}
		}
	})
}

func FuzzQueries(f *testing.F) {
	f.Add("a=1&a=2&b=%20+&%zz=1&&=")
	f.Fuzz(func(t *testing.T, query string) {
		two := object(t, append(appendQuery2([]byte(`{"x":1`), query), '}'))
		one := object(t, append(appendQuery1([]byte(`{"x":1`), parseQuery(query)), '}'))
		multi, _ := at(one, "multiValueQueryStringParameters").(map[string]any)
		for name, values := range multi {
			var all []string
			for _, v := range values.([]any) {
				all = append(all, v.(string))
			}
			if got := at(two, "queryStringParameters", name); got != strings.Join(all, ",") {
				t.Fatalf("%q: joined %v, all %q", name, got, all)
			}
			if got := at(one, "queryStringParameters", name); got != all[len(all)-1] {
				t.Fatalf("%q: last %v, all %q", name, got, all)
			}
		}
	})
}
