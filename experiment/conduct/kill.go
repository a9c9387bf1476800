package conduct

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/experiment"
)

// A killing is one end of the platform in this run.
type killing struct {
	name     string
	pid      int
	from, to time.Time // by the machine's clock; to is zero when it did not answer again
	began    time.Time // by the app's
}

// MayKill refuses an experiment that would end a platform that is somebody else's.
func MayKill(e *experiment.Experiment, cfg Config) error {
	if !e.Kills() || cfg.Kill != nil {
		return nil
	}
	return &daruma.Error{Op: "run the experiment", Ref: e.File, Kind: daruma.KindDenied, Err: errors.New("it kills the platform, and this one was not started for it"), Hint: "--fresh starts one that may be killed"}
}

// kills ends the platform and has it start again on what it has left. Faults that are in force end with it.
func (r *run) kills(ctx context.Context, a experiment.Activity) (any, error) {
	for _, in := range r.inForce() {
		r.ask(ctx, in)
	}
	k := &killing{name: a.Name, from: time.Now(), began: r.now(ctx).At}
	r.mu.Lock()
	r.killings = append(r.killings, k)
	r.mu.Unlock()
	r.dead.Add(1)
	defer r.dead.Add(-1)
	for _, in := range r.inForce() {
		r.mu.Lock()
		in.to = k.from
		r.mu.Unlock()
		r.say("ended      %s: faults end with the platform", in.name)
	}
	pid, err := r.cfg.Kill(ctx, a.Provider.Kill.Down)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	k.pid, k.to = pid, time.Now()
	r.mu.Unlock()
	took := k.to.Sub(k.from)
	r.say("killed     %s: kill -9 of process %d; it answered again after %v", a.Name, pid, took.Round(time.Millisecond))
	return fmt.Sprintf("process %d, down for %v", pid, took.Round(time.Millisecond)), nil
}

// down returns for how long the platform was down. r.mu is held.
func (r *run) down() (all time.Duration) {
	for _, k := range r.killings {
		if !k.to.IsZero() {
			all += k.to.Sub(k.from)
		}
	}
	return all
}
