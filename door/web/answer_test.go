package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// result is a function's result and what one product makes of it.
type result struct {
	name    string
	json    string
	status  int
	body    string
	headers map[string]string // values joined with " | "
}

const (
	httpBad = `{"message":"Internal Server Error"}`
	restBad = `{"message": "Internal server error"}`
	urlBad  = `Internal Server Error`
)

func check(t *testing.T, path string, s setup, results []result) {
	t.Helper()
	for _, r := range results {
		t.Run(r.name, func(t *testing.T) {
			got := open(t, answering(r.json), s).do("GET", path, "")
			got.is(t, r.status, r.body)
			for name, want := range r.headers {
				got.has(t, name, want)
			}
		})
	}
}

func TestResultsOfPayload2(t *testing.T) {
	check(t, "/a", setup{apis: []*catalog.API{httpAPIOf("Api", "GET /a")}}, []result{
		{"full", `{"statusCode":201,"headers":{"Content-Type":"text/html","X-One":"1"},"cookies":["a=1","b=2; Secure"],"body":"hi","isBase64Encoded":false}`, 201, "hi",
			map[string]string{"Content-Type": "text/html", "X-One": "1", "Set-Cookie": "a=1 | b=2; Secure", "Content-Length": "2"}},
		{"status alone", `{"statusCode":200}`, 200, "", map[string]string{"Content-Type": "text/plain; charset=utf-8", "Content-Length": "0"}},
		{"null members", `{"statusCode":200,"headers":null,"cookies":null,"body":null,"isBase64Encoded":null}`, 200, "", nil},
		{"numeric string", `{"statusCode":"202"}`, 202, "", nil},
		{"base64", `{"statusCode":200,"body":"aGk=","isBase64Encoded":true}`, 200, "hi", nil},
		{"bad base64", `{"statusCode":200,"body":"a!","isBase64Encoded":true}`, 500, httpBad, nil},
		{"multiValueHeaders are ignored", `{"statusCode":200,"multiValueHeaders":{"X-A":["1"]},"headers":{"X-B":"2"}}`, 200, "", map[string]string{"X-A": "", "X-B": "2"}},
		{"broken multiValueHeaders are ignored, too", `{"statusCode":200,"multiValueHeaders":7}`, 200, "", nil},
		{"unknown keys are ignored", `{"statusCode":200,"x":{"y":[1,{}]}}`, 200, "", nil},
		{"header values are made strings", `{"statusCode":200,"headers":{"X-N":1.50,"X-B":true,"X-Null":null}}`, 200, "", map[string]string{"X-N": "1.50", "X-B": "true", "X-Null": ""}},
		{"object body", `{"statusCode":200,"body":{"a":1}}`, 500, httpBad, nil},
		{"number body", `{"statusCode":200,"body":1}`, 500, httpBad, nil},
		{"list header", `{"statusCode":200,"headers":{"X-A":["1"]}}`, 500, httpBad, nil},
		{"headers not an object", `{"statusCode":200,"headers":[]}`, 500, httpBad, nil},
		{"cookies not a list", `{"statusCode":200,"cookies":"a=1"}`, 500, httpBad, nil},
		{"cookie not a string", `{"statusCode":200,"cookies":[1]}`, 500, httpBad, nil},
		{"status an object", `{"statusCode":{},"body":"x"}`, 500, httpBad, nil},
		{"status not a number", `{"statusCode":"ok"}`, 500, httpBad, nil},
		{"status out of range", `{"statusCode":1000}`, 500, httpBad, nil},
		{"informational status", `{"statusCode":100}`, 500, httpBad, nil},
		{"fraction", `{"statusCode":200.5}`, 500, httpBad, nil},
		{"header with a line end", `{"statusCode":200,"headers":{"X-A":"1\r\nSet-Cookie: x=1"}}`, 500, httpBad, map[string]string{"Set-Cookie": ""}},
		{"header name with a space", `{"statusCode":200,"headers":{"X A":"1"}}`, 500, httpBad, nil},
		{"no statusCode", `{"message":"hi","body":7}`, 200, `{"message":"hi","body":7}`, map[string]string{"Content-Type": "application/json"}},
		{"null statusCode", `{"statusCode":null,"a":1}`, 200, `{"statusCode":null,"a":1}`, nil},
		{"no statusCode but odd members", `{"headers":7,"cookies":{},"isBase64Encoded":"x"}`, 200, `{"headers":7,"cookies":{},"isBase64Encoded":"x"}`, nil},
		{"empty object", `{}`, 200, `{}`, map[string]string{"Content-Type": "application/json"}},
		{"bare string", `"hello \"you\""`, 200, `hello "you"`, map[string]string{"Content-Type": "application/json"}},
		{"number", `17`, 200, `17`, nil},
		{"list", `[1,2]`, 200, `[1,2]`, nil},
		{"null", `null`, 200, `null`, nil},
		{"not JSON", `hello`, 500, httpBad, nil},
		{"empty", ``, 500, httpBad, nil},
		{"trailing text", `{"statusCode":200} x`, 500, httpBad, nil},
		{"last of duplicate keys wins", `{"statusCode":500,"statusCode":200,"body":"a","body":"b","headers":{"X-A":"1"},"headers":{"X-B":"1","X-B":"2"}}`, 200, "b", map[string]string{"X-A": "", "X-B": "2"}},
		{"no content", `{"statusCode":204}`, 204, "", map[string]string{"Content-Length": "", "Content-Type": ""}},
		{"framing is not forwarded", `{"statusCode":200,"headers":{"Transfer-Encoding":"chunked","Content-Length":"99","Connection":"close","Keep-Alive":"x","Upgrade":"y"},"body":"hi"}`, 200, "hi",
			map[string]string{"Content-Length": "2", "Connection": "", "Keep-Alive": "", "Upgrade": ""}},
		{"www-authenticate", `{"statusCode":401,"headers":{"www-authenticate":"Basic"}}`, 401, "", map[string]string{"Www-Authenticate": "Basic"}},
		{"unicode", `{"statusCode":200,"body":"\u00e9\ud83d\ude00é\/"}`, 200, "é😀é/", nil},
	})
}

