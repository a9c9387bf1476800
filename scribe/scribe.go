// Package scribe writes into the healing log what happens again and again and
// far too fast to be written down each time: environments whose processes died
// or had to be killed and which are started anew, events in a loop that are
// stopped. It makes one repair of many alike: begun when the first is seen,
// completed with their count when they have ceased.
//
// Who tells it something pays for a lock and an addition: no call waits for
// the disk. So such a repair is written as soon as it is seen, and not before: the
// process is gone already, and its successor, which is the repair, starts
// with the next event whether the log can be written or not. What decides for
// itself when it acts calls ledger.Begin first, and not this package.
//
// It promises at most two records for each function and symptom in QuietAfter, that
// what cannot be written yet is written later, and that repairs which a crash of
// the platform left open are completed after it with that word (Recover).
//
// All methods may be called from any goroutine; Run once.
package scribe

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
)

// A Log is the healing log: a *ledger.Ledger.
type Log interface {
	Begin(ctx context.Context, r ledger.Repair) (ledger.RepairID, error)
	Complete(ctx context.Context, id ledger.RepairID, outcome string) error
	Repairs(ctx context.Context, before ledger.RepairID, function string, n int) ([]*ledger.Repair, error)
}

// By is who the repairs are by that a Scribe writes.
const By = "environments"

// Config is what a Scribe needs. Log is required.
type Config struct {
	Log        Log
	Owner      func(function string) string // may be nil
	Clock      daruma.Clock                 // daruma.SystemClock when nil
	Logger     *slog.Logger                 // discarded when nil
	QuietAfter time.Duration                // without another one a repair is completed; 10 s when 0
	OpenMax    time.Duration                // then it is completed while it goes on; 10 min when 0
}

// Limits of what is kept in memory until it is written.
const (
	openMax       = 256 // functions and symptoms; more are counted together
	evidenceLines = 8
	lineBytesMax  = 512
	lookMin       = 100 * time.Millisecond // between two looks
	recoverMax    = 500                    // repairs that are looked at after a start
	endMax        = time.Second            // for the last words when Run ends
)

// A Symptom is something that happened, and what is done about it.
type Symptom struct {
	Function string
	What     string // what is done: "stop events that go in a circle"
	Why      string // alike for all that are counted together
	Undo     string
	Evidence string // of this one, a line
	Ended    string // what became of them, for the outcome: "were stopped"
}

type key struct{ function, what, why string }

// An episode is symptoms alike, from the first until they have ceased.
type episode struct {
	Symptom
	id        ledger.RepairID // 0: not written yet
	evidence  []string
	count     int64
	recovered int64 // runs that ended well since the last one
	first     time.Time
	last      time.Time
}

// A Scribe writes down what it is told. It is a daruma.Observer but for logs.
type Scribe struct {
	cfg  Config
	wake daruma.Bell
	open atomic.Int64 // episodes; read without the lock by those who are told of every run

	mu       sync.Mutex // guards episodes
	episodes map[key]*episode
}

// New returns a scribe. It starts nothing.
func New(cfg Config) *Scribe {
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Owner == nil {
		cfg.Owner = func(string) string { return "" }
	}
	cfg.QuietAfter, cfg.OpenMax = cmp.Or(cfg.QuietAfter, 10*time.Second), cmp.Or(cfg.OpenMax, 10*time.Minute)
	return &Scribe{cfg: cfg, wake: daruma.NewBell(), episodes: map[key]*episode{}}
}

// Recover completes what the process before has left open of the repairs of
// these parts of the platform, and of this package. It is called before any of them acts.
func (s *Scribe) Recover(ctx context.Context, parts ...string) error {
	list, err := s.cfg.Log.Repairs(ctx, 0, "", recoverMax)
	if err != nil {
		return err
	}
	parts = append(parts, By)
	for _, r := range list {
		if r.Outcome != "" || !slices.Contains(parts, r.By) {
			continue
		}
		if err := s.cfg.Log.Complete(ctx, r.Number, "not known: the platform ended before it could say"); err != nil {
			return err
		}
	}
	return nil
}

// Saw takes a symptom. It returns at once.
func (s *Scribe) Saw(x Symptom) {
	now := s.cfg.Clock.Now()
	k := key{x.Function, x.What, x.Why}
	s.mu.Lock()
	e := s.episodes[k]
	if e == nil && len(s.episodes) >= openMax {
		x.Function, x.Why = "", "of more functions and symptoms than are told apart"
		k = key{"", x.What, x.Why}
		e = s.episodes[k]
	}
	if e == nil {
		e = &episode{Symptom: x, first: now}
		s.episodes[k] = e
		s.open.Store(int64(len(s.episodes)))
	}
	e.count++
	e.last, e.recovered = now, 0
	if len(e.evidence) < evidenceLines && x.Evidence != "" {
		e.evidence = append(e.evidence, now.UTC().Format("15:04:05.000 ")+ledger.Cut(x.Evidence, lineBytesMax))
	}
	begun := e.count == 1
	s.mu.Unlock()
	if begun {
		s.wake.Ring()
	}
}

