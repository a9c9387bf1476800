package conduct

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/experiment"
)

// A run is one experiment under way.
type run struct {
	cfg     Config
	e       *experiment.Experiment
	out     *Result
	drivers []*driver
	base    map[string]int64 // what functions and queues had accepted at the start
	start   time.Time

	loading sync.WaitGroup
	hanging atomic.Bool  // runs that faults keep from answering come to their time-out
	dead    atomic.Int32 // times the platform is being killed: it does not answer, and is not gone
	unseen  int          // ticks at which the platform did not answer; the watcher's

	mu         sync.Mutex // guards what follows
	frames     []Counts
	injections []*injection
	killings   []*killing
	phaseFrom  Counts
	broken     Counts // when the method began
	edges      map[experiment.Phase]*window
	beats      []felt
}

// Run runs an experiment on a platform and says what came of it. What has to be
// put back is put back when it returns, also when ctx has ended.
//
// An error means that it could not be run at all: nothing was touched then.
func Run(ctx context.Context, e *experiment.Experiment, cfg Config) (*Result, error) {
	r := &run{cfg: cfg, e: e, start: time.Now(), edges: map[experiment.Phase]*window{}, out: &Result{
		File: e.File, Title: e.Title, Hypothesis: e.Hypothesis, Label: cfg.Label, Seed: e.Seed, Started: time.Now(), Scale: max(1, cfg.Scale), Document: e.Document,
	}}
	for r.out.Seed == 0 {
		r.out.Seed = rand.Uint64N(1 << 53)
	}
	for _, w := range e.Warnings {
		r.out.Warnings = append(r.out.Warnings, w.Error())
	}
	if err := MayKill(e, cfg); err != nil {
		return nil, err
	}
	first, err := cfg.Platform.Count(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range e.Guards {
		if m := g.Provider.Metric; m != nil && first.missing(*m) != "" { // it would never trip
			return nil, &daruma.Error{Op: "run the experiment", Ref: e.File, Kind: daruma.KindInvalid, Err: fmt.Errorf("the guard %s: %s", g.Name, first.missing(*m))}
		}
	}
	r.base = map[string]int64{}
	for name, f := range first.Functions {
		r.base[name] += f.Accepted
	}
	for name, q := range first.Queues {
		r.base[name] += q.Sent
	}
	if cfg.Dir != "" {
		u := Underway{File: e.File, Title: e.Title, PID: os.Getpid(), Started: r.start, Source: string(e.Source), Vars: cfg.Vars}
		if err := u.write(cfg.Dir); err != nil {
			return nil, err
		}
	}
	for _, dir := range cfg.stopDirs() {
		_ = os.Remove(StopFile(dir)) // somebody stopped what was run before
	}
	err = r.conduct(ctx, first)
	err = errors.Join(err, r.mend(ctx))
	r.putBack(ctx)
	r.judge(ctx, err)
	if cfg.Dir != "" {
		if err := Clear(cfg.Dir); err != nil {
			r.out.Warnings = append(r.out.Warnings, "what was under way is still written down: "+err.Error())
		}
	}
	return r.out, nil
}

func (r *run) say(format string, args ...any) {
	if r.cfg.Progress != nil {
		r.cfg.Progress(fmt.Sprintf(format, args...))
	}
}

// conduct goes through the phases until one of them ends the run.
func (r *run) conduct(ctx context.Context, first Counts) error {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	loads, endLoads := context.WithCancel(ctx)
	defer r.loading.Wait()
	defer endLoads()
	for _, l := range r.e.Loads {
		d := &driver{load: l, platform: r.cfg.Platform, seed: r.out.Seed, of: ownIDs(r.e.Title), failures: map[string]int{}}
		d.paused.Store(true) // until the first phase
		r.drivers = append(r.drivers, d)
		r.loading.Go(func() { d.run(loads) })
	}
	first.real, first.base, first.acked, first.faults = r.start, r.base, map[string]int64{}, map[string]Injected{}
	r.phaseFrom, r.frames = first, []Counts{first}
	r.loading.Go(func() { r.watch(loads, abort) })
	if r.cfg.Beat != nil {
		r.loading.Go(func() { r.feel(loads) })
	}
	err := r.phases(ctx)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if stopped := r.stopped(); stopped != nil { // and what failed is what was stopped
		return stopped
	}
	return err
}

// ownIDs is what the IDs of an experiment have that those of others have not.
func ownIDs(title string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(title)) // it never fails
	return fmt.Sprintf("%08x-", h.Sum32())
}

