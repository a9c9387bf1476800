// Package egress is the door to everything a function environment reaches
// outside of itself: it answers its name lookups, takes every connection it
// opens, and decides where each one leads.
//
//	lookup ─ ServeDNS ─┬─ the cloud's name ─────────────┐
//	                   ├─ another name, if the policy ──┤ an address of our own, remembered for this environment
//	                   └─ denied: no such name          │
//	connect ─ ServeTCP ─ which name was it? ◄───────────┘
//	                   ├─ the cloud: TLS ends here, the request goes to Config.Cloud
//	                   ├─ another: policy, then the guard on the address really reached, then bytes both ways
//	                   └─ refused: the function's connection is reset
//
// It expects an environment whose network is empty but for our sockets and
// whose kernel redirects every TCP connection to one listener and every DNS
// packet to another. Where that is not so (plain processes), only ServeCloud
// and [Environ] are of use, and nothing here is a boundary.
//
// It promises: a function never reaches the real cloud by one of the cloud's
// names, never the machine's own loopback or addresses except as
// [HostName] allows, never a link-local or metadata address, whatever a name
// resolves to and whenever it changes its mind; each connection is counted in
// [Egress.Seen], the refused ones too. It does not look into what other hosts
// are told, unless a [Tap] says so, and it carries nothing but TCP and DNS.
//
// An Egress serves any number of environments at once; its methods may be
// called from any goroutine. Environments share nothing but the limits of the
// process and the list of peers.
package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/egress/trust"
)

// Ref names the environment a socket belongs to.
type Ref struct {
	Environment string // unique while it lives
	Function    string
	Version     string
	// Current returns the request the environment is busy with, or "". It is
	// asked by recorders only; nil where nothing is recorded.
	Current func() string
}

// Config is what an Egress is built from.
type Config struct {
	// Cloud answers HTTP requests sent to the cloud's names. The request's
	// Host is the client's; Caller tells who asked. Required.
	Cloud http.Handler
	// Authority vouches for the cloud's names; opened for CloudDomains. Required.
	Authority *trust.Authority
	// Policy decides each name lookup and each connection. Required: AllowAll, DenyAll or your own.
	Policy Policy
	// Own returns the TCP ports the platform itself listens on; HostName never
	// leads to them. Asked at each such connection, from any goroutine. Required.
	Own func() []uint16
	// HostPorts are the only ports of the machine's loopback that HostName
	// leads to. Empty: every port but Own.
	HostPorts []uint16
	// DenyPrivate refuses the addresses of private networks (RFC 1918, RFC 4193, RFC 6598).
	DenyPrivate bool
	// Resolver looks names up for the platform. nil: the machine's.
	Resolver *net.Resolver
	// Upstream are the DNS servers ("address:port") asked for records other
	// than addresses. nil: those of /etc/resolv.conf. Empty, not nil: none,
	// and such queries are answered NOTIMP.
	Upstream []string
	// Log is told, in lines of daruma.Platform, what was refused and why. It
	// must not block. nil: nobody is told.
	Log func(daruma.Line)
	// Tap says whether an environment's exchanges are recorded or played back.
	// Asked once for each environment. nil: they are not.
	Tap func(who Ref) Tap
	// Session returns the authority that vouches for every host to
	// environments with a Tap. Required with Tap; called when it is first needed.
	Session func() (*trust.Authority, error)
	// Roots are whom hosts outside are trusted by while they are recorded. nil: the machine's.
	Roots *x509.CertPool
	// Clock is what First and Last of a Peer are read from. nil: the machine's.
	Clock daruma.Clock
	// Limits bound what one environment may use.
	Limits Limits
}

// Limits bound what one environment may use. A zero field means its default.
type Limits struct {
	// Connections at once, those to the cloud included; one more is reset.
	// Default 1024: an environment may hold as many files open (Lambda quotas).
	Connections int
	// Names remembered; one more forgets the one unused for longest. Default 4096.
	Names int
	// Dial bounds looking a name up and connecting to it. Default 30 s.
	Dial time.Duration
	// Idle bounds how long a connection may carry nothing before it is reset.
	// Default 350 s, as AWS's NAT gateway has it (VPC guide, "NAT gateway basics").
	Idle time.Duration
}

