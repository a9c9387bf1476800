package wire

import (
	"bufio"
	"context"
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// published is AWS's signature test suite (aws-sig-v4-test-suite): the raw
// request, and the signature that goes with it.
var published = []struct{ name, request, headers, signature string }{
	{"get-vanilla", "GET / HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-vanilla-query", "GET / HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-vanilla-empty-query-key", "GET /?Param1=value1 HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
	{"get-vanilla-query-order-key-case", "GET /?Param2=value2&Param1=value1 HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"get-vanilla-query-unreserved", "GET /?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
	{"get-vanilla-utf8-query", "GET /?ሴ=bar HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
	{"get-unreserved", "GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
	{"get-utf8", "GET /ሴ HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
	{"get-relative", "GET /example/.. HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-relative-relative", "GET /example1/example2/../.. HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-slash", "GET // HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-slash-dot-slash", "GET /./ HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-header-key-duplicate", "GET / HTTP/1.1\nHost:example.amazonaws.com\nMy-Header1:value2\nMy-Header1:value2\nMy-Header1:value1\nX-Amz-Date:20150830T123600Z", "host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
	{"get-header-value-order", "GET / HTTP/1.1\nHost:example.amazonaws.com\nMy-Header1:value4\nMy-Header1:value1\nMy-Header1:value3\nMy-Header1:value2\nX-Amz-Date:20150830T123600Z", "host;my-header1;x-amz-date", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
	{"get-header-value-trim", "GET / HTTP/1.1\nHost:example.amazonaws.com\nMy-Header1: value1\nMy-Header2: \"a   b   c\"\nX-Amz-Date:20150830T123600Z", "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"post-vanilla", "POST / HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"post-vanilla-query", "POST /?Param1=value1 HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z", "host;x-amz-date", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
	{"post-header-key-sort", "POST / HTTP/1.1\nHost:example.amazonaws.com\nMy-Header1:value1\nX-Amz-Date:20150830T123600Z", "host;my-header1;x-amz-date", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
	{"post-header-value-case", "POST / HTTP/1.1\nHost:example.amazonaws.com\nMy-Header1:VALUE1\nX-Amz-Date:20150830T123600Z", "host;my-header1;x-amz-date", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
	{"post-x-www-form-urlencoded", "POST / HTTP/1.1\nContent-Type:application/x-www-form-urlencoded\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z\nContent-Length:13\n\nParam1=value1", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
}

// arrived parses a raw request as a server would.
func arrived(t testing.TB, raw string) *http.Request {
	t.Helper()
	if !strings.Contains(raw, "\n\n") {
		raw += "\n\n"
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(raw, "\n", "\r\n"))))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAWSsPublishedSignaturesAreAccepted(t *testing.T) {
	f, _ := newFront(t, "service")
	for _, v := range published {
		r := arrived(t, v.request)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+testKey+"/20150830/us-east-1/service/aws4_request, SignedHeaders="+v.headers+", Signature="+v.signature)
		if w := do(f, r); w.Code != 200 {
			t.Errorf("%s: got %d %s", v.name, w.Code, w.Body)
		}
	}
}

// random builds a request that is awkward in every part.
func random(rng *rand.Rand) (*http.Request, string) {
	pick := func(from ...string) string { return from[rng.Intn(len(from))] }
	text := func(n int) string {
		const alphabet = "abcXYZ019-_.~ +%/&=?:,;@!$'()*é\U0001F600"
		runes, out := []rune(alphabet), ""
		for range rng.Intn(n) {
			out += string(runes[rng.Intn(len(runes))])
		}
		return out
	}
	path := "/" + url.PathEscape("p"+text(8)) + pick("", "/", "/"+url.PathEscape("q"+text(8)))
	query := url.Values{}
	for range rng.Intn(4) {
		query.Add(pick("a", "b", "B", "Qualifier", text(3)+"k"), text(6))
	}
	body := pick("", "{}", strings.Repeat("x", rng.Intn(300)))
	r := request(pick("GET", "POST", "PUT", "DELETE"), path+"?"+strings.ReplaceAll(query.Encode(), "+", "%20"), body)
	for range rng.Intn(5) {
		r.Header.Add(pick("X-Amz-Log-Type", "Content-Type", "X-Other", "Amz-Sdk-Invocation-Id", "If-Match"), pick("Tail", "a  b", " c ", "d,e"))
	}
	for name, v := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			r.Header[name] = v[:1]
		}
	}
	return r, body
}

func TestWhatTheSDKSignsIsAcceptedByUs(t *testing.T) {
	rng := rand.New(rand.NewSource(7))
	for i := range 3000 {
		service := []string{"lambda", "sqs", "s3"}[i%3]
		f, _ := newFront(t, service)
		r, body := random(rng)
		if service == "s3" {
			r.Header.Set("X-Amz-Content-Sha256", hexHash(body))
		}
		if w := do(f, sign(t, r, body, service)); w.Code != 200 {
			t.Fatalf("request %d: got %d %s for %s %s %v", i, w.Code, w.Body, r.Method, r.RequestURI, r.Header)
		}
	}
}

func TestWhatTheSDKPresignsIsAcceptedUntilItExpires(t *testing.T) {
	f, _ := newFront(t, "lambda", "s3")
	for _, c := range []struct {
		service, hash string
		age           time.Duration
		expires       string
		status        int
	}{
		{"lambda", hexHash(""), time.Minute, "60", 200},
		{"lambda", hexHash(""), 61 * time.Second, "60", 403},
		{"lambda", hexHash(""), 7*24*time.Hour - time.Second, "604800", 200},
		{"lambda", hexHash(""), 0, "604801", 403},
		{"lambda", hexHash(""), 0, "0", 403},
		{"lambda", hexHash(""), 0, "-5", 403},
		{"lambda", hexHash(""), 14 * time.Minute, "", 200},
		{"lambda", hexHash(""), 16 * time.Minute, "", 403},
		{"lambda", hexHash(""), -16 * time.Minute, "60", 403},
		{"lambda", unsignedPayload, 0, "60", 403},
		{"s3", unsignedPayload, 0, "60", 200},
	} {
		target := "/2015-03-31/functions/f"
		if c.expires != "" {
			target += "?X-Amz-Expires=" + c.expires
		}
		r := request("GET", target, "")
		r.URL.Host, r.URL.Scheme = r.Host, "http"
		signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}, r, c.hash, c.service, "us-east-1", vectorTime.Add(-c.age), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = c.service == "s3" })
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(signed)
		if w := do(f, request("GET", u.RequestURI(), "")); w.Code != c.status {
			t.Errorf("%+v: got %d %s", c, w.Code, w.Body)
		}
	}
}

// mutate changes one thing about a signed request that must break it.
var mutations = []struct {
	name string
	do   func(rng *rand.Rand, r *http.Request)
}{
	{"method", func(_ *rand.Rand, r *http.Request) {
		r.Method = map[string]string{"GET": "POST", "POST": "PUT", "PUT": "DELETE", "DELETE": "GET"}[r.Method]
	}},
	{"path", func(rng *rand.Rand, r *http.Request) { setPath(r, wirePath(r)+"x") }},
	{"escape of a path byte", func(_ *rand.Rand, r *http.Request) { setPath(r, strings.Replace(wirePath(r), "/p", "/%70", 1)) }},
	{"path escaped twice", func(_ *rand.Rand, r *http.Request) {
		setPath(r, wirePath(r)+"%2F")
		setPath(r, strings.ReplaceAll(wirePath(r), "%", "%25"))
	}},
	{"path segment moved up", func(_ *rand.Rand, r *http.Request) { setPath(r, wirePath(r)+"/../other") }},
	{"query added", func(_ *rand.Rand, r *http.Request) { setQuery(r, r.URL.RawQuery+"&extra=1") }},
	{"query key twice", func(_ *rand.Rand, r *http.Request) { setQuery(r, "zz=1&"+r.URL.RawQuery+"&zz=1") }},
	{"query that cannot be read", func(_ *rand.Rand, r *http.Request) { setQuery(r, r.URL.RawQuery+"&a=%zz") }},
	{"host", func(_ *rand.Rand, r *http.Request) { r.Host = "evil.example.com" }},
	{"body", func(rng *rand.Rand, r *http.Request) {
		setBody(r, r.Header.Get("Test-Body")+string(rune('a'+rng.Intn(26))))
	}},
	{"payload hash", func(_ *rand.Rand, r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hexHash("other")) }},
	{"payload unsigned", func(_ *rand.Rand, r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", unsignedPayload) }},
	{"payload streaming", func(_ *rand.Rand, r *http.Request) {
		r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	}},
	{"date", func(rng *rand.Rand, r *http.Request) {
		r.Header.Set("X-Amz-Date", vectorTime.Add(time.Duration(1+rng.Intn(600))*time.Second).Format(amzTime))
	}},
	{"date twice", func(_ *rand.Rand, r *http.Request) { r.Header.Add("X-Amz-Date", vectorTime.Format(amzTime)) }},
	{"no date", func(_ *rand.Rand, r *http.Request) { r.Header.Del("X-Amz-Date") }},
	{"header added", func(_ *rand.Rand, r *http.Request) { r.Header.Set("X-Amz-Invocation-Type", "DryRun") }},
	{"signed header changed", func(_ *rand.Rand, r *http.Request) { r.Header.Set("X-Signed", "b") }},
	{"signed header removed", func(_ *rand.Rand, r *http.Request) { r.Header.Del("X-Signed") }},
	{"signed header doubled", func(_ *rand.Rand, r *http.Request) { r.Header.Add("X-Signed", "a") }},
	{"session token added", func(_ *rand.Rand, r *http.Request) { r.Header.Set("X-Amz-Security-Token", "t") }},
	{"access key", authorization("Credential="+testKey, "Credential=ASIASESSION")},
	{"unknown access key", authorization("Credential="+testKey, "Credential=AKIDOTHER")},
	{"scope's date", authorization("/20150830/", "/20150829/")},
	{"scope's region", authorization("/us-east-1/", "/us-east-2/")},
	{"scope's service", authorization("/lambda/", "/sqs/")},
	{"scope's end", authorization("aws4_request", "aws4_requesu")},
	{"algorithm", authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512")},
	{"no algorithm", authorization("AWS4-HMAC-SHA256 ", "")},
	{"host not signed", authorization("host;", "")},
	{"a name dropped", authorization(";x-amz-date", "")},
	{"names in disorder", authorization("SignedHeaders=", "SignedHeaders=zz;")},
	{"names in upper case", authorization("x-amz-date", "X-Amz-Date")},
	{"signature in upper case", func(_ *rand.Rand, r *http.Request) {
		a := r.Header.Get("Authorization")
		i := strings.Index(a, "Signature=") + len("Signature=")
		r.Header.Set("Authorization", a[:i]+"F"+a[i+1:])
	}},
	{"signature bit", func(rng *rand.Rand, r *http.Request) {
		a := []byte(r.Header.Get("Authorization"))
		i := len(a) - 1 - rng.Intn(64)
		if a[i]++; a[i] == 'g' || a[i] == ':' {
			a[i] = '0'
		}
		r.Header.Set("Authorization", string(a))
	}},
	{"signature cut", func(rng *rand.Rand, r *http.Request) {
		a := r.Header.Get("Authorization")
		r.Header.Set("Authorization", a[:len(a)-1-rng.Intn(64)])
	}},
	{"signature empty", func(_ *rand.Rand, r *http.Request) {
		a := r.Header.Get("Authorization")
		r.Header.Set("Authorization", a[:len(a)-64])
	}},
	{"two signatures", func(_ *rand.Rand, r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Authorization")+", Signature="+strings.Repeat("0", 64))
	}},
	{"two Authorization headers", func(_ *rand.Rand, r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }},
	{"header and query at once", func(_ *rand.Rand, r *http.Request) { setQuery(r, r.URL.RawQuery+"&X-Amz-Signature=00") }},
	{"no Authorization", func(_ *rand.Rand, r *http.Request) { r.Header.Del("Authorization") }},
	{"a byte of Authorization", func(rng *rand.Rand, r *http.Request) {
		a := []byte(r.Header.Get("Authorization"))
		i := rng.Intn(len(a))
		for a[i] == ' ' || a[i] == ',' {
			i = rng.Intn(len(a))
		}
		a[i] ^= 1 << rng.Intn(5)
		r.Header.Set("Authorization", string(a))
	}},
}

func authorization(from, to string) func(*rand.Rand, *http.Request) {
	return func(_ *rand.Rand, r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}

func setPath(r *http.Request, path string) {
	r.RequestURI = path + "?" + r.URL.RawQuery
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		r.URL.Path, r.URL.RawPath = u.Path, u.RawPath
	}
}

func setQuery(r *http.Request, query string) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	r.URL.RawQuery, r.RequestURI = query, path+"?"+query
}

func setBody(r *http.Request, body string) {
	changed := httptest.NewRequest(r.Method, "/", strings.NewReader(body))
	r.Body, r.ContentLength = changed.Body, changed.ContentLength
	r.Header.Set("Content-Length", fmt.Sprint(len(body)))
}

func TestTenThousandMutatedRequestsAreAllRefused(t *testing.T) {
	f, h := newFront(t, "lambda", "sqs")
	rng := rand.New(rand.NewSource(11))
	for i := range 10_000 {
		r, body := random(rng)
		r.Header.Set("X-Signed", "a")
		sign(t, r, body, "lambda")
		r.Header.Set("Test-Body", body) // unsigned and unused: only setBody reads it
		m := mutations[i%len(mutations)]
		before := r.Header.Get("Authorization")
		m.do(rng, r)
		h.last = nil
		if w := do(f, r); w.Code/100 != 4 || h.last != nil {
			t.Fatalf("mutation %d (%s) was answered with %d: %s %s %v\nwas %s", i, m.name, w.Code, r.Method, r.RequestURI, r.Header, before)
		}
	}
}

func TestEveryMutationStartsFromARequestThatIsAccepted(t *testing.T) {
	f, _ := newFront(t, "lambda")
	rng := rand.New(rand.NewSource(11))
	for range 500 {
		r, body := random(rng)
		r.Header.Set("X-Signed", "a")
		if w := do(f, sign(t, r, body, "lambda")); w.Code != 200 {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
}

func TestAnAcceptedSignatureIsCheckedAgainTheNextTime(t *testing.T) {
	f, _ := newFront(t, "lambda")
	for range 3 { // the second time, the derived key is kept
		r := sign(t, request("POST", "/x", "a"), "a", "lambda")
		if w := do(f, r); w.Code != 200 {
			t.Fatalf("got %d", w.Code)
		}
		r = sign(t, request("POST", "/x", "a"), "a", "lambda")
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Signature=", "Signature=0", 1)[:len(r.Header.Get("Authorization"))])
		if w := do(f, r); w.Code != 403 {
			t.Fatalf("got %d for a forged signature", w.Code)
		}
	}
}

func TestASessionsTokenMustComeAlongAndBeTheRightOne(t *testing.T) {
	f, h := newFront(t, "lambda")
	for token, want := range map[string]int{"the-token": 200, "another": 403, "": 403} {
		r := sign(t, request("POST", "/x", ""), "", "lambda", func(s *signing) {
			s.creds = aws.Credentials{AccessKeyID: "ASIASESSION", SecretAccessKey: "s3cret", SessionToken: token}
		})
		if w := do(f, r); w.Code != want {
			t.Errorf("%q: got %d, want %d", token, w.Code, want)
		}
	}
	if h.last == nil || h.last.Caller.Function != "fn" {
		t.Errorf("got %+v, want the function's identity", h.last)
	}
}

func TestPathsAreGivenToHandlersAsTheyWereSigned(t *testing.T) {
	f, h := newFront(t, "service")
	r := arrived(t, published[8].request)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+testKey+"/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature="+published[8].signature)
	if do(f, r); h.last == nil || h.last.Path != "/" {
		t.Errorf("got %+v, want /", h.last)
	}
}

func TestAnotherDoorCanHaveASignatureChecked(t *testing.T) {
	f, _ := newFront(t)
	signed := func(path string) *http.Request { return sign(t, request("POST", path, "body"), "body", "lambda") }
	if who, err := f.Verify(signed("/x"), []byte("body"), "lambda"); err != nil || who != operator {
		t.Errorf("got %+v, %v", who, err)
	}
	unsigned := request("POST", "/x", "body")
	for name, refused := range map[string]func() (Identity, *Error){
		"another body":    func() (Identity, *Error) { return f.Verify(signed("/x"), []byte("other"), "lambda") },
		"another service": func() (Identity, *Error) { return f.Verify(signed("/x"), []byte("body"), "sqs") },
		"no signature":    func() (Identity, *Error) { return f.Verify(unsigned, []byte("body"), "lambda") },
		"another path": func() (Identity, *Error) {
			r := signed("/x")
			setPath(r, "/y/../x")
			return f.Verify(r, []byte("body"), "lambda")
		},
	} {
		if who, err := refused(); err == nil || who != (Identity{}) {
			t.Errorf("%s: got %+v, %v", name, who, err)
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64), "20150830T123600Z", "")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=host,Signature=", "", "X-Amz-Signature=1&X-Amz-Credential=a&X-Amz-Date=b&X-Amz-Algorithm=c&X-Amz-SignedHeaders=host&X-Amz-Expires=99999999")
	f.Add("", "2", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k%2F20150830%2Fus-east-1%2Flambda%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Signature="+strings.Repeat("a", 64))
	f.Fuzz(func(t *testing.T, auth, date, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		if auth != "" {
			r.Header["Authorization"] = []string{auth}
		}
		if date != "" {
			r.Header["X-Amz-Date"] = []string{date}
		}
		var c claim
		if err := c.parse(r); err != nil {
			if err.fault == noFault || err.Message == "" {
				t.Errorf("got %+v", err)
			}
			return
		}
		if c.scope != c.date+"/"+c.region+"/"+c.service+"/"+terminal || len(c.signature) != 64 || c.accessKey == "" || c.stamp[:8] != c.date || !signs(c.headers, "host") || c.presigned && (c.expires < time.Second || c.expires > expiryMax) {
			t.Errorf("got claim %+v from %q %q %q", c, auth, date, query)
		}
	})
}

func FuzzCanonicalQuery(f *testing.F) {
	f.Add("b=2&a=1&a=%20+&&c")
	f.Add("%zz=1;x")
	f.Fuzz(func(t *testing.T, raw string) {
		got, ok := appendQuery(nil, raw)
		values, err := url.ParseQuery(raw)
		if !ok {
			if err == nil {
				t.Errorf("%q was refused, and url.ParseQuery reads it", raw)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q was taken, and url.ParseQuery says %v", raw, err)
		}
		again, err := url.ParseQuery(string(got))
		delete(values, "X-Amz-Signature")
		if err != nil || len(again) > len(values)+1 {
			t.Errorf("%q became %q: %v", raw, got, err)
		}
		if twice, ok := appendQuery(nil, string(got)); !ok || string(twice) != string(got) {
			t.Errorf("%q became %q and then %q", raw, got, twice)
		}
	})
}
