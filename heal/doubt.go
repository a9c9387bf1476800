package heal

import (
	"context"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
)

// A Doubt is about a failure of which it is not known yet whether its event is
// to blame, or something that all events need. It ends
//
//   - with a hold: then the failure does not count;
//   - with a run of the function that began later and went well: then it does;
//   - after two seconds: then it does, too. What is told apart no sooner is poison.
type Doubt struct {
	began time.Time
	ended chan struct{}
	held  bool // set before ended is closed
	back  time.Duration
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

// heldIf is the end of a run of a function that is held already.
func heldIf(failed bool) *Doubt {
	if !failed {
		return nil
	}
	d := &Doubt{ended: make(chan struct{}), held: true, back: backMin}
	close(d.ended)
	return d
}

// doubt begins a doubt about a run that began at a time.
func (g *Governor) doubt(v *valve, began time.Time) *Doubt {
	d := &Doubt{began: began, ended: make(chan struct{}), back: backMin}
	if len(v.doubts) == doubtsMax {
		v.doubts[0].end(false)
		v.doubts = slices.Delete(v.doubts, 0, 1)
	}
	v.doubts = append(v.doubts, d)
	d.stop = g.clock.AfterFunc(g.cfg.Doubt, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if i := slices.Index(v.doubts, d); i >= 0 {
			v.doubts = slices.Delete(v.doubts, i, i+1)
			d.end(false)
		}
	})
	return d
}

// decide ends the doubts about runs that began at a time at the latest.
func (v *valve) decide(held bool, latest time.Time) {
	v.doubts = slices.DeleteFunc(v.doubts, func(d *Doubt) bool {
		if !held && d.began.After(latest) {
			return false
		}
		d.stop()
		d.end(held)
		return true
	})
}

func (d *Doubt) end(held bool) {
	d.held = held
	close(d.ended)
}

// Held is an outcome that does not count, because its function is held: it is
// as if it had not run. Its Failure says when the event may come back.
func (d *Doubt) Held(o daruma.Outcome) daruma.Outcome {
	f := daruma.Failure{}
	if o.Failure != nil {
		f = *o.Failure
	}
	f.After = d.back
	f.Kind, f.Message = daruma.KindUnavailable, "the function is held, because most of its events fail: "+f.Message
	o.Kind, o.Failure, o.Payload = daruma.Held, &f, nil
	return o
}
