package egress

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/egress/trust"
)

// patience bounds waiting for what must come.
const patience = 10 * time.Second

// A zone is the outside world's DNS: a server on loopback whose records a test sets.
type zone struct {
	mu      sync.Mutex
	records map[string][]string // "name. TYPE" → records in zone-file form
	asked   map[string]int
	Address string
}

func newZone(t testing.TB) *zone {
	t.Helper()
	z := &zone{records: map[string][]string{}, asked: map[string]int{}}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	z.Address = pc.LocalAddr().String()
	var wg sync.WaitGroup
	servers := []*dns.Server{{PacketConn: pc, Handler: z}, {Listener: ln, Handler: z}}
	for _, s := range servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() { s.ActivateAndServe() })
		<-started
	}
	t.Cleanup(func() {
		for _, s := range servers {
			s.Shutdown()
		}
		wg.Wait()
	})
	return z
}

// set replaces the records of a name and type.
func (z *zone) set(name, rrtype string, values ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	var rrs []string
	for _, v := range values {
		rrs = append(rrs, fmt.Sprintf("%s 60 IN %s %s", name, rrtype, v))
	}
	z.records[name+" "+rrtype] = rrs
}

func (z *zone) askedFor(name string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[name]
}

func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	name := strings.ToLower(q.Question[0].Name)
	z.asked[name]++
	m.Rcode = dns.RcodeNameError
	for k := range z.records {
		if strings.HasPrefix(k, name+" ") {
			m.Rcode = dns.RcodeSuccess
		}
	}
	if strings.HasPrefix(name, "broken.") {
		m.Rcode = dns.RcodeServerFailure
	}
	for _, s := range z.records[name+" "+dns.TypeToString[q.Question[0].Qtype]] {
		rr, err := dns.NewRR(s)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	if glue, err := dns.NewRR("glue.example. 60 IN A 203.0.113.99"); err == nil {
		m.Extra = append(m.Extra, glue)
	}
	if _, tcp := w.RemoteAddr().(*net.TCPAddr); !tcp {
		m.Truncate(1232)
	}
	w.WriteMsg(m)
}

// A journal keeps the log lines an Egress wrote.
type journal struct {
	mu    sync.Mutex
	lines []daruma.Line
}

func (j *journal) log(l daruma.Line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, l)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, l := range j.lines {
		fmt.Fprintf(&b, "%s %s %s: %s\n", l.Environment, l.Function, l.Stream, l.Text)
	}
	return b.String()
}

// fixture is an Egress with a world of names around it.
type fixture struct {
	*Egress
	zone  *zone
	log   *journal
	files trust.Files
}

// newFixture builds an Egress that allows all, unless change says otherwise.
func newFixture(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	z := newZone(t)
	f := &fixture{zone: z, log: &journal{}}
	a, err := trust.Open(t.TempDir(), CloudDomains, "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	f.files = a.Files()
	cfg := Config{
		Cloud:     http.HandlerFunc(cloud),
		Authority: a,
		Policy:    AllowAll,
		Own:       func() []uint16 { return nil },
		Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, z.Address)
		}},
		Upstream: []string{z.Address},
		Log:      f.log.log,
	}
	if change != nil {
		change(&cfg)
	}
	if f.Egress, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

// cloud answers with what it was asked.
func cloud(w http.ResponseWriter, r *http.Request) {
	who, _ := Caller(r.Context())
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, "cloud %s %s %s%s tls=%t from %s", r.Proto, r.Method, r.Host, r.URL.Path, r.TLS != nil, who.Environment)
}

var who = Ref{Environment: "env-1", Function: "orders", Version: "$LATEST"}

// serving runs one Serve call until the test ends or stop is called, and checks that it ends well.
func serving(t testing.TB, serve func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("serve ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("serve did not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// resolver serves f's names on loopback and returns a way to ask.
func (f *fixture) resolver(t testing.TB) (ask func(name string, rrtype uint16) *dns.Msg, address string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	serving(t, func(ctx context.Context) error { return f.ServeDNS(ctx, pc, who) })
	serving(t, func(ctx context.Context) error { return f.ServeDNSTCP(ctx, ln, who) })
	address = pc.LocalAddr().String()
	return func(name string, rrtype uint16) *dns.Msg {
		t.Helper()
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(name), rrtype)
		m.SetEdns0(1232, false)
		got, _, err := (&dns.Client{Timeout: patience}).Exchange(m, address)
		if err != nil {
			t.Fatalf("ask for %s: %v", name, err)
		}
		return got
	}, address
}

// one returns the single address of an answer.
func one(t testing.TB, m *dns.Msg) netip.Addr {
	t.Helper()
	if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Fatalf("got answer %v, want one address", m)
	}
	a, ok := m.Answer[0].(*dns.A)
	if !ok {
		t.Fatalf("got %v, want an address", m.Answer[0])
	}
	addr, _ := netip.AddrFromSlice(a.A)
	return addr.Unmap()
}

// seen returns the counters of one peer.
func (f *fixture) seen(host string, port uint16) Peer {
	for _, p := range f.Seen() {
		if p.Host == host && p.Port == port {
			return p
		}
	}
	return Peer{}
}

// eventually waits until ok, which something outside the test's reach makes true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come true", what)
		}
	}
}
