package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/daruma-io/daruma/tape"
)

// Times of answers.
const (
	answerTTL   = 5 // seconds; the address stays the same for longer, the policy need not
	upstreamMax = 2 * time.Second
	dnsIdle     = 30 * time.Second // a DNS connection with nothing to ask (RFC 7766 leaves it to the server)
)

// packetBytesMax is the largest answer sent in one packet (DNS flag day 2020).
const packetBytesMax = 1232

// ServeDNS answers the queries that come to pc until ctx ends, and closes pc.
// It returns when every answer under way is over.
//
// At most 128 queries of one environment are looked up at a time; more are
// not answered, as by a resolver that is overloaded.
func (e *Egress) ServeDNS(ctx context.Context, pc net.PacketConn, who Ref) error {
	env, leave := e.enter(who)
	defer leave()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { pc.Close() })
	defer stop()
	defer pc.Close()
	buf := make([]byte, dns.MaxMsgSize)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			if passing(err) {
				continue
			}
			return &serveError{"serve names", who, err}
		}
		select {
		case env.lookups <- struct{}{}:
		default:
			e.deny(e.peer(who, "*", 0), who, fmt.Sprintf("%d names are being looked up, and one environment gets no more at once", lookupsMax))
			continue
		}
		query := append([]byte(nil), buf[:n]...)
		wg.Go(func() {
			defer func() { <-env.lookups }()
			if reply := e.respond(ctx, env, query, packetBytesMax); reply != nil {
				_, _ = pc.WriteTo(reply, from) // whoever asked may be gone; it asks again if not
			}
		})
	}
}

// ServeDNSTCP does the same for DNS over TCP (RFC 7766).
func (e *Egress) ServeDNSTCP(ctx context.Context, ln net.Listener, who Ref) error {
	env, leave := e.enter(who)
	defer leave()
	return e.serve(ctx, ln, who, make(chan struct{}, dnsConnsMax), func(ctx context.Context, c net.Conn) { e.serveDNSConn(ctx, env, c) })
}

// serveDNSConn answers the queries of one connection, one after the other.
func (e *Egress) serveDNSConn(ctx context.Context, env *environment, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	for {
		c.SetDeadline(soon(dnsIdle))
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		select {
		case env.lookups <- struct{}{}:
		case <-ctx.Done():
			return
		}
		reply := e.respond(ctx, env, query, dns.MaxMsgSize)
		<-env.lookups
		if reply == nil {
			return
		}
		c.SetDeadline(soon(dnsIdle))
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// respond answers one packet; nil when it deserves no answer. The answer is
// at most bytesMax long and no longer than the client said it can take.
func (e *Egress) respond(ctx context.Context, env *environment, packet []byte, bytesMax int) []byte {
	query := new(dns.Msg)
	if err := query.Unpack(packet); err != nil {
		if len(packet) < 12 || packet[2]&0x80 != 0 {
			return nil // not even a header, or an answer
		}
		reply := new(dns.Msg)
		reply.Id = binary.BigEndian.Uint16(packet)
		reply.Response, reply.Rcode = true, dns.RcodeFormatError
		return pack(reply)
	}
	if query.Response {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupMax)
	defer cancel()
	reply := e.answer(ctx, env, query)
	if opt := query.IsEdns0(); opt != nil {
		if reply.IsEdns0() == nil {
			reply.SetEdns0(packetBytesMax, false)
		}
		if opt.Version() != 0 {
			reply.Answer = nil
			reply.Rcode = dns.RcodeBadVers
		}
		if bytesMax == packetBytesMax {
			bytesMax = min(bytesMax, max(int(opt.UDPSize()), dns.MinMsgSize))
		}
	} else {
		if bytesMax == packetBytesMax {
			bytesMax = dns.MinMsgSize
		}
		reply.Extra = nil
	}
	reply.Truncate(bytesMax)
	return pack(reply)
}

// pack encodes an answer; nil when it cannot be, which no answer of ours is.
func pack(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// answer answers a well-formed query.
func (e *Egress) answer(ctx context.Context, env *environment, query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.RecursionAvailable = true
	if query.Opcode != dns.OpcodeQuery {
		return code(reply, dns.RcodeNotImplemented)
	}
	if len(query.Question) != 1 {
		return code(reply, dns.RcodeFormatError)
	}
	q := query.Question[0]
	if q.Qclass != dns.ClassINET {
		return code(reply, dns.RcodeNotImplemented)
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	if local, done := e.answerLocal(env, reply, q, name); done {
		return local
	}
	d := Dial{Ref: env.ref, Host: name, Cloud: IsCloud(name)}
	if d.Host == "" {
		d.Host = "."
	}
	dec := e.cfg.Policy(ctx, d)
	if !dec.Allow {
		if dec.Reason == "" {
			dec.Reason = "the policy denies it"
		}
		e.deny(e.peer(env.ref, d.Host, 0), env.ref, dec.Reason)
		// "No such name" ends a lookup at once in every runtime; REFUSED makes most of them try again.
		reply.SetEdns0(packetBytesMax, false)
		opt := reply.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeProhibited, ExtraText: dec.Reason})
		return code(reply, dns.RcodeNameError)
	}
	switch q.Qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB:
		return e.answerAddress(ctx, env, reply, q, d)
	case dns.TypeANY, dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB:
		return code(reply, dns.RcodeNotImplemented)
	}
	if d.Cloud || name == HostName {
		return reply // the names exist and have addresses only
	}
	if p := env.tap.Player; p != nil {
		e.deny(e.peer(env.ref, d.Host, 0), env.ref, p.Refuse("lookup of "+d.Host+" ("+dns.TypeToString[q.Qtype]+")").Error())
		return code(reply, dns.RcodeNameError)
	}
	return e.forward(ctx, query, reply)
}

// code sets an answer's code.
func code(reply *dns.Msg, rcode int) *dns.Msg {
	reply.Rcode = rcode
	return reply
}

// answerLocal answers what needs no policy: names that stand for the
// environment's own loopback (RFC 6761; AWS's guide to extensions has them
// listen at "sandbox"), and names for our own addresses.
func (e *Egress) answerLocal(env *environment, reply *dns.Msg, q dns.Question, name string) (*dns.Msg, bool) {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || name == "sandbox" || name == "sandbox.localdomain" {
		switch q.Qtype {
		case dns.TypeA:
			reply.Answer = []dns.RR{address(q.Name, netip.AddrFrom4([4]byte{127, 0, 0, 1}))}
		case dns.TypeAAAA:
			reply.Answer = []dns.RR{&dns.AAAA{Hdr: header(q.Name, dns.TypeAAAA), AAAA: net.IPv6loopback}}
		}
		return reply, true
	}
	if name != HostName && (name == internalDomain || strings.HasSuffix(name, "."+internalDomain)) {
		return code(reply, dns.RcodeNameError), true
	}
	if q.Qtype != dns.TypePTR {
		return nil, false
	}
	a, ok := reversed(name)
	if !ok || !synthetic.Contains(a) {
		return nil, false
	}
	host, ok := env.names.name(a)
	if !ok {
		return code(reply, dns.RcodeNameError), true
	}
	reply.Answer = []dns.RR{&dns.PTR{Hdr: header(q.Name, dns.TypePTR), Ptr: dns.Fqdn(host)}}
	return reply, true
}

// reversed returns the IPv4 address that a name below in-addr.arpa asks about.
func reversed(name string) (netip.Addr, bool) {
	s, ok := strings.CutSuffix(name, ".in-addr.arpa")
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return netip.Addr{}, false
	}
	b := a.As4()
	return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}), true
}

