package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/daruma-io/daruma/door/egress/trust"
	"github.com/daruma-io/daruma/tape"
)

// A stand is an Egress whose one environment has a tap, and a host outside
// with a certificate of an authority that the machine trusts.
type stand struct {
	*place
	recorder *tape.Recorder
	request  string
	session  *trust.Authority
	host     *trust.Authority
}

// newStand makes one that records, or plays from a player.
func newStand(t *testing.T, player *tape.Player) *stand {
	t.Helper()
	s := &stand{request: "r-1"}
	base, err := trust.Open(t.TempDir(), CloudDomains, "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if s.session, err = trust.Session(base, t.TempDir(), "", time.Now); err != nil {
		t.Fatal(err)
	}
	if s.host, err = trust.Session(base, t.TempDir(), "", time.Now); err != nil {
		t.Fatal(err)
	}
	s.recorder = tape.NewRecorder(func() string { return s.request }, nil)
	roots := x509.NewCertPool()
	roots.AddCert(s.host.Certificate())
	f := newFixture(t, func(c *Config) {
		c.Authority, c.Roots = base, roots
		c.Session = func() (*trust.Authority, error) { return s.session, nil }
		c.Tap = func(Ref) Tap {
			if player != nil {
				return Tap{Player: player}
			}
			return Tap{Recorder: s.recorder}
		}
	})
	s.place = f.newPlace(t)
	return s
}

// serveHTTP is a host outside that answers HTTP, over TLS when secure.
func (s *stand) serveHTTP(t *testing.T, address string, secure bool, h http.HandlerFunc) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, TLSConfig: &tls.Config{GetCertificate: s.host.GetCertificate}}
	var wg sync.WaitGroup
	wg.Go(func() {
		if secure {
			srv.ServeTLS(ln, "", "")
			return
		}
		srv.Serve(ln)
	})
	t.Cleanup(func() { srv.Close(); wg.Wait() })
}

// client is an HTTP client inside the place that trusts what functions trust.
func (s *stand) client(t *testing.T, http2 bool) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(s.session.Certificate())
	roots.AddCert(s.f.cfg.Authority.Certificate())
	tr := &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		var n uint16
		fmt.Sscan(port, &n)
		m := s.lookup(host)
		if m.Rcode != dns.RcodeSuccess {
			return nil, fmt.Errorf("no such host: %s", host)
		}
		return s.dialName(host, n)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// say returns what a request is answered with, or the error.
func say(c *http.Client, method, url, body string) string {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	res, err := c.Do(r)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return string(b) + " and " + err.Error()
	}
	return fmt.Sprintf("%s %d %s", res.Proto, res.StatusCode, b)
}

func TestWhatARecordedFunctionWasToldIsAnsweredAgainWithoutAnybodyOutside(t *testing.T) {
	rec := newStand(t, nil)
	rec.f.zone.set("api.example.", "A", "203.0.113.20")
	calls := 0
	answer := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		calls++
		w.Header().Set("X-Kind", "price")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s #%d", r.Method, r.URL, b, calls)
	}
	rec.serveHTTP(t, "203.0.113.20:443", true, answer)
	rec.serveHTTP(t, "203.0.113.20:80", false, answer)
	type step struct{ method, url, body string }
	steps := []step{
		{"GET", "https://api.example/price?item=1", ""}, {"POST", "https://api.example/order", "one"}, {"POST", "https://api.example/order", "two"},
		{"GET", "http://api.example/plain", ""}, {"GET", "https://dynamodb.eu-west-1.amazonaws.com/", ""}, {"GET", "https://nowhere.example/", ""},
	}
	for _, http2 := range []bool{false, true} {
		calls = 0
		rec.request = fmt.Sprintf("r-%t", http2)
		var told []string
		c := rec.client(t, http2)
		for _, s := range steps {
			told = append(told, say(c, s.method, s.url, s.body))
		}
		if !strings.HasPrefix(told[0], fmt.Sprintf("HTTP/%s 418 GET /price?item=1  #1", map[bool]string{true: "2.0", false: "1.1"}[http2])) || !strings.Contains(told[2], "two #3") || !strings.Contains(told[3], "/plain") {
			t.Fatalf("while recorded: got %q", told)
		}
		made := rec.f.Take("env-1", rec.request)
		raw, err := tape.Encode(made)
		if err != nil {
			t.Fatal(err)
		}
		back, err := tape.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		player := tape.NewPlayer(back, "it was not recorded")
		again := newStand(t, player) // a world in which none of these hosts exists
		c = again.client(t, http2)
		for i, s := range steps {
			got := say(c, s.method, s.url, s.body)
			if plain := func(s string) string { return strings.ReplaceAll(s, "203.0.113.20", "*") }; plain(got) != plain(told[i]) {
				t.Errorf("%v: got %q, want as it was: %q", s, got, told[i])
			}
		}
		report := player.Report()
		if len(report.Missed) != 0 || len(report.Unused) != 0 || report.Played < len(steps) {
			t.Errorf("got %+v", report)
		}
		if got := say(c, "GET", "https://api.example/other", ""); !strings.Contains(got, "502") || !strings.Contains(got, "GET https://api.example/other: it was not recorded") {
			t.Errorf("got %q, want an error that names the request", got)
		}
	}
}

