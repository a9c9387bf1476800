package wire

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestRefusalsHaveTheShapeOfTheirProtocol compares whole answers, byte for
// byte but for the request ID.
func TestRefusalsHaveTheShapeOfTheirProtocol(t *testing.T) {
	f, _ := newFront(t, "lambda")
	const form, list = "application/x-www-form-urlencoded", "Action=ListTopics&Version=2010-03-31"
	const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	const only = " is not supported here; this endpoint serves lambda, sts"
	for _, c := range []struct {
		name, service      string // not signed when service is ""
		method, path, body string
		headers            []string
		status             int
		header, want       string
	}{
		{"rest-json, not signed", "", "POST", "/2015-03-31/functions/f/invocations", "", nil,
			403, "X-Amzn-Errortype: MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`},
		{"rest-json, not served", "scheduler", "GET", "/schedules/x", "", nil,
			400, "X-Amzn-Errortype: UnsupportedOperationException", `{"message":"scheduler:GET /schedules/x` + only + `"}`},
		{"json 1.0, not signed", "", "POST", "/", "{}", []string{"X-Amz-Target", "DynamoDB_20120810.GetItem", "Content-Type", "application/x-amz-json-1.0"},
			400, "Content-Type: application/x-amz-json-1.0", `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		{"json 1.1, not served", "kinesis", "POST", "/", "{}", []string{"X-Amz-Target", "Kinesis_20131202.PutRecord", "Content-Type", "application/x-amz-json-1.1"},
			400, "Content-Type: application/x-amz-json-1.1", `{"__type":"UnsupportedOperationException","message":"kinesis:PutRecord` + only + `"}`},
		{"json with query errors", "sqs", "POST", "/", "{}", []string{"X-Amz-Target", "AmazonSQS.SendMessage", "Content-Type", "application/x-amz-json-1.0", "X-Amzn-Query-Mode", "true"},
			400, "X-Amzn-Query-Error: UnsupportedOperation;Sender", `{"__type":"UnsupportedOperationException","message":"sqs:SendMessage` + only + `"}`},
		{"query, not signed", "", "POST", "/", list, []string{"Content-Type", form},
			403, "Content-Type: text/xml", `<ErrorResponse><Error><Type>Sender</Type><Code>MissingAuthenticationToken</Code><Message>Missing Authentication Token</Message></Error><RequestId>RID</RequestId></ErrorResponse>`},
		{"query, not served", "sns", "POST", "/", list, []string{"Content-Type", form + "; charset=utf-8"},
			400, "Content-Type: text/xml", `<ErrorResponse><Error><Type>Sender</Type><Code>UnsupportedOperation</Code><Message>sns:ListTopics` + only + `</Message></Error><RequestId>RID</RequestId></ErrorResponse>`},
		{"ec2 query", "ec2", "POST", "/", "Action=DescribeVpcs", []string{"Content-Type", form},
			400, "Content-Type: text/xml;charset=UTF-8", xmlHead + `<Response><Errors><Error><Code>UnsupportedOperation</Code><Message>ec2:DescribeVpcs` + only + `</Message></Error></Errors><RequestID>RID</RequestID></Response>`},
		{"S3, not served", "s3", "GET", "/bucket/a%20b?list-type=2", "", []string{"X-Amz-Content-Sha256", hexHash("")},
			400, "X-Amz-Request-Id: RID", xmlHead + `<Error><Code>NotImplemented</Code><Message>s3:GET /bucket/a%20b` + only + `</Message><RequestId>RID</RequestId></Error>`},
		{"CBOR, not served", "monitoring", "POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics", "\xa0", []string{"Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor"},
			400, "Smithy-Protocol: rpc-v2-cbor", "\xa2" + text("__type") + text("UnsupportedOperationException") + text("message") + text("monitoring:ListMetrics"+only)},
	} {
		r := request(c.method, c.path, c.body, c.headers...)
		if c.service != "" {
			sign(t, r, c.body, c.service)
		}
		w := do(f, r)
		id := w.Header().Get("x-amzn-RequestId")
		got := strings.ReplaceAll(w.Body.String(), id, "RID")
		name, value, _ := strings.Cut(c.header, ": ")
		if w.Code != c.status || got != c.want || strings.ReplaceAll(w.Header().Get(name), id, "RID") != value || id == "" {
			t.Errorf("%s:\ngot  %d %q %v\nwant %d %q", c.name, w.Code, got, w.Header(), c.status, c.want)
		}
	}
}

// text is a CBOR text string of less than 64 KiB.
func text(s string) string { return "\x79" + string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

func TestEachFaultOfTheGateHasItsOwnName(t *testing.T) {
	f, _ := newFront(t, "lambda", "sns")
	creds := func(key, secret, token string) func(*signing) {
		return func(s *signing) {
			s.creds = aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: token}
		}
	}
	at := func(d time.Duration) func(*signing) { return func(s *signing) { s.at = vectorTime.Add(d) } }
	for _, c := range []struct {
		name        string
		opt         func(*signing)
		json, query string
		text        string
	}{
		{"unknown key", creds("AKIDOTHER", "x", ""), "UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid."},
		{"key of nobody", creds("AKIDNOBODY", "s3cret", ""), "UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid."},
		{"key without a secret", creds("AKIDNOKEY", "", ""), "UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid."},
		{"wrong token", creds("ASIASESSION", "s3cret", "no"), "UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid."},
		{"expired", creds("ASIAEXPIRED", "s3cret", ""), "ExpiredTokenException", "ExpiredToken", "The security token included in the request is expired"},
		{"wrong secret", creds(testKey, "wrong", ""), "InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
		{"too old", at(-15*time.Minute - time.Second), "InvalidSignatureException", "SignatureDoesNotMatch", "Signature expired: 20150830T122059Z is now earlier than 20150830T122100Z (20150830T123600Z - 15 min.)"},
		{"from the future", at(15*time.Minute + time.Second), "InvalidSignatureException", "SignatureDoesNotMatch", "Signature not yet current: 20150830T125101Z is still later than 20150830T125100Z (20150830T123600Z + 15 min.)"},
		{"another region", func(s *signing) { s.region = "eu-west-1" }, "InvalidSignatureException", "SignatureDoesNotMatch", "Credential should be scoped to a valid region, not 'eu-west-1'. "},
	} {
		w := do(f, sign(t, request("POST", "/x", "{}"), "{}", "lambda", c.opt))
		if w.Code != 403 || w.Header().Get("x-amzn-ErrorType") != c.json || w.Body.String() != string(jsonObject(nil, "message", c.text)) {
			t.Errorf("%s: got %d %s %s, want 403 %s %s", c.name, w.Code, w.Header().Get("x-amzn-ErrorType"), w.Body, c.json, c.text)
		}
		body := "Action=Publish"
		w = do(f, sign(t, request("POST", "/", body, "Content-Type", "application/x-www-form-urlencoded"), body, "sns", c.opt))
		if want := "<Code>" + c.query + "</Code>"; w.Code != 403 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d %s, want 403 %s", c.name, w.Code, w.Body, want)
		}
		w = do(f, sign(t, request("POST", "/", "{}", "X-Amz-Target", "AmazonSQS.SendMessage", "Content-Type", "application/x-amz-json-1.0", "X-Amzn-Query-Mode", "true"), "{}", "sqs", c.opt))
		if got, want := w.Header().Get("X-Amzn-Query-Error"), c.query+";Sender"; w.Code != 400 || got != want {
			t.Errorf("%s: got %d %q, want 400 %q", c.name, w.Code, got, want)
		}
	}
	for _, d := range []time.Duration{-15 * time.Minute, 15 * time.Minute} {
		if w := do(f, sign(t, request("POST", "/x", ""), "", "lambda", at(d))); w.Code != 200 {
			t.Errorf("%v off: got %d %s, want 200", d, w.Code, w.Body)
		}
	}
}

func TestASignatureThatLacksPartsSaysWhich(t *testing.T) {
	f, _ := newFront(t, "lambda")
	header := func(names ...string) (text string) {
		for _, n := range names {
			text += "Authorization header requires '" + n + "' parameter. "
		}
		return text
	}
	const (
		noDate = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
		date   = "20150830T123600Z"
		whole  = "AWS4-HMAC-SHA256 Credential=a/20150830/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=x"
		query  = "AWS query-string parameters must include '"
	)
	for _, c := range []struct{ target, auth, date, code, want string }{
		{"/", "AWS4-HMAC-SHA256 SignedHeaders=host", date, "IncompleteSignatureException", header("Credential", "Signature") + "Authorization=AWS4-HMAC-SHA256 SignedHeaders=host"},
		{"/", "AWS4-", "", "IncompleteSignatureException", header("Credential", "Signature", "SignedHeaders") + noDate + "Authorization=AWS4-"},
		{"/", "AWS4- Signature=b Credential=a", date, "IncompleteSignatureException", header("SignedHeaders") + "Authorization=AWS4- Signature=b Credential=a"},
		{"/", "AWS4-HMAC-SHA256 Credential=,Signature=b", date, "IncompleteSignatureException", header("Credential", "SignedHeaders") + "Authorization=AWS4-HMAC-SHA256 Credential=,Signature=b"},
		{"/", "AWS4-ECDSA-P256-SHA256 Credential=a, SignedHeaders=host, Signature=x", date, "IncompleteSignatureException", "Authorization header requires the 'AWS4-HMAC-SHA256' algorithm."},
		{"/", "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x", date, "IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."},
		{"/", whole, "", "IncompleteSignatureException", noDate + "Authorization=" + whole},
		{"/", "AWS4", date, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"/", "Bearer abc", date, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"/?X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c&X-Amz-Date=d", "", "", "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"/?X-Amz-Algorithmic=a", "", "", "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"/?X-Amz-Algorithm", whole, date, "InvalidSignatureException", "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		{"/?X-Amz-Signature=b", whole, date, "IncompleteSignatureException", "Only one way of authenticating may be used at a time."},
		{"/?X-Amz-Algorithm", "", "", "IncompleteSignatureException", query + "X-Amz-Algorithm'. " + query + "X-Amz-Credential'. " + query + "X-Amz-Signature'. " + query + "X-Amz-SignedHeaders'. " + query + "X-Amz-Date'. Re-examine the query-string parameters."},
		{"/?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d", "", "", "IncompleteSignatureException", query + "X-Amz-SignedHeaders'. Re-examine the query-string parameters."},
	} {
		r := request("POST", c.target, "")
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		if c.date != "" {
			r.Header.Set("X-Amz-Date", c.date)
		}
		w := do(f, r)
		if w.Code != 403 || w.Header().Get("x-amzn-ErrorType") != c.code || w.Body.String() != string(jsonObject(nil, "message", c.want)) {
			t.Errorf("%s with %q: got %d %s %s, want %s %s", c.target, c.auth, w.Code, w.Header().Get("x-amzn-ErrorType"), w.Body, c.code, c.want)
		}
	}
}

func TestAPayloadHashThatIsSignedAndWrongIsRefused(t *testing.T) {
	f, _ := newFront(t, "lambda", "s3")
	r := sign(t, request("POST", "/x", "real", "X-Amz-Content-Sha256", hexHash("claimed")), "claimed", "lambda")
	if w := do(f, r); w.Code != 403 || w.Header().Get("x-amzn-ErrorType") != "InvalidSignatureException" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	for service, want := range map[string]int{"lambda": 403, "s3": 200} {
		r := sign(t, request("PUT", "/x", "real", "X-Amz-Content-Sha256", unsignedPayload), "", service, func(s *signing) { s.hash = unsignedPayload })
		if w := do(f, r); w.Code != want {
			t.Errorf("unsigned payload for %s: got %d, want %d", service, w.Code, want)
		}
	}
}

func TestTheDateHeaderStandsInForXAmzDate(t *testing.T) {
	f, _ := newFront(t, "service")
	signed := func(date string) *http.Request {
		c := claim{date: "20150830", region: "us-east-1", service: "service", scope: "20150830/us-east-1/service/aws4_request", headers: "date;host", stamp: "20150830T123600Z"}
		r := request("GET", "/", "", "Date", date)
		c.signature = signatureOf(&c, r)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+testKey+"/"+c.scope+", SignedHeaders=date;host, Signature="+c.signature)
		return r
	}
	for date, want := range map[string]int{"Sun, 30 Aug 2015 12:36:00 GMT": 200, "20150830T123600Z": 200, "yesterday": 403} {
		if w := do(f, signed(date)); w.Code != want {
			t.Errorf("%s: got %d %s, want %d", date, w.Code, w.Body, want)
		}
	}
}

func TestGetCallerIdentityTellsWhoseKeysTheyAre(t *testing.T) {
	f, _ := newFront(t)
	body := "Action=GetCallerIdentity&Version=2011-06-15"
	w := do(f, sign(t, request("POST", "/", body, "Content-Type", "application/x-www-form-urlencoded"), body, "sts"))
	if want := "<GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:user/operator</Arn><UserId>AIDAOPERATOR</UserId><Account>000000000000</Account></GetCallerIdentityResult>"; w.Code != 200 || !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	body = "Action=AssumeRole&Version=2011-06-15"
	w = do(f, sign(t, request("POST", "/", body, "Content-Type", "application/x-www-form-urlencoded"), body, "sts"))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "sts:AssumeRole is not supported here") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestAHandlersPanicIsA500InTheRightShape(t *testing.T) {
	f, _ := newFront(t)
	f.Register("lambda", Service{BodyBytesMax: 1, Handler: handler(func(http.ResponseWriter, *Request) { panic("ours") })})
	w := do(f, sign(t, request("POST", "/x", ""), "", "lambda"))
	if w.Code != 500 || w.Header().Get("x-amzn-ErrorType") != "InternalFailure" || strings.Contains(w.Body.String(), "ours") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestAPanicAfterTheAnswerBeganCutsItOff(t *testing.T) {
	f, _ := newFront(t)
	f.Register("lambda", Service{BodyBytesMax: 1, Handler: handler(func(w http.ResponseWriter, _ *Request) {
		w.Write([]byte("half"))
		panic("ours")
	})})
	defer func() {
		if v := recover(); v != any(http.ErrAbortHandler) {
			t.Errorf("got %v, want %v", v, http.ErrAbortHandler)
		}
	}()
	do(f, sign(t, request("POST", "/x", ""), "", "lambda"))
}

func TestAMistakeInRegisteringPanicsAtStart(t *testing.T) {
	for name, s := range map[string]Service{
		"nohandler": {BodyBytesMax: 1},
		"nolimit":   {Handler: &seen{}},
		"":          {Handler: &seen{}, BodyBytesMax: 1},
		"sts":       {Handler: &seen{}, BodyBytesMax: 1},
	} {
		f, _ := newFront(t)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q: got no panic", name)
				}
			}()
			f.Register(name, s)
		}()
	}
}

// handler makes a Handler of a function.
type handler func(http.ResponseWriter, *Request)

func (h handler) ServeAWS(w http.ResponseWriter, r *Request) { h(w, r) }

func FuzzProtocol(f *testing.F) {
	f.Add("POST", "example.com", "application/x-amz-json-1.0", "A.B", "Action=x", "lambda", "body")
	f.Add("GET", "b.s3.eu-west-1.amazonaws.com:80", "", "", "%zz", "", "Action=%")
	front, _ := newFront(f)
	f.Fuzz(func(t *testing.T, method, host, kind, target, query, service, body string) {
		r := request("GET", "/", "")
		r.Method, r.Host, r.URL.RawQuery = method, host, query
		r.Header["Content-Type"], r.Header["X-Amz-Target"] = []string{kind}, []string{target}
		req := &Request{HTTP: r, Service: service, Body: []byte(body), Path: "/" + query, ID: "id"}
		w := record()
		Refuse(w, req, front.unserved(req))
		if w.Code != 400 || w.Body.Len() == 0 {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
	})
}

func TestAnUploadToAServiceThatIsNotHereIsToldSoAndNotHowToUpload(t *testing.T) {
	f, _ := newFront(t, "lambda")
	for service, want := range map[string]string{"s3": "s3:PUT /b/k is not supported here", "lambda": "Transfer-Encoding is not accepted"} {
		r := sign(t, request("PUT", "/b/k", "x"), "x", service)
		r.TransferEncoding, r.ContentLength = []string{"chunked"}, -1
		if w := do(f, r); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d %s, want %q", service, w.Code, w.Body, want)
		}
	}
}

func TestWhatIsAroundServicesIsAroundTheRefusalOfThoseThatAreNotHere(t *testing.T) {
	f, _ := newFront(t, "lambda")
	var around []string
	silent := ""
	f.cfg.Around = func(service string, h Handler) Handler {
		around = append(around, service)
		if service == silent {
			return &seen{}
		}
		return h
	}
	host := func(host string) *http.Request {
		r := request("GET", "/key", "")
		r.Host = host
		return r
	}
	for i, c := range []struct {
		r       *http.Request
		service string
		code    int
	}{
		{sign(t, request("GET", "/bucket/key", ""), "", "s3"), "s3", 400},
		{host("bucket.s3.us-east-1.amazonaws.com"), "s3", 403},
		{host("bucket--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com"), "s3express", 403},
		{host("kinesis.us-east-1.amazonaws.com"), "kinesis", 403},
	} {
		around, silent = nil, ""
		if w := do(f, c.r); w.Code != c.code || len(around) != 1 || around[0] != c.service {
			t.Errorf("%d: got %d around %q, want %d around %s", i, w.Code, around, c.code, c.service)
		}
		silent = c.service
		if w := do(f, c.r); w.Code != 200 {
			t.Errorf("%d: got %d, want what is around to answer", i, w.Code)
		}
	}
	around = nil
	if do(f, sign(t, request("GET", "/", ""), "", "lambda", func(s *signing) { s.creds.SecretAccessKey = "another" })); len(around) != 0 {
		t.Errorf("a service that is here is refused around %q", around)
	}
}
