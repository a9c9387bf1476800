package tape

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
)

// A busy recorder's requests are said by hand.
type busy struct {
	*Recorder
	request string
}

func newBusy(names ...string) *busy {
	b := &busy{}
	b.Recorder = NewRecorder(func() string { return b.request }, names)
	return b
}

func address(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// ask records a request to an API and its answer.
func (b *busy) ask(method, target, body, answer string) {
	t := b.Begin("https", "api.example", 443, method, address(target), http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer hush"}})
	t.Sent([]byte(body))
	t.Answered(200, http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"s=hush"}})
	t.Received([]byte(answer))
	t.End(nil, nil)
}

func asking(method, target, body string) Ask {
	return Ask{Scheme: "https", Host: "api.example", Port: 443, Method: method, URL: address(target), Header: http.Header{}, Body: []byte(body)}
}

func play(t *testing.T, p *Player, a Ask) string {
	t.Helper()
	x, err := p.Answer(a)
	if err != nil {
		return err.Error()
	}
	return string(x.Body)
}

func TestARequestIsAnsweredByTheOneThatFitsBestInOrder(t *testing.T) {
	b := newBusy()
	b.request = "r"
	b.ask("POST", "/a", "one", "1")
	b.ask("POST", "/a", "two", "2")
	b.ask("POST", "/a", "two", "2 again")
	b.ask("GET", "/a?x=1", "", "3")
	p := NewPlayer(b.Take("r"), "it was not recorded")
	for _, step := range []struct{ method, target, body, want string }{
		{"POST", "/a", "two", "2"},
		{"POST", "/a", "other", "1"}, // no body fits: the first that is left
		{"POST", "/a", "two", "2 again"},
		{"POST", "/a", "two", "POST https://api.example/a: it was not recorded"}, // each once
		{"GET", "/a?x=2", "", "GET https://api.example/a?x=2: it was not recorded"},
		{"GET", "/a?x=1", "", "3"},
	} {
		if got := play(t, p, asking(step.method, step.target, step.body)); got != step.want {
			t.Errorf("%+v: got %q", step, got)
		}
	}
	want := Report{Played: 4, Missed: []string{"POST https://api.example/a: it was not recorded", "GET https://api.example/a?x=2: it was not recorded"}}
	if diff := cmp.Diff(want, p.Report()); diff != "" {
		t.Error(diff)
	}
}

func TestAnOperationIsPartOfWhatFits(t *testing.T) {
	b := newBusy()
	for _, op := range []string{"Get", "Put"} {
		k := b.Begin("http", Cloud, 0, "POST", address("/"), http.Header{"X-Amz-Target": {op}})
		k.Answered(200, nil)
		k.Received([]byte(op))
		k.End(nil, nil)
	}
	p := NewPlayer(b.Take(""), "no")
	got := play(t, p, Ask{Scheme: "http", Host: Cloud, Port: 4566, Method: "POST", URL: address("/"), Header: http.Header{"X-Amz-Target": {"Put"}}, Body: []byte("{}")})
	if got != "Put" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{"POST http://aws.endpoint/ (Get)"}, p.Report().Unused); diff != "" {
		t.Error(diff)
	}
}

