package egress

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestEachOfTheCloudsNamesHasAnAddressOfItsOwn(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Policy = DenyAll })
	ask, _ := f.resolver(t)
	given := map[netip.Addr]string{}
	for _, name := range []string{"amazonaws.com", "sqs.eu-west-1.amazonaws.com", "S3.AMAZONAWS.COM", "x.execute-api.us-east-1.amazonaws.com", "x.lambda-url.us-east-1.on.aws", "ec2.us-east-1.api.aws", "sqs.cn-north-1.amazonaws.com.cn", "s3.cn-north-1.api.amazonwebservices.com.cn", "sqs.eusc-de-east-1.amazonaws.eu"} {
		got := ask(name, dns.TypeA)
		a := one(t, got)
		if !synthetic.Contains(a) {
			t.Errorf("%s: got %v, want an address in %v", name, a, synthetic)
		}
		if other := given[a]; other != "" {
			t.Errorf("%s and %s share %v", name, other, a)
		}
		given[a] = name
		if h := got.Answer[0].Header(); h.Name != name+"." || h.Ttl != answerTTL {
			t.Errorf("%s: got %v, want the name as it was spelt and a short life", name, h)
		}
		if again := one(t, ask(strings.ToLower(name), dns.TypeA)); again != a {
			t.Errorf("%s: got %v and then %v, want one address", name, a, again)
		}
		if got := ask(name, dns.TypeAAAA); got.Rcode != dns.RcodeSuccess || len(got.Answer) != 0 {
			t.Errorf("%s: got %v over IPv6, want an empty answer", name, got)
		}
		if n := f.zone.askedFor(strings.ToLower(name) + "."); n != 0 {
			t.Errorf("%s: the outside was asked %d times, want never", name, n)
		}
	}
	for _, name := range []string{"notamazonaws.com", "amazonaws.com.evil.example", "aws"} {
		if got := ask(name, dns.TypeA); got.Rcode != dns.RcodeNameError {
			t.Errorf("%s: got %v, want it not taken for the cloud's", name, got)
		}
	}
}

func TestOtherNamesExistWhenTheyDoOutside(t *testing.T) {
	f := newFixture(t, nil)
	ask, _ := f.resolver(t)
	f.zone.set("four.example.", "A", "203.0.113.1")
	f.zone.set("six.example.", "AAAA", "2001:db8::1")
	for _, name := range []string{"four.example", "six.example"} {
		if a := one(t, ask(name, dns.TypeA)); !synthetic.Contains(a) {
			t.Errorf("%s: got %v, want an address of ours", name, a)
		}
		if got := ask(name, dns.TypeAAAA); got.Rcode != dns.RcodeSuccess || len(got.Answer) != 0 {
			t.Errorf("%s: got %v over IPv6, want an empty answer", name, got)
		}
	}
	if n := f.zone.askedFor("four.example."); n != 2 {
		t.Errorf("the outside was asked %d times for two questions at once, want 2 (A and AAAA, then remembered)", n)
	}
	for rrtype := range map[uint16]bool{dns.TypeA: true, dns.TypeAAAA: true} {
		if got := ask("missing.example", rrtype); got.Rcode != dns.RcodeNameError || len(got.Answer) != 0 {
			t.Errorf("missing: got %v, want no such name", got)
		}
		if got := ask("broken.example", rrtype); got.Rcode != dns.RcodeServerFailure {
			t.Errorf("broken: got %v, want the failure passed on", got)
		}
	}
	if got := f.seen("missing.example", 0); got.Failures != 2 {
		t.Errorf("got %+v, want two failures", got)
	}
}