// Changed takes the end of an environment's processes before their time.
func (s *Scribe) Changed(e daruma.Environment) {
	if e.State != daruma.Resetting {
		return
	}
	kind, _, _ := strings.Cut(e.Fault, ":")
	var why string
	switch {
	case kind == "Runtime.OutOfMemory":
		why = "it was out of memory"
	case e.Cause == "timeout":
		why = "it was killed at its time-out"
	case e.Cause == "init":
		why = "it could not be started"
	case e.Cause == "crash":
		why = "its process ended (" + ledger.Cut(kind, 100) + ")"
	default:
		return // deployed, idle or shut down: nothing was wrong
	}
	text := fmt.Sprintf("environment %s, version %s, process %d: %s", e.ID, e.Version, e.PID, e.Fault)
	if e.Request != "" {
		text += ", with request " + e.Request
	}
	s.Saw(Symptom{Function: e.Function, What: "replace what an environment of " + e.Function + " ran", Why: why, Evidence: text, Ended: "replaced",
		Undo: "nothing: the environment was gone, and its successor has the same code and /tmp"})
}

// Spanned takes runs that end well: they show that a repair has worked.
func (s *Scribe) Spanned(r daruma.Span) {
	if s.open.Load() == 0 || r.Kind != daruma.SpanRun || r.Outcome != daruma.Done && r.Outcome != daruma.FunctionError {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.episodes {
		if k.function == r.Function {
			e.recovered++
		}
	}
}

// Run writes until ctx ends, then the last words of what is open.
func (s *Scribe) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		next := s.look(ctx, false)
		stop := func() bool { return true }
		if !next.IsZero() {
			stop = s.cfg.Clock.AfterFunc(max(next.Sub(s.cfg.Clock.Now()), lookMin), s.wake.Ring)
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
		stop()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endMax)
	defer cancel()
	s.look(last, true)
	return nil
}

// look begins and completes repairs, all of them when it is the last look,
// and returns when to look again; the zero time for when something is told.
func (s *Scribe) look(ctx context.Context, last bool) (next time.Time) {
	now := s.cfg.Clock.Now()
	s.mu.Lock()
	all := map[key]episode{}
	for k, e := range s.episodes {
		all[k] = *e
	}
	s.mu.Unlock()
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for k, e := range all {
		if e.id == 0 {
			id, err := s.cfg.Log.Begin(ctx, ledger.Repair{By: By, What: e.What, Why: e.Why, Undo: e.Undo, Evidence: strings.Join(e.evidence, "\n"), Function: e.Function, Owner: s.cfg.Owner(e.Function)})
			if err != nil {
				s.cfg.Logger.Warn("a repair is not written down yet", "function", e.Function, "what", e.What, "error", err)
				sooner(now.Add(time.Second))
				continue
			}
			s.mu.Lock()
			s.episodes[k].id = id
			s.mu.Unlock()
			e.id = id
		}
		ends := e.last.Add(s.cfg.QuietAfter)
		if most := e.first.Add(s.cfg.OpenMax); most.Before(ends) {
			ends = most
		}
		if !last && ends.After(now) {
			sooner(ends)
			continue
		}
		if err := s.complete(ctx, k, e); err != nil {
			s.cfg.Logger.Warn("a repair is not completed yet", "repair", e.id, "error", err)
			sooner(now.Add(time.Second))
		}
	}
	return next
}

// complete notes what came of an episode, and forgets it. What was told
// meanwhile is the beginning of the next one.
func (s *Scribe) complete(ctx context.Context, k key, e episode) error {
	if err := s.cfg.Log.Complete(ctx, e.id, e.outcome()); err != nil && daruma.KindOf(err) != daruma.KindConflict && daruma.KindOf(err) != daruma.KindNotFound {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.episodes[k]
	if more := now.count - e.count; more > 0 {
		s.episodes[k] = &episode{Symptom: now.Symptom, count: more, recovered: now.recovered, first: now.last, last: now.last}
		s.wake.Ring()
		return nil
	}
	delete(s.episodes, k)
	s.open.Store(int64(len(s.episodes)))
	return nil
}

func (e episode) outcome() string {
	text := "once"
	if e.count > 1 {
		text = fmt.Sprintf("%d times in %v", e.count, e.last.Sub(e.first).Round(time.Millisecond))
	}
	text = e.Ended + " " + text
	if e.recovered > 0 {
		return text + fmt.Sprintf("; runs that have ended well since: %d", e.recovered)
	}
	return text + "; no run has ended well since"
}