func TestResultsOfPayload1OnAnHTTPAPI(t *testing.T) {
	api := httpAPIOf("Api", "GET /a")
	api.Routes[0].Payload = "1.0"
	check(t, "/a", setup{apis: []*catalog.API{api}}, []result{
		{"full", `{"statusCode":200,"headers":{"X-A":"3","X-B":"1"},"multiValueHeaders":{"X-A":["1","2"]},"body":"hi"}`, 200, "hi", map[string]string{"X-A": "1 | 2 | 3", "X-B": "1", "Content-Type": "text/plain; charset=utf-8"}},
		{"base64", `{"statusCode":200,"body":"aGk=","isBase64Encoded":true}`, 200, "hi", nil},
		{"no statusCode", `{"body":"x"}`, 500, httpBad, nil},
		{"string", `"x"`, 500, httpBad, nil},
		{"cookies are not of this format", `{"statusCode":200,"cookies":["a=1"]}`, 200, "", map[string]string{"Set-Cookie": ""}},
		{"unknown keys are ignored", `{"statusCode":200,"x":1}`, 200, "", nil},
	})
}

func TestResultsOfRESTAPIs(t *testing.T) {
	check(t, "/Prod/a", setup{apis: []*catalog.API{restAPIOf("Api", "Prod", "GET /a")}}, []result{
		{"status alone", `{"statusCode":200}`, 200, "", map[string]string{"Content-Type": "application/json"}},
		{"headers alone", `{"headers":{"X-A":"1"}}`, 200, "", map[string]string{"X-A": "1", "Content-Type": "application/json"}},
		{"string status", `{"statusCode":"201"}`, 201, "", nil},
		{"empty object", `{}`, 502, restBad, map[string]string{"X-Amzn-Errortype": "InternalServerErrorException"}},
		{"string", `"hello"`, 502, restBad, nil},
		{"list", `[]`, 502, restBad, nil},
		{"null", `null`, 502, restBad, nil},
		{"not JSON", `{`, 502, restBad, nil},
		{"unknown key", `{"statusCode":200,"x":1}`, 502, restBad, nil},
		{"cookies are unknown", `{"statusCode":200,"cookies":[]}`, 502, restBad, nil},
		{"invalid status", `{"statusCode":"abc"}`, 502, restBad, nil},
		{"status out of range", `{"statusCode":99}`, 502, restBad, nil},
		{"multiValueHeaders not lists", `{"statusCode":200,"multiValueHeaders":{"X-A":"1"}}`, 502, restBad, nil},
		{"multiValueHeaders not an object", `{"statusCode":200,"multiValueHeaders":[]}`, 502, restBad, nil},
		{"body not a string", `{"statusCode":200,"body":{"a":1}}`, 502, restBad, nil},
		{"headers not an object", `{"statusCode":200,"headers":"x"}`, 502, restBad, nil},
		{"header not a scalar", `{"statusCode":200,"headers":{"X-A":{}}}`, 502, restBad, nil},
		{"header values are made strings", `{"statusCode":200,"headers":{"X-B":true,"X-N":12}}`, 200, "", map[string]string{"X-B": "true", "X-N": "12"}},
		{"values are merged, multi first", `{"statusCode":200,"headers":{"x-a":"3","X-Same":"1"},"multiValueHeaders":{"X-A":["1","2"],"X-Same":["1","2"],"X-C":["c"]}}`, 200, "",
			map[string]string{"X-A": "1 | 2 | 3", "X-Same": "1 | 2", "X-C": "c"}},
		{"several cookies", `{"statusCode":200,"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]}}`, 200, "", map[string]string{"Set-Cookie": "a=1 | b=2"}},
		{"cookies by spelling", `{"statusCode":200,"headers":{"Set-Cookie":"a=1","set-cookie":"b=2"}}`, 200, "", map[string]string{"Set-Cookie": "a=1 | b=2"}},
		{"base64 is sent as it is without binary types", `{"statusCode":200,"body":"aGk=","isBase64Encoded":true}`, 200, "aGk=", nil},
		{"headers of the connection get another name", `{"statusCode":200,"headers":{"Date":"d","Server":"s","Connection":"close","Content-Length":"99","WWW-Authenticate":"w","X-Amzn-RequestId":"r","Transfer-Encoding":"chunked"},"body":"hi"}`, 200, "hi",
			map[string]string{"X-Amzn-Remapped-Date": "d", "X-Amzn-Remapped-Server": "s", "X-Amzn-Remapped-Connection": "close", "X-Amzn-Remapped-Content-Length": "99", "X-Amzn-Remapped-Www-Authenticate": "w",
				"X-Amzn-Remapped-X-Amzn-Requestid": "r", "Server": "", "Www-Authenticate": "", "Content-Length": "2", "Transfer-Encoding": ""}},
	})
}