func TestWhatTheEnvironmentAskedBeforeIsKeptAndComesSecond(t *testing.T) {
	b := newBusy()
	b.ask("GET", "/token", "", "from the start")
	b.request = "one"
	b.ask("GET", "/price", "", "of one")
	b.request = "two"
	b.ask("GET", "/price", "", "of two")
	p := NewPlayer(b.Take("two"), "no")
	for _, step := range []struct{ target, want string }{{"/token", "from the start"}, {"/price", "of two"}, {"/price", "of one"}} {
		if got := play(t, p, asking("GET", step.target, "")); got != step.want {
			t.Errorf("%s: got %q, want %q", step.target, got, step.want)
		}
	}
	one := NewPlayer(b.Take("one"), "no")
	if got := play(t, one, asking("GET", "/price", "")); got != "of one" {
		t.Errorf("got %q, want what was before the run and the run's own", got)
	}
	if got := one.Report().Unused; len(got) != 0 {
		t.Errorf("unused %q, want only exchanges of the run itself", got)
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	b := newBusy("PIN")
	k := b.Begin("https", "api.example", 443, "POST", address("/?token=hush&a=1&X-Amz-Signature=hush"), http.Header{
		"Authorization": {"hush"}, "Cookie": {"hush"}, "X-Amz-Security-Token": {"hush"}, "Pin": {"hush"}, "Content-Type": {"application/json"}})
	k.Sent([]byte(`{"card":{"pin":"hush"},"n":1}`))
	k.Answered(200, http.Header{"Set-Cookie": {"hush"}, "Content-Type": {"application/x-www-form-urlencoded"}})
	k.Received([]byte("pin=hush&b=2"))
	k.End(http.Header{"Pin": {"hush"}}, nil)
	made := b.Take("")
	raw, err := Encode(made)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	x := back.Exchanges[0]
	for what, text := range map[string]string{"target": x.Target, "request": string(x.RequestBody), "answer": string(x.Body)} {
		if strings.Contains(text, "hush") {
			t.Errorf("%s: %s", what, text)
		}
	}
	for _, h := range []http.Header{x.RequestHeader, x.Header, x.Trailer} {
		for name, v := range h {
			if slices.Contains(v, "hush") {
				t.Errorf("%s is kept", name)
			}
		}
	}
	// The same request with other secrets is the same request.
	a := Ask{Scheme: "https", Host: "api.example", Port: 443, Method: "POST", URL: address("/?token=else&a=1&X-Amz-Signature=else"), Header: http.Header{}, Body: []byte(`{"card":{"pin":"hush"},"n":1}`)}
	if _, err := NewPlayer(back, "no").Answer(a); err != nil {
		t.Error(err)
	}
}

// What is named is not kept in bodies that are compressed, cut, torn, several
// values one after another, or text within a value.
func TestSecretsAreNotKeptWhereABodyIsNoPlainValue(t *testing.T) {
	zipped := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		body string
		head http.Header
		want string // "": whatever has no secret
	}{
		"several values":      {body: "{\"pin\":\"hush\",\"n\":1}\n{\"pin\":\"hush\"}\n", want: "{\"n\":1,\"pin\":\"[redacted]\"}\n{\"pin\":\"[redacted]\"}"},
		"torn":                {body: `{"n":1,"pin":"hush","rest":"`},
		"longer than is kept": {body: `{"pin":"hush","rest":"` + strings.Repeat("x", BodyBytesMax) + `"}`},
		"text in a value":     {body: `{"MessageBody":"{\"pin\":\"hush\"}","n":1}`, want: `{"MessageBody":"{\"pin\":\"[redacted]\"}","n":1}`},
		"compressed":          {body: zipped(`{"pin":"hush","n":1}`), head: http.Header{"Content-Encoding": {"gzip"}}, want: `{"n":1,"pin":"[redacted]"}`},
		"compressed and torn": {body: zipped(`{"pin":"hush","n":1,"of":"` + strings.Repeat("abc", 999) + `"}`)[:60], head: http.Header{"Content-Encoding": {"gzip"}}},
		"compressed somehow":  {body: "\x01\"hush\"", head: http.Header{"Content-Encoding": {"zz"}, "Content-Type": {"application/json"}}},
		"a form":              {body: "pin=hush&b=2", head: http.Header{"Content-Type": {"Application/X-WWW-Form-Urlencoded"}}, want: "pin=%5Bredacted%5D&b=2"},
		"nothing that is one": {body: "pin: none", want: "pin: none"},
		"no member named":     {body: `{"torn":`, want: `{"torn":`},
	} {
		b := newBusy("PIN")
		k := b.Begin("https", "api.example", 443, "POST", address("/"), c.head)
		k.Sent([]byte(c.body))
		k.Answered(200, c.head)
		k.Received([]byte(c.body))
		k.End(nil, nil)
		x := b.Take("").Exchanges[0]
		for what, one := range map[string]struct {
			head http.Header
			body []byte
		}{"request": {x.RequestHeader, x.RequestBody}, "answer": {x.Header, x.Body}} {
			got := string(one.body)
			if one.head.Get("Content-Encoding") == "gzip" {
				z, err := gzip.NewReader(strings.NewReader(got))
				if err != nil {
					t.Errorf("%s: %s: %v", name, what, err)
					continue
				}
				plain, err := io.ReadAll(z)
				if err != nil {
					t.Errorf("%s: %s: %v", name, what, err)
				}
				got = string(plain)
			}
			if strings.Contains(got, "hush") || c.want != "" && got != c.want {
				t.Errorf("%s: %s: %.100q, want %q", name, what, got, c.want)
			}
		}
	}
}

// An address in a header has its secrets left out like the address asked.
func TestSecretsOfAddressesInHeadersAreNotKept(t *testing.T) {
	b := newBusy()
	k := b.Begin("https", "api.example", 443, "GET", address("/"), http.Header{"Referer": {"https://a.example/?code=hush"}})
	k.Answered(302, http.Header{"Location": {"https://b.example/back?code=hush&state=1#access_token=hush"}})
	k.End(nil, nil)
	x := b.Take("").Exchanges[0]
	if got, want := x.Header.Get("Location"), "https://b.example/back?code=%5Bredacted%5D&state=1#access_token=%5Bredacted%5D"; got != want {
		t.Errorf("location %q, want %q", got, want)
	}
	if got, want := x.RequestHeader.Get("Referer"), "https://a.example/?code=%5Bredacted%5D"; got != want {
		t.Errorf("referer %q, want %q", got, want)
	}
}