func TestADeniedNameDoesNotExistAndSaysWhy(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Policy = DenyAll })
	ask, _ := f.resolver(t)
	f.zone.set("api.example.", "A", "203.0.113.1")
	for _, rrtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeANY} {
		got := ask("api.example", rrtype)
		if got.Rcode != dns.RcodeNameError {
			t.Errorf("got %v, want no such name", got)
		}
		var ede *dns.EDNS0_EDE
		for _, o := range got.IsEdns0().Option {
			ede, _ = o.(*dns.EDNS0_EDE)
		}
		if ede == nil || ede.InfoCode != dns.ExtendedErrorCodeProhibited {
			t.Errorf("got %v, want it called prohibited", got)
		}
	}
	if n := f.zone.askedFor("api.example."); n != 0 {
		t.Errorf("the outside was asked %d times, want never", n)
	}
	if want := "env-1 orders platform: egress: api.example denied (1 so far): the policy allows no host outside\n"; !strings.Contains(f.log.text(), want) {
		t.Errorf("got log %q, want %q", f.log.text(), want)
	}
	if lines := strings.Count(f.log.text(), "\n"); lines != 3 {
		t.Errorf("got %d lines for four denials, want 3: the first, second and fourth", lines)
	}
}

func TestOtherRecordsComeFromOutsideWithoutAddresses(t *testing.T) {
	f := newFixture(t, nil)
	ask, _ := f.resolver(t)
	f.zone.set("_mongodb._tcp.db.example.", "SRV", "0 0 27017 one.db.example.", "0 0 27017 two.db.example.")
	f.zone.set("db.example.", "TXT", `"replicaSet=a"`)
	f.zone.set("db.example.", "HTTPS", `1 . ipv4hint="203.0.113.1"`)
	if got := ask("_mongodb._tcp.db.example", dns.TypeSRV); len(got.Answer) != 2 || len(got.Extra) != 1 {
		t.Errorf("got %v, want two records and no address beside them", got)
	}
	if got := ask("db.example", dns.TypeTXT); len(got.Answer) != 1 {
		t.Errorf("got %v, want one record", got)
	}
	if got := ask("missing.example", dns.TypeTXT); got.Rcode != dns.RcodeNameError {
		t.Errorf("got %v, want no such name", got)
	}
	f.zone.set("db.example.", "A", "203.0.113.1")
	if got := ask("db.example", dns.TypeHTTPS); got.Rcode != dns.RcodeSuccess || len(got.Answer) != 0 {
		t.Errorf("got %v, want nothing: it would lead past us", got)
	}
	if got := ask("sqs.amazonaws.com", dns.TypeTXT); got.Rcode != dns.RcodeSuccess || len(got.Answer) != 0 {
		t.Errorf("got %v, want the cloud's names to have addresses only", got)
	}
	for _, rrtype := range []uint16{dns.TypeANY, dns.TypeAXFR, dns.TypeIXFR} {
		if got := ask("db.example", rrtype); got.Rcode != dns.RcodeNotImplemented {
			t.Errorf("%s: got %v, want not implemented", dns.TypeToString[rrtype], got)
		}
	}

	f = newFixture(t, func(c *Config) { c.Upstream = []string{} })
	ask, _ = f.resolver(t)
	if got := ask("db.example", dns.TypeTXT); got.Rcode != dns.RcodeNotImplemented {
		t.Errorf("got %v without a server to ask, want not implemented", got)
	}
	f = newFixture(t, func(c *Config) { c.Upstream = []string{"127.0.0.1:1"} })
	ask, _ = f.resolver(t)
	if got := ask("db.example", dns.TypeTXT); got.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v from a server that is down, want a failure", got)
	}
}