// errNotSteady says that the state was not steady before anything was done.
var errNotSteady = errors.New("the state was not steady before anything was broken")

func (r *run) phases(ctx context.Context) error {
	w := r.e.Windows
	r.say("before     %v", w.Before)
	if err := r.phase(ctx, experiment.Before, w.Before, true, nil); err != nil {
		return err
	}
	if !r.steady(ctx) {
		return errNotSteady
	}
	r.say("during     %v", w.During)
	if err := r.phase(ctx, experiment.During, w.During, false, r.method); err != nil {
		return err
	}
	if err := r.mend(ctx); err != nil {
		return err
	}
	mended := r.now(ctx)
	r.pause(true)
	settled := r.settle(ctx, w.Settle)
	if settled {
		at := r.now(ctx)
		s := at.At.Sub(mended.At).Seconds()
		r.out.Times.Recover = &s
	}
	r.say("after      %v", w.After)
	return r.phase(ctx, experiment.After, w.After, true, nil)
}

// phase is one phase: its work, its time, enough requests, what is in progress when it is to be
// drained, and its probes. Loads pause from one to the next, so that what is counted in a phase is of its own requests.
func (r *run) phase(ctx context.Context, p experiment.Phase, least time.Duration, drain bool, work func(context.Context) error) error {
	from := r.now(ctx)
	r.mu.Lock()
	r.phaseFrom = from
	if p == experiment.During {
		r.broken = from
	}
	r.edges[p] = &window{from: from, to: from}
	r.mu.Unlock()
	r.pause(false)
	began := time.Now()
	over := make(chan struct{})
	stop := r.cfg.Clock.AfterFunc(least, func() { close(over) })
	defer stop()
	if work != nil {
		if err := work(ctx); err != nil {
			return err
		}
	}
	select {
	case <-over:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := r.enough(ctx, began); err != nil {
		return err
	}
	r.pause(true)
	if err := r.answered(ctx); err != nil {
		return err
	}
	if p == experiment.During {
		r.hang(ctx)
	}
	if drain {
		r.settle(ctx, r.e.Windows.Settle)
	}
	to := r.now(ctx)
	r.mu.Lock()
	r.edges[p].to = to
	r.mu.Unlock()
	r.look(ctx, p)
	return ctx.Err()
}

// now reads what is counted. When the platform does not answer for as long as one that is gone it is what it said last.
func (r *run) now(ctx context.Context) Counts {
	for _, in := range r.inForce() {
		r.ask(ctx, in)
	}
	var c Counts
	var err error
	r.until(ctx, goneAfter, func() bool {
		c, err = r.frame(ctx)
		return err == nil
	})
	if err == nil {
		return c
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c = r.frames[len(r.frames)-1]
	c.real = time.Now()
	return c
}

func (r *run) pause(yes bool) {
	for _, d := range r.drivers {
		d.paused.Store(yes)
	}
}

// until looks again and again whether something is so, for a bounded time of the machine's clock.
func (r *run) until(ctx context.Context, most time.Duration, so func() bool) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// enough waits until each load has had as many requests as a share needs.
func (r *run) enough(ctx context.Context, since time.Time) error {
	r.until(ctx, waitMax, func() bool {
		for _, d := range r.drivers {
			if d.since(since) < r.e.Samples {
				return false
			}
		}
		return true
	})
	return ctx.Err()
}

// answered waits until no request waits for its answer.
func (r *run) answered(ctx context.Context) error {
	r.until(ctx, waitMax, func() bool {
		for _, d := range r.drivers {
			if d.waiting.Load() > 0 {
				return false
			}
		}
		return true
	})
	return ctx.Err()
}

// hang waits until what faults keep from answering has come to its time-out. That is the machine's time, and a
// window of a clock that runs faster may be over sooner: then nothing would have timed out. Meanwhile the blast
// radius goes by the machine's clock, too.
func (r *run) hang(ctx context.Context) {
	now := r.now(ctx)
	r.hanging.Store(true)
	defer r.hanging.Store(false)
	for _, in := range r.inForce() {
		longest := in.hangs(now)
		if longest == 0 {
			continue
		}
		most := 2 * longest
		if radius := r.e.Blast.For; radius > 0 {
			most = min(most, radius)
		}
		r.until(ctx, most, func() bool {
			r.ask(ctx, in)
			r.mu.Lock()
			defer r.mu.Unlock()
			return in.met.IsZero() || time.Since(in.met) > longest
		})
	}
}

// settle waits until nothing is in progress, and says whether that came about. The time for it goes by the app's
// clock and begins anew whenever something has ended: functions run as fast as they do, and a backlog that shrinks is none that stays.
func (r *run) settle(ctx context.Context, most time.Duration) bool {
	most = most/time.Duration(r.out.Scale) + time.Second
	least, since := int64(math.MaxInt64), time.Now()
	settled := false
	r.until(ctx, waitMax, func() bool {
		c, err := r.cfg.Platform.Count(ctx)
		if err != nil {
			return time.Since(since) > most
		}
		left := c.inProgress("") + c.behind()
		if left < least {
			least, since = left, time.Now()
		}
		settled = left == 0
		return settled || time.Since(since) > most
	})
	return settled
}

// method does what the experiment is about.
func (r *run) method(ctx context.Context) (err error) {
	var behind sync.WaitGroup
	var failed []error // of actions that nobody waits for; r.mu guards it
	defer func() {
		behind.Wait()
		err = errors.Join(err, errors.Join(failed...))
	}()
	do := func(a experiment.Activity) ActivityRun {
		if err := r.cfg.Clock.Sleep(ctx, a.Pauses[0]); err != nil {
			return ActivityRun{Name: a.Name, Status: "failed", Error: err.Error(), Document: a.Document}
		}
		done := r.perform(ctx, a)
		_ = r.cfg.Clock.Sleep(ctx, a.Pauses[1]) // the run has ended, and says so itself
		return done
	}
	add := func(a experiment.Activity, done ActivityRun) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.out.Method = append(r.out.Method, done)
		if done.Status != "failed" || a.Probe {
			return nil
		}
		wrong := fmt.Errorf("%s: %s", a.Name, done.Error)
		if a.Background {
			failed = append(failed, wrong)
		}
		return wrong
	}
	for _, a := range r.e.Method {
		if a.Background {
			behind.Go(func() { _ = add(a, do(a)) }) // it is told when the method has ended
			continue
		}
		wrong := add(a, do(a))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if wrong != nil {
			return wrong
		}
	}
	return nil
}

// putBack plays the rollbacks, whatever has happened.
func (r *run) putBack(ctx context.Context) {
	r.out.Rollbacks = PutBack(ctx, r.e, r.cfg)
}

// PutBack plays an experiment's rollbacks, also when ctx has ended; for at most two minutes.
func PutBack(ctx context.Context, e *experiment.Experiment, cfg Config) []ActivityRun {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBackMax)
	defer cancel()
	r := &run{cfg: cfg, e: e}
	all := []ActivityRun{}
	for _, a := range e.Rollbacks {
		r.say("rollback   %s", a.Name)
		all = append(all, r.perform(ctx, a))
	}
	return all
}
