package node

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/egress"
	"github.com/daruma-io/daruma/door/egress/trust"
	"github.com/daruma-io/daruma/door/runtime"
	"github.com/daruma-io/daruma/reproduce"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/runtimes"
	"github.com/daruma-io/daruma/run/sandbox"
)

// A rig is where events that failed are run again: places like those that
// serve, each for one run, with a way out of its own.
type rig struct {
	maker       sandbox.Maker
	runtimes    *runtimes.Runtimes
	trust       *trust.Authority
	session     func() (*trust.Authority, error)
	cloud       http.Handler    // for runs with a live network
	policy      egress.Policy   // likewise
	own         func() []uint16 // ports that functions never reach
	observer    daruma.Observer
	clock       daruma.Clock
	credentials func(f *catalog.Function) []string
}

// rig is where this node's failures are reproduced.
func (n *Node) rig() *rig {
	return &rig{maker: n.maker, runtimes: n.runtimes, trust: n.trust, session: n.session, cloud: http.HandlerFunc(n.cloud), policy: n.policy, own: n.listeners.ports,
		observer: n.watch, clock: n.clock, credentials: n.credentials}
}

// Closed says whether places have a network of their own.
func (s *rig) Closed() bool { return s.maker.Kind() == "namespaces" }

// Play runs one event in a fresh environment.
func (s *rig) Play(ctx context.Context, scene reproduce.Scene) (daruma.Outcome, error) {
	session, err := s.session()
	if err != nil {
		return daruma.Outcome{}, err
	}
	marked := marker{s.observer}
	cfg := egress.Config{Cloud: s.cloud, Authority: s.trust, Session: s.session, Policy: s.policy, Own: s.own, Log: marked.Logged,
		Tap: func(egress.Ref) egress.Tap { return egress.Tap{Player: scene.Player} }}
	out, err := egress.New(cfg)
	if err != nil {
		return daruma.Outcome{}, err
	}
	files := s.trust.Files()
	if scene.Player != nil {
		files = session.Files()
	}
	pool := run.New(run.Config{
		Maker: s.maker, View: func() *catalog.View { return scene.View },
		Launch: func(f *catalog.Function) (run.Launch, error) { return s.runtimes.Launch(ctx, f) },
		Serve:  func(ctx context.Context, ln net.Listener, s *run.Session) error { return runtime.Serve(ctx, ln, s) },
		Spec:   func(_ *catalog.Function, spec *sandbox.Spec) { furnish(spec, s.Closed(), files) },

		Services: ways(out, s.Closed()), Observer: marked, Clock: s.clock, Credentials: s.credentials, FreezeAfter: -1,
	})
	o := pool.Run(ctx, scene.Invocation)
	end, cancel := context.WithTimeout(ctx, endMax)
	defer cancel()
	_ = pool.Close(end) // it is killed when it does not end by itself
	return o, nil
}

// endMax is how long an environment of a rig may take to end.
const endMax = 3 * time.Second

// A marker passes on what happens on a rig, marked as what it is. Its
// environments are not among those that serve.
type marker struct{ to daruma.Observer }

func (m marker) Logged(l daruma.Line) {
	l.Source = daruma.Reproduction
	m.to.Logged(l)
}
func (m marker) Spanned(s daruma.Span)      { m.to.Spanned(s) }
func (m marker) Changed(daruma.Environment) {}
