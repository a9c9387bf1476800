// Package raise has alarms go off, and come back: every ten seconds of the app's
// clock it has what is counted measured, and judges the alarms whose turn it is.
//
// An alarm whose period is shorter than a minute is judged every ten seconds, one
// whose period is an hour or longer every hour, and any other every minute, each
// time by the periods that end then. A change of state is stored, with what its
// actions hand over, before the next round; while nothing changes, nothing is
// written.
//
// It holds nothing durable: what it could not write down is judged anew in the
// next round. On a clock that outruns the machine, rounds are left out, never
// made up for. [Raiser.Run] is the only goroutine.
package raise

import (
	"context"
	"log/slog"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
)

// Every is how often what is counted is measured.
const Every = 10 * time.Second

// Metrics are what alarms watch.
type Metrics interface {
	// Measure keeps what was counted from one time to another; both are whole tens of seconds.
	Measure(ctx context.Context, from, to time.Time)
	// Points returns a point for each period of an alarm's range, of which the last ends at a time.
	Points(a *alarm.Alarm, end time.Time) []alarm.Point
}

// Store is where alarms are; [alarm.Alarms] is.
type Store interface {
	All() []*alarm.Alarm
	Judge(ctx context.Context, all ...alarm.Judgement) error
}

// Config is what a Raiser needs.
type Config struct {
	Alarms  Store        // required
	Metrics Metrics      // required
	Clock   daruma.Clock // the app's; daruma.SystemClock when nil
	Logger  *slog.Logger // discarded when nil
}

// A Raiser judges alarms.
type Raiser struct{ cfg Config }

// New returns a raiser. It starts nothing.
func New(cfg Config) *Raiser {
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Raiser{cfg}
}

// Run measures and judges until ctx ends.
func (r *Raiser) Run(ctx context.Context) error {
	for last := floor(r.cfg.Clock.Now(), Every); ; {
		if err := r.cfg.Clock.Sleep(ctx, last.Add(Every).Sub(r.cfg.Clock.Now())); err != nil {
			return nil
		}
		at := floor(r.cfg.Clock.Now(), Every)
		if !at.After(last) { // a clock was set
			last = at
			continue
		}
		r.cfg.Metrics.Measure(ctx, last, at)
		if err := r.judge(ctx, last, at); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("alarms could not be judged and are judged again", "error", err)
		}
		last = at
	}
}

// judge judges the alarms whose turn it is between two times.
func (r *Raiser) judge(ctx context.Context, from, to time.Time) error {
	var changed []alarm.Judgement
	for _, a := range r.cfg.Alarms.All() {
		end := floor(to, turn(a.Period))
		if !end.After(from) {
			continue
		}
		s := a.Judge(r.cfg.Metrics.Points(a, end), to, a.Situation.State)
		if s.State != a.Situation.State {
			changed = append(changed, alarm.Judgement{Name: a.Name, Revision: a.Revision, To: s})
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return r.cfg.Alarms.Judge(ctx, changed...)
}

// turn is how often an alarm with a period is judged.
func turn(period time.Duration) time.Duration {
	switch {
	case period < time.Minute:
		return Every
	case period < time.Hour:
		return time.Minute
	}
	return time.Hour
}

// floor is the last time before t, or t, that is a whole number of steps since 1970.
func floor(t time.Time, step time.Duration) time.Time {
	return time.Unix(0, t.UnixNano()-t.UnixNano()%int64(step)).UTC()
}