func TestAHostThatRefusedRefusesAgain(t *testing.T) {
	rec := newStand(t, nil)
	c, err := rec.dial("203.0.113.20:81")
	mustReset(t, c, err)
	player := tape.NewPlayer(rec.f.Take("env-1", "r-1"), "no")
	again := newStand(t, player)
	c, err = again.dial("203.0.113.20:81")
	mustReset(t, c, err)
	if got := player.Report(); got.Played != 1 || !strings.Contains(again.f.log.text(), "as it was recorded: dial tcp 203.0.113.20:81: connect: connection refused") {
		t.Errorf("got %+v and log %q", got, again.f.log.text())
	}
}

func TestAConnectionThatIsNotHTTPPassesARecordedFunctionAndIsNotPlayed(t *testing.T) {
	rec := newStand(t, nil)
	s := newServer(t, "203.0.113.21:0", echo)
	greeting := newServer(t, "203.0.113.21:0", func(c *net.TCPConn) {
		io.WriteString(c, "hello first\n")
		io.Copy(c, c)
	})
	c, err := rec.dial(s.AddrPort.String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := exchangeLine(c, "\x00\x01binary"); got != "\x00\x01binary" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	c, err = rec.dial(greeting.AddrPort.String())
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "hello first\n" || err != nil {
		t.Errorf("got %q, %v, want the server to speak first", line, err)
	}
	if got, err := exchangeLine(c, "then me"); got != "then me" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	made := rec.f.Take("env-1", "r-1")
	if made == nil || len(made.Missed) != 2 || !strings.Contains(made.Missed[0], "does not speak HTTP") {
		t.Errorf("got %+v, want both connections named", made)
	}
	player := tape.NewPlayer(made, "it was not recorded")
	again := newStand(t, player)
	c, err = again.dial(s.AddrPort.String())
	if err == nil {
		io.WriteString(c, "\x00\x01binary")
	}
	mustReset(t, c, err)
	if got := player.Report().Missed; len(got) != 1 || !strings.Contains(got[0], "does not speak HTTP: it was not recorded") {
		t.Errorf("got %q", got)
	}
}

func TestAClientThatTrustsNobodyElsePassesFromItsSecondConnectionOn(t *testing.T) {
	rec := newStand(t, nil)
	rec.f.zone.set("pinned.example.", "A", "203.0.113.22")
	rec.serveHTTP(t, "203.0.113.22:443", true, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "secret") })
	c := rec.client(t, false)
	pinned := x509.NewCertPool()
	pinned.AddCert(rec.host.Certificate()) // that of the host itself
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = pinned
	if got := say(c, "GET", "https://pinned.example/", ""); !strings.Contains(got, "certificate") {
		t.Errorf("got %q, want the client to refuse", got)
	}
	if got := say(c, "GET", "https://pinned.example/", ""); !strings.HasSuffix(got, "200 secret") {
		t.Errorf("got %q, want the host itself", got)
	}
	if made := rec.f.Take("env-1", "r-1"); made == nil || len(made.Missed) == 0 || len(made.Exchanges) != 0 {
		t.Errorf("got %+v, want it said that this is not recorded", made)
	}
}