func TestALongAnswerIsCutForPacketsAndWholeOverTCP(t *testing.T) {
	f := newFixture(t, nil)
	_, address := f.resolver(t)
	var texts []string
	for i := range 60 {
		texts = append(texts, fmt.Sprintf("%q", strings.Repeat("x", 60)+fmt.Sprint(i)))
	}
	f.zone.set("long.example.", "TXT", texts...)
	m := new(dns.Msg)
	m.SetQuestion("long.example.", dns.TypeTXT)
	got, _, err := (&dns.Client{Timeout: patience}).Exchange(m, address)
	if err != nil || !got.Truncated { // the client takes 512 bytes and no more
		t.Errorf("got %v, %v, want it cut", got, err)
	}
	got, _, err = (&dns.Client{Net: "tcp", Timeout: patience}).Exchange(m, address)
	if err != nil || got.Truncated || len(got.Answer) != len(texts) {
		t.Errorf("got %d records, cut %t, %v; want all %d", len(got.Answer), got.Truncated, err, len(texts))
	}
}

func TestLoopbacksNamesAreTheEnvironmentsOwn(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Policy = DenyAll })
	ask, _ := f.resolver(t)
	for _, name := range []string{"localhost", "db.localhost", "sandbox", "sandbox.localdomain"} {
		if a := one(t, ask(name, dns.TypeA)); a != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("%s: got %v, want 127.0.0.1", name, a)
		}
		if got := ask(name, dns.TypeAAAA); len(got.Answer) != 1 {
			t.Errorf("%s: got %v, want ::1", name, got)
		}
	}
	if got := ask("other.daruma.internal", dns.TypeA); got.Rcode != dns.RcodeNameError {
		t.Errorf("got %v, want no such name", got)
	}
}

func TestOurAddressesHaveTheirNames(t *testing.T) {
	f := newFixture(t, nil)
	ask, _ := f.resolver(t)
	a := one(t, ask("sqs.eu-west-1.amazonaws.com", dns.TypeA))
	reverse, err := dns.ReverseAddr(a.String())
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(reverse, dns.TypePTR); len(got.Answer) != 1 || got.Answer[0].(*dns.PTR).Ptr != "sqs.eu-west-1.amazonaws.com." {
		t.Errorf("got %v, want the name", got)
	}
	if got := ask("9.9.19.198.in-addr.arpa", dns.TypePTR); got.Rcode != dns.RcodeNameError {
		t.Errorf("got %v, want no such name", got)
	}
}

func TestEnvironmentsDoNotShareNames(t *testing.T) {
	f := newFixture(t, nil)
	one, leave := f.enter(who)
	defer leave()
	a := one.names.address("secret.example", time.Now())
	other, leaveOther := f.enter(Ref{Environment: "env-2", Function: "orders"})
	defer leaveOther()
	if name, ok := other.names.name(a); ok {
		t.Errorf("another environment sees %s, want nothing", name)
	}
}