// answerAddress answers with the address that stands for the name, if the
// name exists. IPv6 addresses and the hints of HTTPS records would lead past
// it, so those exist and are empty.
func (e *Egress) answerAddress(ctx context.Context, env *environment, reply *dns.Msg, q dns.Question, d Dial) *dns.Msg {
	now := e.cfg.Clock.Now()
	addr, known := env.names.known(d.Host, now)
	if !known {
		if !d.Cloud && d.Host != HostName {
			began := time.Now()
			if rcode, err := e.exists(ctx, env, q.Name, d.Host); rcode != dns.RcodeSuccess {
				if r := env.tap.Recorder; r != nil && ctx.Err() == nil {
					r.Fail(tape.Lookup, d.Host, 0, began, err)
				}
				e.fail(e.peer(env.ref, d.Host, 0), env.ref, err)
				return code(reply, rcode)
			}
		}
		addr = env.names.address(d.Host, now.Add(answerTTL*time.Second))
	}
	if q.Qtype == dns.TypeA {
		reply.Answer = []dns.RR{address(q.Name, addr)}
	}
	return reply
}

// exists says whether a name has an address of any kind, by the code a
// resolver would answer with.
func (e *Egress) exists(ctx context.Context, env *environment, fqdn, host string) (rcode int, err error) {
	if p := env.tap.Player; p != nil {
		if !p.Exists(host) {
			return dns.RcodeNameError, errors.New("as it was recorded: there is no such name")
		}
		return dns.RcodeSuccess, nil
	}
	_, err = e.cfg.Resolver.LookupNetIP(ctx, "ip", fqdn)
	if err == nil {
		return dns.RcodeSuccess, nil
	}
	if notFound, ok := errors.AsType[*net.DNSError](err); ok && notFound.IsNotFound {
		return dns.RcodeNameError, err
	}
	return dns.RcodeServerFailure, err
}

// forward asks the machine's own DNS servers, and leaves out of their answer
// what would lead past us: the addresses that come along.
func (e *Egress) forward(ctx context.Context, query, reply *dns.Msg) *dns.Msg {
	if len(e.cfg.Upstream) == 0 {
		return code(reply, dns.RcodeNotImplemented)
	}
	ask := new(dns.Msg)
	ask.SetQuestion(query.Question[0].Name, query.Question[0].Qtype)
	ask.SetEdns0(packetBytesMax, false)
	for _, server := range e.cfg.Upstream {
		got, err := exchange(ctx, ask, server)
		if err != nil {
			continue
		}
		reply.Rcode = got.Rcode
		reply.Answer = withoutAddresses(got.Answer)
		reply.Ns = withoutAddresses(got.Ns)
		return reply
	}
	return code(reply, dns.RcodeServerFailure)
}

// exchange asks one server, over TCP when the answer is too long for a packet.
func exchange(ctx context.Context, ask *dns.Msg, server string) (*dns.Msg, error) {
	got, _, err := (&dns.Client{Net: "udp", Timeout: upstreamMax}).ExchangeContext(ctx, ask, server)
	if err == nil && got.Truncated {
		got, _, err = (&dns.Client{Net: "tcp", Timeout: upstreamMax}).ExchangeContext(ctx, ask, server)
	}
	return got, err
}

// withoutAddresses returns the records that hold no address.
func withoutAddresses(rrs []dns.RR) []dns.RR {
	var out []dns.RR
	for _, rr := range rrs {
		switch rr.Header().Rrtype {
		case dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeOPT:
		default:
			out = append(out, rr)
		}
	}
	return out
}

// address is an A record.
func address(fqdn string, a netip.Addr) dns.RR {
	return &dns.A{Hdr: header(fqdn, dns.TypeA), A: a.AsSlice()}
}

// header is a record's header; the name is spelt as the client did.
func header(fqdn string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: fqdn, Rrtype: rrtype, Class: dns.ClassINET, Ttl: answerTTL}
}