func TestAHostTheMachineDoesNotTrustPassesUntouched(t *testing.T) {
	rec := newStand(t, nil)
	rec.f.cfg.Roots = x509.NewCertPool() // nobody
	rec.f.zone.set("own.example.", "A", "203.0.113.23")
	rec.serveHTTP(t, "203.0.113.23:443", true, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "mine") })
	c := rec.client(t, true)
	own := x509.NewCertPool()
	own.AddCert(rec.host.Certificate())
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = own
	if got := say(c, "GET", "https://own.example/", ""); !strings.HasSuffix(got, "200 mine") {
		t.Errorf("got %q, want the function to have spoken with the host itself", got)
	}
}

func TestAnAnswerThatBreaksOffBreaksOffAgain(t *testing.T) {
	rec := newStand(t, nil)
	rec.f.zone.set("half.example.", "A", "203.0.113.24")
	rec.serveHTTP(t, "203.0.113.24:80", false, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	c := rec.client(t, false)
	for _, path := range []string{"/", "/none"} {
		if got := say(c, "POST", "http://half.example"+path, ""); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
			t.Fatalf("while recorded: got %q, want it broken off", got)
		}
	}
	player := tape.NewPlayer(rec.f.Take("env-1", "r-1"), "no")
	c = newStand(t, player).client(t, false)
	for path, want := range map[string]string{"/": "half and ", "/none": "EOF"} {
		if got := say(c, "POST", "http://half.example"+path, ""); !strings.Contains(got, want) || strings.Contains(got, "502") {
			t.Errorf("%s: got %q, want it broken off again", path, got)
		}
	}
}

func TestAnAnswerThatNeverCameNeverComes(t *testing.T) {
	rec := newStand(t, nil)
	rec.f.zone.set("slow.example.", "A", "203.0.113.25")
	entered := make(chan struct{})
	rec.serveHTTP(t, "203.0.113.25:80", false, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	c := rec.client(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://slow.example/", nil)
		if res, err := c.Do(r); err == nil {
			res.Body.Close()
		}
	}()
	<-entered
	made := rec.f.Take("env-1", "r-1") // as at the function's deadline
	cancel()
	<-done
	if len(made.Exchanges) != 1 || !made.Exchanges[0].Pending {
		t.Fatalf("got %+v, want the request that waits", made.Exchanges)
	}
	c = newStand(t, tape.NewPlayer(made, "no")).client(t, false)
	c.Timeout = 200 * time.Millisecond
	if got := say(c, "GET", "http://slow.example/", ""); !strings.Contains(got, "Client.Timeout") {
		t.Errorf("got %q, want no answer either", got)
	}
}

func TestAWebSocketPassesARecordedFunction(t *testing.T) {
	rec := newStand(t, nil)
	rec.f.zone.set("chat.example.", "A", "203.0.113.26")
	rec.serveHTTP(t, "203.0.113.26:80", false, func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
		line, _ := rw.ReadString('\n')
		io.WriteString(c, "you said "+line)
	})
	c, err := rec.dialName("chat.example", 80)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", res, err)
	}
	io.WriteString(c, "hi\n")
	if got, _ := in.ReadString('\n'); got != "you said hi\n" {
		t.Errorf("got %q", got)
	}
	c.Close()
	eventually(t, "the note", func() bool {
		made := rec.f.Take("env-1", "r-1")
		return made != nil && len(made.Missed) == 1 && len(made.Exchanges) == 0
	})
}

func TestFirstWordsTellWhatIsSpoken(t *testing.T) {
	for said, want := range map[string][2]bool{
		"GET / HTTP/1.1\r\n": {true, false}, "M-SEARCH * HTTP/1.1": {true, false}, "\x16\x03\x01\x02\x00": {false, true},
		"": {}, "PRI * HTTP/2.0\r\n": {}, "get / ": {}, "\x00\x00": {}, "EHLO": {}, " / ": {}, "*1\r\n$4\r\nPING\r\n": {},
	} {
		if got := [2]bool{isHTTP([]byte(said)), isTLS([]byte(said))}; got != want {
			t.Errorf("%q: got %v, want %v", said, got, want)
		}
	}
}
