package outside

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/daruma-io/daruma"
)

func TestAnAddressIsWhatItLeadsToInEveryForm(t *testing.T) {
	for class, all := range map[Class][]string{
		Loopback: {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"},
		Nowhere:  {"0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "224.0.0.1", "239.1.2.3", "ff02::1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "2001:0:1::1"},
		Link:     {"169.254.1.1", "fe80::1", "fe80::1%eth0", "2002:a9fe:101::1"},
		Metadata: {"169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1"},
		Private:  {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12::1", "fec0::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"},
		Public:   {"1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::", "198.20.0.1", "126.255.255.255", "128.0.0.1", "::ffff:1.1.1.1"},
	} {
		for _, s := range all {
			if got := ClassOf(netip.MustParseAddr(s)); got != class {
				t.Errorf("%s: got %v, want %v", s, got, class)
			}
		}
	}
	if got := ClassOf(netip.Addr{}); got != Nowhere {
		t.Errorf("no address: got %v", got)
	}
}

func allow(t *testing.T, all ...string) []Allow {
	t.Helper()
	var list []Allow
	for _, s := range all {
		a, err := ParseAllow(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

func TestWhatIsAllowedIsReadOrRefusedWithItsReason(t *testing.T) {
	for s, want := range map[string]string{"10.1.0.0/16": "10.1.0.0/16", "10.1.2.3/16": "10.1.0.0/16", "10.1.2.3": "10.1.2.3/32", "fd00::1": "fd00::1/128", "Mail.LAN:25": "mail.lan:25",
		"127.0.0.1:80": "127.0.0.1:80", "[fd00::1]:25": "[fd00::1]:25", "169.254.0.0/16": "169.254.0.0/16"} {
		if got, err := ParseAllow(s); err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "mail.lan", "0.0.0.0/0", "::/0", "169.254.169.254", "169.254.169.254:80", "[::ffff:169.254.169.254]:80", "a:0", "a:x", ":25", "http://a:80", "a b:1", "10.0.0.0/33"} {
		if got, err := ParseAllow(s); daruma.KindOf(err) != daruma.KindInvalid || err == nil {
			t.Errorf("%q: got %v, %v; want it refused", s, got, err)
		}
	}
}

func FuzzParseAllow(f *testing.F) {
	for _, s := range []string{"10.1.0.0/16", "mail.lan:25", "[fd00::1]:25", "::ffff:0:0/96"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAllow(s)
		if err != nil {
			return
		}
		if again, err := ParseAllow(a.String()); err != nil || again != a {
			t.Errorf("%q reads as %s, and that as %v, %v", s, a, again, err)
		}
		if g := New(Config{Allow: []Allow{a}}); g.check("h", netip.MustParseAddrPort("169.254.169.254:80")) == nil {
			t.Errorf("%q allows instance metadata", s)
		}
	})
}

func TestInsideIsRefusedUnlessItIsAllowed(t *testing.T) {
	g := New(Config{Allow: allow(t, "10.1.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "mail.lan:25"), Own: func() []uint16 { return []uint16{4566} }})
	for _, c := range []struct {
		host, at string
		ok       bool
	}{
		{"h", "1.1.1.1:443", true},
		{"h", "10.1.2.3:80", true},
		{"h", "10.2.2.3:80", false},
		{"h", "[::ffff:10.2.2.3]:80", false},
		{"h", "127.0.0.1:80", true},
		{"h", "127.0.0.1:4566", false},
		{"h", "[::ffff:127.0.0.1]:4566", false},
		{"h", "[::1]:80", false},
		{"h", "169.254.1.1:80", true},
		{"h", "169.254.169.254:80", false},
		{"mail.lan", "10.9.9.9:25", true},
		{"MAIL.lan.", "10.9.9.9:25", true},
		{"mail.lan", "10.9.9.9:26", false},
		{"mail.lan", "169.254.169.254:25", false},
		{"other.lan", "10.9.9.9:25", false},
	} {
		err := g.check(c.host, netip.MustParseAddrPort(c.at))
		if (err == nil) != c.ok {
			t.Errorf("%s at %s: got %v, want allowed %v", c.host, c.at, err, c.ok)
		}
		if _, refused := errors.AsType[*Refused](err); err != nil && !refused {
			t.Errorf("%s at %s: got %T, want *Refused", c.host, c.at, err)
		}
	}
	own := New(Config{Allow: allow(t, "127.0.0.1:4566"), Own: func() []uint16 { return []uint16{4566} }})
	if err := own.check("127.0.0.1", netip.MustParseAddrPort("127.0.0.1:4566")); err != nil {
		t.Errorf("this platform's own port, allowed by its name: got %v", err)
	}
}

// listen starts an HTTP server on a loopback address.
func listen(t *testing.T, ip string, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func TestEveryWayToWriteLoopbackIsRefused(t *testing.T) {
	reached := false
	s := listen(t, "127.0.0.1", func(http.ResponseWriter, *http.Request) { reached = true })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	client := New(Config{Resolver: resolver(t, "127.0.0.1")}).Client(Limits{})
	defer client.CloseIdleConnections()
	for _, host := range []string{"127.0.0.1", "127.1", "2130706433", "017700000001", "0177.0.0.1", "0x7f000001", "0x7f.0.0.1", "0", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "rebound.example"} {
		resp, err := client.Get("http://" + host + ":" + port + "/")
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: got an answer", host)
		}
	}
	if reached {
		t.Error("the server was reached")
	}
}

// resolver answers every question for an IPv4 address with the next of addresses, the last for ever.
func resolver(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			n := min(int(asked.Add(1)), len(addresses)) - 1
			a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(addresses[n])}}
		}
		w.WriteMsg(a)
	})}
	ready := make(chan struct{})
	s.NotifyStartedFunc = func() { close(ready) }
	done := make(chan struct{})
	go func() { defer close(done); s.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { s.Shutdown(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestANameThatChangesItsAddressIsCheckedAtEveryDial(t *testing.T) {
	inside := 0
	in := listen(t, "127.0.0.1", func(http.ResponseWriter, *http.Request) { inside++ })
	_, port, _ := net.SplitHostPort(in.Listener.Addr().String())
	l, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	out := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}}
	out.Start()
	t.Cleanup(out.Close)
	// 127.0.0.2 stands for the outside.
	client := New(Config{Allow: allow(t, "127.0.0.2"), Resolver: resolver(t, "127.0.0.2", "127.0.0.1")}).Client(Limits{})
	resp, err := client.Get("http://rebound.example:" + port)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	_, err = client.Get("http://rebound.example:" + port)
	if _, ok := errors.AsType[*Refused](err); !ok || inside != 0 {
		t.Errorf("got %v and %d requests inside, want it refused", err, inside)
	}
}

func TestARedirectIsCheckedAndTakesNoCredentialsAlong(t *testing.T) {
	var got http.Header
	second := listen(t, "127.0.0.2", func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	secret := 0
	third := listen(t, "127.0.0.3", func(http.ResponseWriter, *http.Request) { secret++ })
	var to string
	first := listen(t, "127.0.0.2", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) })
	client := New(Config{Allow: allow(t, "127.0.0.2")}).Client(Limits{})
	defer client.CloseIdleConnections()
	post := func() error {
		req, _ := http.NewRequest("POST", first.URL+"/secret-path", strings.NewReader("{}"))
		for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Daruma-Signature"} {
			req.Header.Set(name, "CANARY")
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	to = second.URL
	if err := post(); err != nil {
		t.Fatal(err)
	}
	for name, v := range got {
		if strings.Contains(strings.Join(v, ""), "CANARY") || name == "Referer" {
			t.Errorf("%s: %s came along", name, v)
		}
	}
	if got.Get("Content-Type") != "application/json" {
		t.Errorf("got %v, want the type of the content", got)
	}
	to = third.URL
	if _, ok := errors.AsType[*Refused](post()); !ok || secret != 0 {
		t.Error("a redirect led inside")
	}
	to = first.URL
	if err := post(); err == nil || !strings.Contains(err.Error(), "more than 3 redirects") {
		t.Errorf("a circle: got %v", err)
	}
	to = "ftp://example.com/"
	if err := post(); err == nil || !strings.Contains(err.Error(), "not HTTP") {
		t.Errorf("another scheme: got %v", err)
	}
}

func TestAnAnswerIsBounded(t *testing.T) {
	s := listen(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 200)) })
	for bytes, want := range map[int64]error{199: ErrTooLarge, 200: nil} {
		client := New(Config{Allow: allow(t, "127.0.0.1")}).Client(Limits{BodyBytes: bytes})
		resp, err := client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		n, err := readAll(resp)
		if !errors.Is(err, want) || int64(n) > bytes {
			t.Errorf("%d bytes: got %d, %v; want %v", bytes, n, err, want)
		}
		client.CloseIdleConnections()
	}
}

func readAll(resp *http.Response) (n int, err error) {
	defer resp.Body.Close()
	b := make([]byte, 64)
	for {
		m, err := resp.Body.Read(b)
		n += m
		if err != nil {
			if err.Error() == "EOF" {
				err = nil
			}
			return n, err
		}
	}
}

func TestNoRedirectLeadsFromHTTPSToHTTP(t *testing.T) {
	from, _ := http.NewRequest("GET", "https://a.example/", nil)
	for url, ok := range map[string]bool{"https://b.example/": true, "http://a.example/": false} {
		to, _ := http.NewRequest("GET", url, nil)
		if err := redirect(to, []*http.Request{from}, 3); (err == nil) != ok {
			t.Errorf("to %s: got %v, want allowed %v", url, err, ok)
		}
	}
}
