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
	// rebuild makes code for a debugger; nil where there is no source. A zero
	// Code says that there is none that is better than what ran.
	rebuild func(ctx context.Context, f *catalog.Function) catalog.Code
}

// rig is where this node's failures are reproduced.
func (n *Node) rig() *rig {
	return &rig{maker: n.maker, runtimes: n.runtimes, trust: n.trust, session: n.session, cloud: http.HandlerFunc(n.cloud), policy: n.policy, own: n.listeners.ports,
		observer: n.watch, clock: n.clock, credentials: n.credentials, rebuild: n.rebuildGo}
}

// OpenRig makes a rig for cases from elsewhere, in a directory of its own, of
// which cfg names Data, Isolation and what belongs to the process. There is no
// cloud: a run with a live network reaches hosts outside and no AWS service.
// close gives it up; the directory stays.
func OpenRig(cfg Config) (_ reproduce.Rig, close func() error, err error) {
	cfg.Template = "-" // there is none
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	s := &rig{runtimes: openRuntimes(cfg), policy: egress.AllowAll, own: func() []uint16 { return nil }, observer: silence{}, clock: daruma.SystemClock{},
		cloud: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no AWS service answers here: the case is run from a bundle", http.StatusServiceUnavailable)
		}),
		credentials: func(*catalog.Function) []string {
			return []string{"AWS_ACCESS_KEY_ID=REPRODUCE", "AWS_SECRET_ACCESS_KEY=reproduce", "AWS_SESSION_TOKEN=reproduce"}
		}}
	if s.trust, s.session, err = openTrust(cfg.Data); err != nil {
		return nil, nil, err
	}
	if s.maker, err = openMaker(cfg); err != nil {
		return nil, nil, err
	}
	return s, s.maker.Close, nil
}

// silence is an Observer nobody listens to.
type silence struct{}

func (silence) Logged(daruma.Line)         {}
func (silence) Spanned(daruma.Span)        {}
func (silence) Changed(daruma.Environment) {}

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
	places := run.Config{
		Maker: s.maker, View: func() *catalog.View { return scene.View },
		Launch: func(f *catalog.Function) (run.Launch, error) { return s.runtimes.Launch(ctx, f) },
		Serve:  func(ctx context.Context, ln net.Listener, s *run.Session) error { return runtime.Serve(ctx, ln, s) },
		Spec:   func(_ *catalog.Function, spec *sandbox.Spec) { furnish(spec, s.Closed(), files) },

		Services: ways(out, s.Closed()), Observer: marked, Clock: s.clock, Credentials: s.credentials, FreezeAfter: -1,
	}
	if scene.Debug {
		d, err := s.debug(ctx, &scene)
		if err != nil {
			return daruma.Outcome{}, err
		}
		defer d.close()
		d.apply(&places, scene.Tell)
	}
	pool := run.New(places)
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
