package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// products are one of each, at /web, /Prod/rest and /_/Fn/.
func products() setup {
	return setup{apis: []*catalog.API{httpAPIOf("Web", "ANY /web"), restAPIOf("Rest", "Prod", "ANY /rest")}, functions: []*catalog.Function{urlOf("Fn", catalog.URL{})}}
}

func TestRunsThatDoNotEndWellAreToldByEachProductItsWay(t *testing.T) {
	const (
		unavailable = `{"message":"Service Unavailable"}`
		failed      = "InternalServerErrorException"
	)
	type says struct {
		status int
		body   string
	}
	for _, c := range []struct {
		name           string
		out            daruma.Outcome
		web, rest, url says
	}{
		{"function error", daruma.Outcome{Kind: daruma.FunctionError, Payload: []byte(`{"errorMessage":"secret"}`)}, says{500, httpBad}, says{502, restBad}, says{502, urlBad}},
		{"crash", daruma.Outcome{Kind: daruma.Crashed}, says{500, httpBad}, says{502, restBad}, says{502, urlBad}},
		{"the function's own timeout", daruma.Outcome{Kind: daruma.TimedOut}, says{500, httpBad}, says{502, restBad}, says{502, urlBad}},
		{"unknown", daruma.Outcome{Kind: daruma.Unknown}, says{500, httpBad}, says{502, restBad}, says{502, urlBad}},
		{"throttled", daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Kind: daruma.KindThrottled, Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", After: 1500 * time.Millisecond}},
			says{503, unavailable}, says{502, restBad}, says{429, `{"Type":"User","Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}`}},
		{"no capacity", daruma.Outcome{Kind: daruma.NoCapacity}, says{503, unavailable}, says{502, restBad}, says{502, urlBad}},
		{"held", daruma.Outcome{Kind: daruma.Held}, says{503, unavailable}, says{502, restBad}, says{502, urlBad}},
		{"no such function", daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindNotFound}}, says{500, httpBad}, says{500, restBad}, says{502, urlBad}},
		{"too large", daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindTooLarge}}, says{413, tooLarge[httpAPI].body}, says{413, tooLarge[restAPI].body}, says{413, tooLarge[functionURL].body}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t, ending(c.out), products())
			got := w.do("GET", "/web", "")
			got.is(t, c.web.status, c.web.body)
			got.has(t, "Content-Type", "application/json")
			got.has(t, "X-Amzn-Errortype", "")
			if got.Header.Get("Apigw-Requestid") == "" {
				t.Error("an HTTP API's refusal has no apigw-requestid")
			}
			got = w.do("GET", "/Prod/rest", "")
			got.is(t, c.rest.status, c.rest.body)
			if c.name != "too large" {
				got.has(t, "X-Amzn-Errortype", failed)
			}
			if got.Header.Get("X-Amzn-Requestid") == "" || got.Header.Get("X-Amz-Apigw-Id") == "" {
				t.Error("a REST API's refusal has no request IDs")
			}
			got = w.do("GET", "/_/Fn/", "")
			got.is(t, c.url.status, c.url.body)
			if got.Header.Get("X-Amzn-Requestid") == "" {
				t.Error("a function URL's refusal has no request ID")
			}
			if c.name == "throttled" {
				got.has(t, "Retry-After", "2")
				got.has(t, "X-Amzn-Errortype", "TooManyRequestsException")
			}
		})
	}
}

func TestWhatIsNotThereIsRefusedByEachProductItsWay(t *testing.T) {
	w := open(t, answering(plain), products())
	w.do("GET", "/nothing", "").is(t, 404, `{"message":"Not Found"}`)
	got := w.do("GET", "/Prod/nothing", "")
	got.is(t, 403, `{"message":"Missing Authentication Token"}`)
	got.has(t, "X-Amzn-Errortype", "MissingAuthenticationTokenException")
	got = w.do("GET", "/nostage/rest", "", "Host: rest0000.execute-api.localhost")
	got.is(t, 403, `{"message":"Forbidden"}`)
	got.has(t, "X-Amzn-Errortype", "ForbiddenException")
	got = w.do("GET", "/", "", "Host: nobody.lambda-url.localhost")
	got.is(t, 403, forbiddenURL.body)
	got.has(t, "X-Amzn-Errortype", "AccessDeniedException")
	same(t, "runs", w.runner.count(), 0)
}

func TestANAnswerThatTakesTooLongIsRefusedWhileTheFunctionRunsOn(t *testing.T) {
	for path, want := range map[string]struct {
		after  time.Duration
		status int
		body   string
	}{
		"/web":       {30 * time.Second, 503, `{"message":"Service Unavailable"}`},
		"/Prod/rest": {29 * time.Second, 504, `{"message": "Endpoint request timed out"}`},
		"/Prod/own":  {5 * time.Second, 504, `{"message": "Endpoint request timed out"}`},
	} {
		clock := &fixedClock{at: noon, added: make(chan struct{}, 1)}
		finish, finished := make(chan struct{}), make(chan struct{})
		runner := &fakeRunner{run: func(ctx context.Context, _ daruma.Invocation) daruma.Outcome {
			go func() { // the function, which nobody waits for any more
				<-finish
				close(finished)
			}()
			<-ctx.Done()
			return daruma.Outcome{Kind: daruma.Unknown}
		}}
		s := products()
		own := routeOf("ANY /own", "1.0")
		own.Timeout = 5 * time.Second
		s.apis[1].Routes = append(s.apis[1].Routes, own)
		s.clock = clock
		w := open(t, runner, s)
		go func() {
			<-clock.added
			clock.fire()
		}()
		w.do("GET", path, "").is(t, want.status, want.body)
		same(t, path, clock.waits, []time.Duration{want.after})
		close(finish)
		<-finished
	}
}