func TestWhatIsNoQueryIsRefusedOrIgnored(t *testing.T) {
	f := newFixture(t, nil)
	env, leave := f.enter(who)
	defer leave()
	query := func(change func(*dns.Msg)) []byte {
		m := new(dns.Msg)
		m.SetQuestion("sqs.eu-west-1.amazonaws.com.", dns.TypeA)
		change(m)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := query(func(*dns.Msg) {})
	for name, c := range map[string]struct {
		packet []byte
		want   int // -1: no answer
	}{
		"a good one":        {good, dns.RcodeSuccess},
		"nothing":           {nil, -1},
		"half a header":     {good[:11], -1},
		"a header alone":    {good[:12], dns.RcodeFormatError},
		"a cut name":        {good[:20], dns.RcodeFormatError},
		"an answer":         {query(func(m *dns.Msg) { m.Response = true }), -1},
		"a cut answer":      {query(func(m *dns.Msg) { m.Response = true })[:20], -1},
		"two questions":     {query(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		"no question":       {query(func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		"another class":     {query(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeNotImplemented},
		"an update":         {query(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), dns.RcodeNotImplemented},
		"a later EDNS":      {query(func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), dns.RcodeBadVers},
		"a name that loops": {append(append([]byte(nil), good[:12]...), 0xc0, 12, 0, 1, 0, 1), dns.RcodeFormatError},
	} {
		got := f.respond(context.Background(), env, c.packet, packetBytesMax)
		if got == nil {
			if c.want != -1 {
				t.Errorf("%s: got no answer, want code %d", name, c.want)
			}
			continue
		}
		m := new(dns.Msg)
		if err := m.Unpack(got); err != nil {
			t.Errorf("%s: got an answer that does not parse: %v", name, err)
			continue
		}
		if m.Rcode != c.want || !m.Response || m.Id != binary.BigEndian.Uint16(c.packet) {
			t.Errorf("%s: got %v, want code %d", name, m, c.want)
		}
	}
}

func TestLookupsBeyondTheBoundAreNotAnswered(t *testing.T) {
	entered, release := make(chan struct{}, lookupsMax+1), make(chan struct{})
	f := newFixture(t, func(c *Config) {
		c.Policy = func(ctx context.Context, d Dial) Decision {
			if strings.HasPrefix(d.Host, "slow") {
				entered <- struct{}{}
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return Decision{}
		}
	})
	_, address := f.resolver(t)
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(id int, name string) {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		m.Id = uint16(id)
		b, _ := m.Pack()
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range lookupsMax {
		send(i, fmt.Sprintf("slow%d.example.", i))
		<-entered
	}
	send(60000, "late.example.")
	eventually(t, "the denial", func() bool { return f.seen("*", 0).Denied == 1 })
	close(release)
	buf := make([]byte, 4096)
	for range lookupsMax {
		c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if id := binary.BigEndian.Uint16(buf[:n]); id == 60000 {
			t.Error("got an answer to the late query, want none")
		}
	}
}

func TestAForgottenNameIsTheOneUnusedForLongestAndItsAddressRests(t *testing.T) {
	n := names{max: 3}
	var addrs []netip.Addr
	for _, name := range []string{"a", "b", "c"} {
		addrs = append(addrs, n.address(name, time.Time{}))
	}
	n.name(addrs[0]) // a was used: b is now the oldest
	d := n.address("d", time.Time{})
	if name, ok := n.name(addrs[1]); ok {
		t.Errorf("got %s, want b forgotten", name)
	}
	if name, _ := n.name(addrs[0]); name != "a" {
		t.Errorf("got %q, want a remembered", name)
	}
	given := map[netip.Addr]bool{addrs[0]: true, addrs[1]: true, addrs[2]: true, d: true}
	for i := range synthetics - 4 {
		a := n.address(fmt.Sprint("n", i), time.Time{})
		if given[a] || !synthetic.Contains(a) || a == synthetic.Addr() {
			t.Fatalf("got %v again after %d others, want it to rest until all had their turn", a, i)
		}
		given[a] = true
	}
	if a := n.address("again", time.Time{}); !given[a] {
		t.Errorf("got %v, want the first address come round", a)
	}
}

func FuzzRespond(f *testing.F) {
	fx := newFixture(f, func(c *Config) {
		c.Policy = func(_ context.Context, d Dial) Decision { return Decision{Allow: d.Cloud} }
	})
	env, leave := fx.enter(who)
	f.Cleanup(leave)
	for _, name := range []string{"sqs.eu-west-1.amazonaws.com.", "api.example.", "localhost.", ".", "1.0.18.198.in-addr.arpa.", "host.daruma.internal."} {
		for _, rrtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypePTR, dns.TypeANY, dns.TypeOPT} {
			m := new(dns.Msg)
			m.SetQuestion(name, rrtype)
			m.SetEdns0(512, true)
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		got := fx.respond(context.Background(), env, packet, packetBytesMax)
		if got == nil {
			return
		}
		if len(got) > packetBytesMax {
			t.Errorf("got %d bytes, want at most %d", len(got), packetBytesMax)
		}
		m := new(dns.Msg)
		if err := m.Unpack(got); err != nil || !m.Response || !bytes.Equal(got[:2], packet[:2]) {
			t.Errorf("got %v, %v for %x, want an answer to it", m, err, packet)
		}
	})
}
