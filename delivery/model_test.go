package delivery_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
)

// A model is deliveries as one would write them without a store.
type model struct {
	events map[string]*modelEvent
	done   int
	failed map[string]string // request → condition
}

type modelEvent struct {
	function string
	accepted time.Time
	due      time.Time
	attempts int
	lease    delivery.Held // zero when it waits
	until    time.Time
	old      []delivery.Held
}

var modelPolicies = map[string]struct {
	retries int
	age     time.Duration
}{"A": {2, 6 * time.Hour}, "B": {0, time.Minute}, "C": {1, 100 * time.Second}}

func TestDeliveriesAreWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { checkModel(t, rt) })
}

// checkModel takes random steps, in the store and in the model, and compares.
func checkModel(t *testing.T, rt *rapid.T) {
	w := newWorld(t)
	defer func() { _ = w.cell.Close() }()
	m := &model{events: map[string]*modelEvent{}, failed: map[string]string{}}
	for f, p := range modelPolicies {
		w.configure(f, delivery.Policy{Retries: new(p.retries), Age: p.age})
	}
	n := 0
	rt.Repeat(map[string]func(*rapid.T){
		"accept": func(rt *rapid.T) {
			n++
			e := event(rapid.SampledFrom([]string{"A", "B", "C"}).Draw(rt, "function"))
			e.Request = fmt.Sprint("r", n)
			w.accept(e)
			m.events[e.Request] = &modelEvent{function: e.Target.Function, accepted: w.clock.Now(), due: w.clock.Now()}
		},
		"lease": func(rt *rapid.T) {
			for _, l := range w.lease(rapid.IntRange(1, 5).Draw(rt, "n")) {
				e := m.events[l.Request]
				switch {
				case e == nil || e.lease != (delivery.Held{}):
					rt.Fatalf("%s was leased, and does not wait", l.Request)
				case e.due.After(w.clock.Now()) || w.clock.Now().After(e.accepted.Add(modelPolicies[e.function].age)):
					rt.Fatalf("%s was leased at %v: due %v, accepted %v", l.Request, w.clock.Now(), e.due, e.accepted)
				case l.Attempts != e.attempts:
					rt.Fatalf("%s has %d attempts, want %d", l.Request, l.Attempts, e.attempts)
				}
				e.lease, e.until = l.Held(), l.Until
			}
		},
		"settle": func(rt *rapid.T) {
			id := m.pick(rt, func(e *modelEvent) bool { return e.lease != (delivery.Held{}) })
			v := rapid.SampledFrom([]delivery.Verdict{delivery.Success, delivery.Failure, delivery.Failure, delivery.NotRun, delivery.Unknown, delivery.Reserved, delivery.Never}).Draw(rt, "verdict")
			got, err := w.d.Settle(t.Context(), delivery.Report{Held: m.events[id].lease, Verdict: v, Outcome: "x"}, nil)
			if err != nil {
				rt.Fatal(err)
			}
			m.settle(rt, id, v, got, w.clock.Now())
		},
		"settle an old lease": func(rt *rapid.T) {
			id := m.pick(rt, func(e *modelEvent) bool { return len(e.old) > 0 })
			old := rapid.SampledFrom(m.events[id].old).Draw(rt, "old")
			if _, err := w.d.Settle(t.Context(), delivery.Report{Held: old, Verdict: delivery.Success}, nil); daruma.KindOf(err) != daruma.KindConflict {
				rt.Fatalf("got %v, want a conflict", err)
			}
		},
		"release": func(rt *rapid.T) {
			id := m.pick(rt, func(e *modelEvent) bool { return e.lease != (delivery.Held{}) })
			e := m.events[id]
			if err := w.d.Release(t.Context(), e.lease); err != nil {
				rt.Fatal(err)
			}
			e.back(w.clock.Now())
		},
		"put off": func(rt *rapid.T) {
			id := m.pick(rt, func(e *modelEvent) bool { return e.lease != (delivery.Held{}) })
			e, after := m.events[id], time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(rt, "after"))
			if err := w.d.PutOff(t.Context(), delivery.Off{Held: e.lease, After: after}); err != nil {
				rt.Fatal(err)
			}
			e.back(w.clock.Now().Add(after))
		},
		"wait": func(rt *rapid.T) {
			// Leases last a minute: time goes on only as far as none runs out.
			d := time.Duration(rapid.Int64Range(1, int64(3*time.Minute)).Draw(rt, "time"))
			for _, e := range m.events {
				if e.lease != (delivery.Held{}) {
					d = min(d, e.until.Sub(w.clock.Now())-1)
				}
			}
			if d > 0 {
				w.clock.Advance(d)
			}
		},
		"": func(rt *rapid.T) { m.compare(rt, w) },
	})
}