func TestFunctionURLsWaitAsLongAsTheFunctionMayRun(t *testing.T) {
	clock := &fixedClock{at: noon}
	s := products()
	s.clock = clock
	open(t, answering(plain), s).do("GET", "/_/Fn/", "").is(t, 200, "ok")
	same(t, "waits", len(clock.waits), 0)
}

func TestBodiesBeyondTheLimitAreRefused(t *testing.T) {
	w := open(t, answering(plain), products())
	for path, c := range map[string]struct {
		bytes int
		body  string
	}{
		"/web":       {10<<20 + 1, `{"message":"Request Entity Too Large"}`},
		"/Prod/rest": {10<<20 + 1, `{"message":"Request Too Long"}`},
		"/_/Fn/":     {6<<20 + 1, tooLarge[functionURL].body},
	} {
		w.do("POST", path, strings.Repeat("x", c.bytes), "Content-Type: text/plain").is(t, 413, c.body)
	}
	// Within the gateway's limit and beyond the function's, once it is an event.
	w.do("POST", "/web", strings.Repeat("x", 6<<20), "Content-Type: text/plain").is(t, 413, `{"message":"Request Entity Too Large"}`)
	w.do("POST", "/Prod/rest", strings.Repeat("x", 6<<20), "Content-Type: text/plain").is(t, 413, `{"message":"Request Too Long"}`)
	same(t, "runs", w.runner.count(), 0)
	w.do("POST", "/web", strings.Repeat("x", 5<<20), "Content-Type: text/plain").is(t, 200, "ok")
}

func TestAChunkedBodyBeyondTheLimitIsRefused(t *testing.T) {
	w := open(t, answering(plain), products())
	r, _ := http.NewRequest("POST", w.server.URL+"/web", strings.NewReader(strings.Repeat("x", 10<<20+1)))
	r.ContentLength = -1
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	same(t, "status", resp.StatusCode, 413)
}

func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	w := open(t, answering(plain), products())
	filler := "X-Filler: " + strings.Repeat("x", headerBytesMax)
	w.do("GET", "/web", "", filler).is(t, 431, `{"message":"Request Header Fields Too Large"}`)
	w.do("GET", "/Prod/rest", "", filler).is(t, 431, `{"message":"Request Header Fields Too Large"}`)
	w.do("GET", "/web", "", "X-Filler: "+strings.Repeat("x", headerBytesMax-400)).is(t, 200, "ok")
	same(t, "runs", w.runner.count(), 1)
}

func TestAURLWithIAMAsksWhoSigned(t *testing.T) {
	caller := Caller{AccessKey: "AKIA", AccountID: "111122223333", CallerID: "AIDA", UserARN: "arn:aws:iam::111122223333:user/a", UserID: "AIDA"}
	s := setup{functions: []*catalog.Function{urlOf("Fn", catalog.URL{Auth: catalog.AuthIAM})}}
	open(t, answering(plain), s).do("GET", "/_/Fn/", "", "Authorization: AWS4 x").is(t, 403, forbiddenURL.body) // nobody can verify
	var body, path string
	s.verify = func(r *http.Request, b []byte) (Caller, bool) {
		body, path = string(b), r.URL.Path
		return caller, r.Header.Get("Authorization") == "AWS4 good"
	}
	w := open(t, answering(plain), s)
	got := w.do("POST", "/_/Fn/x", "hi", "Authorization: AWS4 bad")
	got.is(t, 403, `{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}`)
	got.has(t, "X-Amzn-Errortype", "AccessDeniedException")
	same(t, "runs", w.runner.count(), 0)
	same(t, "what was verified", fmt.Sprint(body, path), "hi/_/Fn/x")

	w.do("POST", "/_/Fn/x", "hi", "Authorization: AWS4 good").is(t, 200, "ok")
	e := w.event()
	same(t, "accountId", at(e, "requestContext", "accountId"), any("111122223333"))
	same(t, "iam", at(e, "requestContext", "authorizer", "iam"), any(map[string]any{
		"accessKey": "AKIA", "accountId": "111122223333", "callerId": "AIDA", "cognitoIdentity": nil, "principalOrgId": nil,
		"userArn": "arn:aws:iam::111122223333:user/a", "userId": "AIDA",
	}))
	same(t, "authorization", at(e, "headers", "authorization"), any(missing))
}

func TestAnUnknownAuthTypeIsNotOpen(t *testing.T) {
	fn := urlOf("Fn", catalog.URL{Auth: "SOMETHING"})
	w := open(t, answering(plain), setup{functions: []*catalog.Function{fn}})
	w.do("GET", "/_/Fn/", "").is(t, 403, forbiddenURL.body)
	same(t, "runs", w.runner.count(), 0)
}

func TestRequestsWithoutAPathAreBad(t *testing.T) {
	runner := answering(plain)
	url, stop := serve(t, doorOf(runner, Limits{}, httpAPIOf("Api", "$default")))
	defer stop()
	for _, text := range []string{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"} {
		got := raw(t, url, text, 1)
		if len(got) != 1 || got[0].StatusCode != 400 {
			t.Errorf("%q: got %v", text, got)
		}
	}
	got := raw(t, url, "GET http://somewhere/a%2Fb?q=1 HTTP/1.1\r\nHost: x\r\n\r\n", 1)
	if len(got) != 1 || got[0].StatusCode != 200 {
		t.Fatalf("absolute form: got %v", got)
	}
	same(t, "rawPath", at(object(t, runner.last(t).Payload), "rawPath"), any("/a%2Fb"))
	same(t, "rawQueryString", at(object(t, runner.last(t).Payload), "rawQueryString"), any("q=1"))
}
