package conduct

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// Why a run ends before its time. Match with errors.Is.
var (
	errGuard   = errors.New("a guard tripped")
	errStopped = errors.New("stopped")
	errGone    = errors.New("the platform is gone")
)

// frame reads what is counted now.
func (r *run) frame(ctx context.Context) (Counts, error) {
	acked := map[string]int64{}
	for _, d := range r.drivers {
		if t := d.load.Takes(); t != "" {
			acked[t] += d.acked.Load()
		}
	}
	c, err := r.cfg.Platform.Count(ctx)
	if err != nil {
		return c, err
	}
	c.acked, c.base, c.real, c.faults = acked, r.base, time.Now(), map[string]Injected{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.injections {
		one, before := in.last, c.faults[in.name] // a fault may be put in force more than once
		one.Seen, one.Met = one.Seen+before.Seen, one.Met+before.Met
		c.faults[in.name] = one
	}
	c.down = r.down()
	if len(r.frames) >= framesMax {
		r.frames = r.frames[:framesMax-1] // the last one is what accounts are closed by
	}
	r.frames = append(r.frames, c)
	return c, nil
}

// watch looks at the platform, its faults and the guards until ctx ends, and ends the run when one says so.
func (r *run) watch(ctx context.Context, abort context.CancelCauseFunc) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	next := map[string]time.Time{}
	seen := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if r.dead.Load() > 0 {
			seen = time.Now()
			continue
		}
		for _, in := range r.inForce() {
			r.ask(ctx, in)
			if most := r.e.Blast.For; most > 0 && !r.hanging.Load() && r.cfg.Clock.Now().Sub(in.began) >= most {
				abort(fmt.Errorf("%w: the blast radius: the fault %s was in force for %v", errGuard, in.name, most))
			}
		}
		if _, err := r.frame(ctx); err == nil {
			seen = time.Now()
		} else if ctx.Err() == nil && r.dead.Load() == 0 {
			r.unseen++
			if time.Since(seen) > goneAfter {
				abort(fmt.Errorf("%w: it has not answered for %v: %w", errGone, goneAfter, err))
			}
		}
		for _, g := range r.e.Guards {
			if now := time.Now(); now.After(next[g.Name]) {
				next[g.Name] = now.Add(g.Every)
				if why := r.trips(ctx, g); why != "" && ctx.Err() == nil {
					abort(fmt.Errorf("%w: %s: %s", errGuard, g.Name, why))
				}
			}
		}
		if err := r.stopped(); err != nil {
			abort(err)
		}
	}
}

// stopped says, as an error, that somebody asked the run to stop.
func (r *run) stopped() error {
	for _, dir := range r.cfg.stopDirs() {
		if _, err := os.Stat(StopFile(dir)); err == nil {
			return fmt.Errorf("%w by daruma experiment stop", errStopped)
		}
	}
	return nil
}

// stopDirs are where somebody may ask the run to stop.
func (c Config) stopDirs() []string {
	if c.Dir == "" {
		return c.StopDirs
	}
	return append([]string{c.Dir}, c.StopDirs...)
}

// trips says why a guard is outside of its tolerance; "" when it is not, or nothing is known yet.
func (r *run) trips(ctx context.Context, g experiment.Guard) string {
	value, err := r.do(ctx, g.Activity)
	if err != nil {
		if g.Provider.Metric != nil {
			return "" // nothing was counted yet
		}
		return err.Error()
	}
	if ok, why := g.Tolerance.Within(value, nil); !ok {
		return why
	}
	return ""
}

// metric works out a metric from the start of the phase, or of the faults, until now.
func (r *run) metric(ctx context.Context, m experiment.Metric) measured {
	now, err := r.frame(ctx)
	if err != nil {
		return measured{none: err.Error()}
	}
	r.mu.Lock()
	from := r.phaseFrom
	if m.Over == "run" && r.broken.real.After(time.Time{}) {
		from = r.broken
	}
	r.mu.Unlock()
	return window{from: from, to: now, loads: r.samples()}.measure(m)
}

func (r *run) samples() map[string][]sample {
	all := map[string][]sample{}
	for _, d := range r.drivers {
		d.mu.Lock()
		all[d.load.Name] = d.samples[:len(d.samples):len(d.samples)]
		d.mu.Unlock()
	}
	return maps.Clone(all)
}