func (m *model) pick(rt *rapid.T, fit func(*modelEvent) bool) string {
	var ids []string
	for id, e := range m.events {
		if fit(e) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		rt.Skip("there is none")
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(rt, "event")
}

// back puts an event into its line again.
func (e *modelEvent) back(due time.Time) {
	e.old = append(e.old, e.lease)
	e.lease, e.due = delivery.Held{}, due
}

func (m *model) settle(rt *rapid.T, id string, v delivery.Verdict, got delivery.Settled, now time.Time) {
	e := m.events[id]
	p := modelPolicies[e.function]
	end := func(condition string) {
		if got.State != delivery.StateFailed || got.Condition != condition {
			rt.Fatalf("%s after %s: got %+v, want it given up: %s", id, v, got, condition)
		}
		m.failed[id] = condition
		delete(m.events, id)
	}
	switch v {
	case delivery.Success:
		m.done++
		delete(m.events, id)
		return
	case delivery.Reserved:
		end(delivery.ZeroReservedConcurrency)
		return
	case delivery.Never:
		end(delivery.RetriesExhausted)
		return
	case delivery.Failure, delivery.Unknown:
		if e.attempts++; e.attempts > p.retries {
			end(delivery.RetriesExhausted)
			return
		}
	}
	expires := e.accepted.Add(p.age)
	if v == delivery.Failure {
		due := now.Add(time.Duration(e.attempts) * time.Minute)
		if due.After(expires) {
			end(delivery.EventAgeExceeded)
			return
		}
		if got.State != delivery.StateWaiting || !got.Due.Equal(due) {
			rt.Fatalf("%s: got %+v, want it due %v", id, got, due)
		}
		e.back(due)
		return
	}
	if got.State == delivery.StateFailed { // the pause was drawn
		if expires.Sub(now) >= 5*time.Minute {
			rt.Fatalf("%s: got %+v, %v before it is too old", id, got, expires.Sub(now))
		}
		end(delivery.EventAgeExceeded)
		return
	}
	if got.Due.After(expires) || !got.Due.After(now) || got.Due.Sub(now) > 5*time.Minute {
		rt.Fatalf("%s: got %+v at %v", id, got, now)
	}
	e.back(got.Due)
}

// compare holds the store's account and ledger against the model.
func (m *model) compare(rt *rapid.T, w *world) {
	all, _, err := w.d.Accounts(w.t.Context())
	if err != nil {
		rt.Fatal(err)
	}
	p, err := w.l.Find(w.t.Context(), ledger.Query{Max: ledger.PageMax})
	if err != nil {
		rt.Fatal(err)
	}
	for _, f := range p.Failures {
		if _, known := m.failed[f.Request]; known {
			continue
		}
		// Given up on the way of a lease, for its age.
		e := m.events[f.Request]
		if e == nil || f.Condition != delivery.EventAgeExceeded || !w.clock.Now().After(e.accepted.Add(modelPolicies[e.function].age)) {
			rt.Fatalf("%+v is in the ledger, the model has %+v", f, e)
		}
		m.failed[f.Request] = f.Condition
		delete(m.events, f.Request)
	}
	leased := 0
	for _, e := range m.events {
		if e.lease != (delivery.Held{}) {
			leased++
		}
	}
	if !all.Closes() || int(all.Done) != m.done || int(all.Failed) != len(m.failed) || len(p.Failures) != len(m.failed) || int(all.Leased) != leased || int(all.Waiting) != len(m.events)-leased {
		rt.Fatalf("got %+v and %d in the ledger, the model has %d done, %d failed, %d leased of %d", all, len(p.Failures), m.done, len(m.failed), leased, len(m.events))
	}
}