func TestTheSpellingOfHeadersWinsWhenValuesAreMerged(t *testing.T) {
	a, err := decodeAnswer([]byte(`{"multiValueHeaders":{"X-A":["1"]},"headers":{"x-a":"2"}}`), formREST)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.headers {
		same(t, "name", f.name, "x-a")
	}
}

func TestRESTAPIsDecodeBase64OnlyForBinaryTypes(t *testing.T) {
	for _, c := range []struct {
		binary  []string
		accept  string
		kind    string
		decoded bool
	}{
		{[]string{"*/*"}, "", "", true},
		{[]string{"*/*"}, "text/html", "text/plain", true},
		{[]string{"image/png"}, "", "image/png", true},
		{[]string{"image/png"}, "image/png, */*", "application/x", true},
		{[]string{"image/png"}, "text/html", "text/plain", false},
		{[]string{"image/png"}, "", "", false},
	} {
		api := restAPIOf("Api", "Prod", "GET /a")
		api.Binary = c.binary
		headers := ""
		if c.kind != "" {
			headers = `"headers":{"content-type":"` + c.kind + `"},`
		}
		w := open(t, answering(`{"statusCode":200,`+headers+`"body":"aGk=","isBase64Encoded":true}`), setup{apis: []*catalog.API{api}})
		want := "aGk="
		if c.decoded {
			want = "hi"
		}
		got := w.do("GET", "/Prod/a", "", "Accept: "+c.accept)
		if got.body != want {
			t.Errorf("%+v: got %q, want %q", c, got.body, want)
		}
	}
	api := restAPIOf("Api", "Prod", "GET /a")
	api.Binary = []string{"*/*"}
	open(t, answering(`{"statusCode":200,"body":"!","isBase64Encoded":true}`), setup{apis: []*catalog.API{api}}).do("GET", "/Prod/a", "").is(t, 502, restBad)
}

func TestResultsOfFunctionURLs(t *testing.T) {
	check(t, "/_/Fn/", setup{functions: []*catalog.Function{urlOf("Fn", catalog.URL{})}}, []result{
		{"full", `{"statusCode":201,"headers":{"X-A":"1"},"cookies":["a=1"],"body":"hi"}`, 201, "hi", map[string]string{"Content-Type": "application/json", "X-A": "1", "Set-Cookie": "a=1"}},
		{"object without status", `{"a":1}`, 200, `{"a":1}`, map[string]string{"Content-Type": "application/json"}},
		{"list", `[1]`, 200, `[1]`, nil},
		{"number", `1`, 200, `1`, nil},
		{"boolean", `true`, 200, `true`, nil},
		{"bare string", `"hi"`, 200, `hi`, map[string]string{"Content-Type": "application/json"}},
		{"base64", `{"statusCode":200,"body":"aGk=","isBase64Encoded":true}`, 200, "hi", nil},
		{"body not a string", `{"statusCode":200,"body":1}`, 502, urlBad, nil},
		{"date", `{"statusCode":200,"headers":{"Date":"d","Www-Authenticate":"w"}}`, 200, "", map[string]string{"X-Amzn-Remapped-Date": "d", "X-Amzn-Remapped-Www-Authenticate": "w"}},
	})
}

