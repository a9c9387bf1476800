package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Ports that mean something here.
const (
	portDNS   = 53
	portHTTP  = 80
	portHTTPS = 443
)

// ServeTCP takes the redirected connections that come to ln until ctx ends,
// and closes ln. It returns when every connection is over.
//
// The listener's connections must be the kernel's own (*net.TCPConn): where
// one was going is asked of the kernel (SO_ORIGINAL_DST). Because the kernel
// has accepted a connection before it comes here, a function sees a host that
// refuses as a connection that is reset at once.
func (e *Egress) ServeTCP(ctx context.Context, ln net.Listener, who Ref) error {
	env, leave := e.enter(who)
	defer leave()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := e.newFront(ctx, env)
	wg.Go(f.run)
	return e.serve(ctx, ln, who, env.slots, func(ctx context.Context, c net.Conn) { e.handle(ctx, env, f, c) })
}

// handle leads one connection to where it was going, and returns when it is over.
func (e *Egress) handle(ctx context.Context, env *environment, f *front, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { abort(c) })
	defer stop()
	to, err := e.origin(c)
	if err != nil {
		e.tell(env.ref, fmt.Sprintf("egress: a connection was dropped: where it was going is not known: %v", err))
		abort(c)
		return
	}
	host, head, err := e.destination(env, c, to)
	if err != nil {
		e.deny(e.peer(env.ref, to.Addr().String(), to.Port()), env.ref, err.Error())
		abort(c)
		return
	}
	if to.Port() == portDNS && !synthetic.Contains(to.Addr()) {
		e.serveDNSConn(ctx, env, c) // a resolver of the function's own choice: ours answers
		return
	}
	d := Dial{Ref: env.ref, Host: host, Port: to.Port(), Cloud: IsCloud(host)}
	p := e.peer(env.ref, host, to.Port())
	defer e.hold(d, c)() // before the policy is asked: what it is about to let go on can be cut
	decide, cancel := context.WithTimeout(ctx, policyMax)
	asked := time.Now()
	dec, ok := e.allowed(decide, d, p)
	held := time.Since(asked)
	cancel()
	if ok && dec.Pace != nil {
		c = &paced{Conn: c, pace: dec.Pace}
	}
	switch {
	case !ok:
		refuse(c)
	case d.Cloud:
		f.take(c, head, d, p, held)
	case env.tap.Player != nil:
		f.play(c, head, d, p)
	case env.tap.Recorder != nil:
		f.record(c, head, d, p)
	default:
		e.through(ctx, c, head, d, p)
	}
}

// destination tells the host a connection to an address is for. For an
// address that no name was asked for, a TLS client says which name it means;
// head is what was read to find out.
func (e *Egress) destination(env *environment, c net.Conn, to netip.AddrPort) (host string, head []byte, err error) {
	if synthetic.Contains(to.Addr()) {
		name, ok := env.names.name(to.Addr())
		if !ok {
			return "", nil, errors.New("the address stands for no name, or for one not used for so long that it was forgotten")
		}
		return name, nil, nil
	}
	if to.Port() == portDNS {
		return to.Addr().String(), nil, nil
	}
	if err := e.check(to.Addr()); err != nil {
		return "", nil, err
	}
	host = to.Addr().String()
	if to.Port() == portHTTPS {
		var name string
		if head, name = peekServerName(c); IsCloud(name) {
			host = name // found out by other means than our resolver: DNS over HTTPS, a fixed list
		}
	}
	return host, head, nil
}

// through connects a function with a host outside and carries bytes both ways
// until both have ended.
func (e *Egress) through(ctx context.Context, c net.Conn, head []byte, d Dial, p *peer) {
	up, err := e.reach(ctx, d, p)
	if err != nil {
		refuse(c)
		return
	}
	e.carry(ctx, c, up, head, p)
}

// reach connects to a host outside. An error is counted and told already.
func (e *Egress) reach(ctx context.Context, d Dial, p *peer) (net.Conn, error) {
	up, err := e.connect(ctx, d.Host, d.Port)
	if err != nil {
		if _, ok := errors.AsType[*forbidden](err); ok {
			e.deny(p, d.Ref, err.Error())
		} else if ctx.Err() == nil {
			e.fail(p, d.Ref, err)
		}
		return nil, err
	}
	p.connections.Add(1)
	return up, nil
}

// carry carries bytes both ways until both have ended; head is what the
// function has said already.
func (e *Egress) carry(ctx context.Context, c, up net.Conn, head []byte, p *peer) {
	stop := context.AfterFunc(ctx, func() { abort(up) })
	defer stop()
	up.SetWriteDeadline(soon(e.cfg.Limits.Idle))
	n, err := up.Write(head)
	p.out.Add(int64(n))
	if err != nil {
		abort(up)
		abort(c)
		return
	}
	splice(c, up, p, e.cfg.Limits.Idle)
}
