package heal

import (
	"context"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/hold"
)

// A Doubt is about a failure of which it is not known yet whether its event is
// to blame, or something that all events need. It ends
//
//   - with a hold: then the failure does not count;
//   - with a run of the function that began later and went well: then it does;
//   - after two seconds: then it does, too. What is told apart no sooner is poison.
//     A key has fewer events: one in doubt waits for up to ten seconds while all of
//     them fail.
type Doubt struct {
	unit  hold.Unit
	event string // as its breaker knows it
	began time.Time
	ended chan struct{}
	held  bool // set before ended is closed
	alone bool // likewise: most others went well
	back  time.Duration
	more  int // how often it is prolonged yet
	stop  func() bool
}

// Wait waits for the end of the doubt and says whether the event is held. When
// ctx ends, it is: nobody will know any more.
func (d *Doubt) Wait(ctx context.Context) (held bool) {
	select {
	case <-d.ended:
		return d.held
	default:
	}
	select {
	case <-d.ended:
		return d.held
	case <-ctx.Done():
		return true
	}
}

// heldIf is the end of a run of a unit that is held already.
func (v *valve) heldIf(failed bool) *Doubt {
	if !failed {
		return nil
	}
	d := &Doubt{unit: v.Unit, ended: make(chan struct{}), held: true, back: backMin}
	close(d.ended)
	return d
}

// doubt begins a doubt about a run of an event.
func (g *Governor) doubt(v *valve, event string, a Attempt) *Doubt {
	d := &Doubt{unit: v.Unit, event: event, began: a.Began, ended: make(chan struct{}), back: backMin}
	if len(v.doubts) == doubtsMax {
		v.doubts[0].end(false)
		v.doubts = slices.Delete(v.doubts, 0, 1)
	}
	v.doubts = append(v.doubts, d)
	if v.of != nil {
		d.more = doubtsOfKey - 1
	}
	g.last(v, d)
	return d
}

// last has a doubt end when it has lasted long enough.
func (g *Governor) last(v *valve, d *Doubt) {
	d.stop = g.clock.AfterFunc(g.cfg.Doubt, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		i := slices.Index(v.doubts, d)
		switch {
		case i < 0:
		case d.more > 0 && v.breaker.row(g.clock.Now()) > 1:
			d.more--
			g.last(v, d)
		default:
			v.doubts = slices.Delete(v.doubts, i, i+1)
			d.end(false)
		}
	})
}

// decide ends the doubts about runs that began at a time at the latest.
func (v *valve) decide(now time.Time, held bool, latest time.Time) {
	v.doubts = slices.DeleteFunc(v.doubts, func(d *Doubt) bool {
		if !held && d.began.After(latest) {
			return false
		}
		d.stop()
		d.alone = !held && v.breaker.Blame(now, d.event)
		d.end(held)
		return true
	})
}

func (d *Doubt) end(held bool) {
	d.held = held
	close(d.ended)
}

// Settle waits for the end of the doubt and returns what the outcome is then:
// held, or what it was, and whether most others went well meanwhile.
func (d *Doubt) Settle(ctx context.Context, o daruma.Outcome) daruma.Outcome {
	if d.Wait(ctx) {
		return d.Held(o)
	}
	if d.alone && o.Failure != nil {
		f := *o.Failure
		f.Alone, o.Failure = true, &f
	}
	return o
}

// Held is an outcome that does not count, because its unit is held: it is as if
// it had not run. Its Failure says when the event may come back.
func (d *Doubt) Held(o daruma.Outcome) daruma.Outcome {
	f := daruma.Failure{}
	if o.Failure != nil {
		f = *o.Failure
	}
	f.After = d.back
	why := "the function is held, because most of its events fail: "
	if d.unit.Key != "" {
		why = "events with the key " + d.unit.Key + " are held, because most of them fail: "
	}
	f.Kind, f.Message = daruma.KindUnavailable, why+f.Message
	o.Kind, o.Failure, o.Payload = daruma.Held, &f, nil
	return o
}