func TestAnAnswerToHEADHasNoBody(t *testing.T) {
	w := open(t, answering(plain), setup{apis: []*catalog.API{httpAPIOf("Api", "ANY /a")}})
	got := w.do("HEAD", "/a", "")
	got.is(t, 200, "")
	got.has(t, "Content-Length", "2")
	same(t, "method", at(w.event(), "requestContext", "http", "method"), any("HEAD"))
	w = open(t, answering(plain), setup{apis: []*catalog.API{httpAPIOf("Api", "GET /a")}})
	if got := w.do("HEAD", "/a", ""); got.StatusCode != 404 { // HEAD is a method of its own
		t.Errorf("got %d, want 404", got.StatusCode)
	}
}

func TestAnswersAsBigAsAFunctionMayGiveAreSentWhole(t *testing.T) {
	big := strings.Repeat("x", 6<<20-100)
	runner := &fakeRunner{run: func(context.Context, daruma.Invocation) daruma.Outcome {
		return daruma.Outcome{Kind: daruma.Done, Payload: []byte(`{"statusCode":200,"body":"` + big + `"}`)}
	}}
	got := open(t, runner, setup{apis: []*catalog.API{httpAPIOf("Api", "$default")}}).do("GET", "/", "")
	if got.StatusCode != 200 || got.body != big {
		t.Errorf("got %d and %d bytes", got.StatusCode, len(got.body))
	}
}

func TestATooDeepResultIsRefused(t *testing.T) {
	for depth, want := range map[int]int{jsonDepthMax: 200, jsonDepthMax + 2: 500} {
		json := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if got := open(t, answering(json), setup{apis: []*catalog.API{httpAPIOf("Api", "$default")}}).do("GET", "/", ""); got.StatusCode != want {
			t.Errorf("depth %d: got %d, want %d", depth, got.StatusCode, want)
		}
	}
}

func FuzzResults(f *testing.F) {
	for _, seed := range []string{plain, `{"statusCode":"201","headers":{"a":1,"b":true},"multiValueHeaders":{"a":["x",null]},"cookies":["c"],"body":"aGk=","isBase64Encoded":true}`, `"\ud83d\ude00\u12"`, `[1.5e-3,{},null]`, `{"a":"\x"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		valid := json.Valid(in)
		for _, form := range []form{form2, form1, formREST, formHead} {
			a, err := decodeAnswer(in, form)
			if err != nil {
				continue
			}
			if !valid {
				t.Fatalf("form %d takes %q, which is not JSON", form, in)
			}
			if a.status < 200 || a.status > 599 {
				t.Fatalf("status %d", a.status)
			}
			for _, h := range a.headers {
				if !validHeader(h.name, h.value) {
					t.Fatalf("header %q: %q", h.name, h.value)
				}
			}
			if form == form2 {
				agrees(t, in, &a)
			}
			var c call
			c.r, _ = http.NewRequest("GET", "/", nil)
			c.send(discard{http.Header{}}, httpAPI, &a)
		}
		if s := (scanner{text: in}); valid != (s.skip(0) && s.end()) && bytes.Count(in, []byte("["))+bytes.Count(in, []byte("{")) < jsonDepthMax {
			t.Fatalf("%q: encoding/json says %v", in, valid)
		}
	})
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// agrees compares an answer of payload 2.0 with what encoding/json makes of the same text.
func agrees(t *testing.T, in []byte, a *answer) {
	var generic any
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber() // numbers have no limit in JSON
	if err := d.Decode(&generic); err != nil {
		t.Fatal(err)
	}
	switch g := generic.(type) {
	case string:
		if string(a.body) != g {
			t.Fatalf("%q: body %q, want %q", in, a.body, g)
		}
	case map[string]any:
		if status, ok := g["statusCode"]; !ok || status == nil {
			if !bytes.Equal(a.body, in) {
				t.Fatalf("%q: body %q", in, a.body)
			}
			return
		}
		if body, ok := g["body"].(string); ok && g["isBase64Encoded"] != true && g["isBase64Encoded"] != "true" && string(a.body) != body {
			t.Fatalf("%q: body %q, want %q", in, a.body, body)
		}
		if cookies, _ := g["cookies"].([]any); fmt.Sprint(len(cookies)) != fmt.Sprint(len(a.cookies)) {
			t.Fatalf("%q: cookies %q", in, a.cookies)
		}
	}
}