// limits are counts nobody needs to change.
const (
	lookupsMax  = 128              // name lookups at once for one environment; one more is not answered
	dnsConnsMax = 64               // DNS connections at once for one environment
	lookupMax   = 10 * time.Second // answering one query
	policyMax   = 15 * time.Minute // a policy that delays a connection: a function's longest life
)

// An Egress is the way out for function environments.
type Egress struct {
	cfg   Config
	peers peers
	// origin tells where a redirected connection was going.
	origin func(net.Conn) (netip.AddrPort, error)

	mu           sync.Mutex // guards environments
	environments map[string]*environment
	sealed       map[sealedKey]bool // hosts whose TLS is left alone; guarded by mu
	open         map[net.Conn]Dial  // connections, but those that ask for names; guarded by mu
}

// An environment is what the sockets of one environment share.
type environment struct {
	ref     Ref
	names   names
	slots   chan struct{} // one per open connection
	lookups chan struct{} // one per query being answered
	tap     Tap
	users   int // Serve calls under way; guarded by Egress.mu
}

// New checks cfg and builds an Egress. It starts nothing.
func New(cfg Config) (*Egress, error) {
	var errs []error
	for _, r := range []struct {
		missing bool
		what    string
	}{{cfg.Cloud == nil, "Cloud"}, {cfg.Authority == nil, "Authority"}, {cfg.Policy == nil, "Policy"}, {cfg.Own == nil, "Own"}} {
		if r.missing {
			errs = append(errs, fmt.Errorf("%s is required", r.what))
		}
	}
	if cfg.Tap != nil && cfg.Session == nil {
		errs = append(errs, errors.New("a Tap needs a Session"))
	}
	l := &cfg.Limits
	if l.Connections < 0 || l.Names < 0 || l.Names > synthetics/2 || l.Dial < 0 || l.Idle < 0 {
		errs = append(errs, fmt.Errorf("limits must not be negative, nor names more than %d", synthetics/2))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &daruma.Error{Op: "configure egress", Kind: daruma.KindInvalid, Err: err}
	}
	for _, d := range CloudDomains {
		if !cfg.Authority.Covers(d) {
			return nil, &daruma.Error{Op: "configure egress", Kind: daruma.KindInvalid, Ref: d, Err: errors.New("the authority may not vouch for it")}
		}
	}
	l.Connections = orDefault(l.Connections, 1024)
	l.Names = orDefault(l.Names, 4096)
	l.Dial = orDefault(l.Dial, 30*time.Second)
	l.Idle = orDefault(l.Idle, 350*time.Second)
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Upstream == nil {
		cfg.Upstream = machineUpstream()
	}
	return &Egress{cfg: cfg, origin: originalDestination, environments: map[string]*environment{}, sealed: map[sealedKey]bool{}, open: map[net.Conn]Dial{}}, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// machineUpstream returns the machine's DNS servers; none when it has no list.
func machineUpstream() []string {
	c, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return []string{}
	}
	servers := make([]string, 0, len(c.Servers))
	for _, s := range c.Servers {
		servers = append(servers, net.JoinHostPort(s, c.Port))
	}
	return servers
}

// enter returns what the sockets of who share; leave must be called once.
// What is remembered lasts while at least one Serve call does.
func (e *Egress) enter(who Ref) (env *environment, leave func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	env = e.environments[who.Environment]
	if env == nil {
		env = &environment{ref: who, names: names{max: e.cfg.Limits.Names}, slots: make(chan struct{}, e.cfg.Limits.Connections), lookups: make(chan struct{}, lookupsMax)}
		if e.cfg.Tap != nil {
			env.tap = e.cfg.Tap(who)
		}
		e.environments[who.Environment] = env
	}
	env.users++
	return env, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if env.users--; env.users == 0 {
			delete(e.environments, who.Environment)
		}
	}
}

// tell logs a line about who.
func (e *Egress) tell(who Ref, text string) {
	if e.cfg.Log == nil {
		return
	}
	e.cfg.Log(daruma.Line{At: e.cfg.Clock.Now(), Function: who.Function, Version: who.Version, Environment: who.Environment, Stream: daruma.Platform, Text: text})
}

// callerKey is the context key of a cloud request's Ref.
type callerKey struct{}

// Caller returns the environment that sent the request ctx belongs to.
func Caller(ctx context.Context) (Ref, bool) {
	r, ok := ctx.Value(callerKey{}).(Ref)
	return r, ok
}
