package node

import (
	"context"
	"errors"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/watch"
)

// eachMax is how many events of one function run at once, of those that nobody
// waits for; totalMax is how many of all functions do.
const (
	totalMax = 64
	eachMax  = 32

	// doubtFor is how long a failure may be in doubt, by the machine's clock:
	// what it waits for is other runs.
	doubtFor = 2 * time.Second
	// doubtMax is the most of the app's own time, however fast that goes: what is
	// tried again after a minute is not to wait for three.
	doubtMax = 15 * time.Second
)

// openHeal makes what says how much of each function may run.
func (n *Node) openHeal(ctx context.Context, _ catalog.Place) error {
	holds := hold.New(n.cell)
	known, err := holds.All(ctx)
	if err != nil {
		return err
	}
	n.governor = heal.New(heal.Config{Strict: n.cfg.Semantics == SemanticsStrict, Most: eachMax, Store: holds, Known: known, Owner: n.owner, Dependency: n.dependency, Clock: n.clock, Doubt: min(n.clock.While(doubtFor), doubtMax), Logger: n.cfg.Log})
	return errors.Join(n.countOnce(),
		n.watchBreakers("daruma_breaker_open", "1 while nothing of a function is handed out but probes, because most of its events fail or a person said so.", func(s heal.Status) float64 {
			if s.Held() {
				return 1
			}
			return 0
		}),
		n.watch.Register(watch.Gauge{Name: "daruma_breaker_keys_open", Help: "Dependency keys of a function that are held, while their function is not said to be; which they are is in daruma breakers.", Labels: []string{"function"}, Read: n.keysHeld}),
		n.watchBreakers("daruma_concurrency_limit", "Events of a function that may run at once, of those that nobody waits for.", func(s heal.Status) float64 { return float64(s.Limit) }),
		n.watchBreakers("daruma_dispatched_running", "Events of a function that run, of those that nobody waits for.", func(s heal.Status) float64 { return float64(s.Running) }),
	)
}

// watchBreakers adds a number that each function's breaker has to the metrics.
func (n *Node) watchBreakers(name, help string, value func(heal.Status) float64) error {
	return n.watch.Register(watch.Gauge{Name: name, Help: help, Labels: []string{"function"}, Read: func() []watch.Sample {
		var all []watch.Sample
		for _, s := range n.governor.Statuses() {
			if s.Key == "" { // there may be a thousand keys, and others tomorrow
				all = append(all, watch.Sample{Labels: []string{s.Function}, Value: value(s)})
			}
		}
		return all
	}})
}

// keysHeld counts the keys of each function that are held.
func (n *Node) keysHeld() []watch.Sample {
	held := map[string]float64{}
	for _, s := range n.governor.Statuses() {
		if s.Key == "" {
			held[s.Function] += 0
		} else if s.Held() {
			held[s.Function]++
		}
	}
	var all []watch.Sample
	for function, n := range held {
		all = append(all, watch.Sample{Labels: []string{function}, Value: n})
	}
	return all
}

// dependency is where events of a function say what they depend on.
func (n *Node) dependency(function string) string {
	if f := n.catalog.View().Function(function, catalog.Latest); f != nil {
		return f.Dependency
	}
	return ""
}

// breakers is the governor as the console sees it: of functions that there are.
type breakers struct{ *Node }

// Statuses returns what is known of each function.
func (b breakers) Statuses() []heal.Status { return b.governor.Statuses() }

// Force changes what a person wants of the breaker of a function, or of one key of it.
func (b breakers) Force(ctx context.Context, u hold.Unit, f hold.Force, reason string) (ledger.RepairID, error) {
	is := b.catalog.View().Function(u.Function, catalog.Latest)
	if is == nil {
		return 0, &daruma.Error{Op: "force the breaker", Ref: u.Function, Kind: daruma.KindNotFound}
	}
	if u.Key != "" && is.Dependency == "" && f != hold.Auto {
		return 0, &daruma.Error{Op: "force the breaker", Ref: u.String(), Kind: daruma.KindInvalid, Err: errors.New("the function does not declare where its events have a key"),
			Hint: "declare Metadata: Daruma: Dependency: { Key: $.tenant }, or leave the key out"}
	}
	return b.governor.Force(ctx, u, f, reason)
}