func TestWhatFailedFailsAgain(t *testing.T) {
	b := newBusy()
	now := time.Now()
	b.Fail(Lookup, "nowhere.example", 0, now, errors.New("no such host"))
	b.Fail(Connection, "api.example", 443, now, errors.New("connection refused"))
	b.ask("GET", "/", "", "then it was there")
	p := NewPlayer(b.Take(""), "no")
	if p.Exists("nowhere.example") || !p.Exists("api.example") || !p.Exists("unheard.example") {
		t.Error("a name whose lookup failed should not exist, and all others should")
	}
	if err := p.Connects("api.example", 443); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v, want the failure that was recorded", err)
	}
	if err := p.Connects("api.example", 443); err != nil {
		t.Errorf("got %v, want a connection: the second was made", err)
	}
	if got := p.Report(); len(got.Unused) != 1 || got.Played != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestWhatHasNoAnswerYetIsPending(t *testing.T) {
	b := newBusy()
	b.request = "r"
	k := b.Begin("https", "slow.example", 443, "GET", address("/"), nil)
	made := b.Take("r")
	k.Answered(200, nil)
	k.End(nil, nil)
	if x := made.Exchanges[0]; !x.Pending || x.Status != 0 {
		t.Errorf("got %+v, want it pending, and what came later not on it", x)
	}
}

func TestATapeIsBounded(t *testing.T) {
	b := newBusy()
	b.request = "r"
	big := bytes.Repeat([]byte("x"), BodyBytesMax+1)
	b.ask("GET", "/big", "", string(big))
	for range ExchangesMax + 10 {
		b.ask("GET", "/", string(big[:100<<10]), string(big[:100<<10]))
	}
	for range missesMax + 10 {
		b.Miss(strings.Repeat("y", 5000) + time.Now().String())
	}
	made := b.Take("r")
	size := 0
	for i := range made.Exchanges {
		size += made.Exchanges[i].bytes()
	}
	if size > BytesMax+BytesMax/10 || len(made.Exchanges) > ExchangesMax || made.Dropped == 0 || len(made.Missed) > missesMax {
		t.Errorf("got %d bytes, %d exchanges, %d dropped", size, len(made.Exchanges), made.Dropped)
	}
	if !made.Exchanges[0].Cut {
		t.Error("a body over the limit is not marked")
	}
	if got := play(t, NewPlayer(made, "no"), asking("GET", "/big", "")); !strings.Contains(got, "longer than") {
		t.Errorf("got %q, want no half answer", got)
	}
	for i := range 10 * BeforeMax {
		b.request = "r" + time.Duration(i).String()
		b.ask("GET", "/", "", "")
	}
	if got := len(b.entries); got > BeforeMax+3 {
		t.Errorf("an environment that runs for long keeps %d exchanges", got)
	}
}

func TestWhatCannotBeRecordedIsSaidOnce(t *testing.T) {
	b := newBusy()
	k := b.Begin("https", "chat.example", 443, "GET", address("/socket"), nil)
	k.Abandon("it became a web socket")
	b.Miss("db.example:5432 does not speak HTTP")
	b.Miss("db.example:5432 does not speak HTTP")
	want := &Tape{Version: version, Missed: []string{"GET https://chat.example/socket: it became a web socket", "db.example:5432 does not speak HTTP"}}
	if diff := cmp.Diff(want, b.Take("")); diff != "" {
		t.Error(diff)
	}
}

func TestATapeOfAnotherVersionIsRefused(t *testing.T) {
	raw, err := Encode(&Tape{Version: 99})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(raw); daruma.KindOf(err) != daruma.KindUnsupported {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	b := newBusy()
	b.ask("POST", "/a", "one", "1")
	b.Fail(Lookup, "nowhere", 0, time.Now(), errors.New("none"))
	raw, err := Encode(b.Take(""))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	pack := func(text string) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		z.Write([]byte(text))
		z.Close()
		return out.Bytes()
	}
	f.Add(pack(`{"version":1,"exchanges":[{"kind":"request","host":"a","status":-1}]}`))
	f.Add(pack(`{"version":1,"exchanges":[{"kind":"request","host":"a","status":200,"tookNs":-5}]}`))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, raw []byte) {
		made, err := Decode(raw)
		if err != nil {
			return
		}
		p := NewPlayer(made, "no")
		for i := range made.Exchanges {
			x := &made.Exchanges[i]
			u, err := url.ParseRequestURI(x.Target)
			if err != nil {
				continue
			}
			p.Exists(x.Host)
			_ = p.Connects(x.Host, x.Port)
			_, _ = p.Answer(Ask{Scheme: x.Scheme, Host: x.Host, Port: x.Port, Method: x.Method, URL: u, Header: x.RequestHeader, Body: x.RequestBody})
		}
		p.Report()
	})
}
