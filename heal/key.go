package heal

import (
	"iter"
	"strings"
	"time"
	"unicode"

	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

// keysMax is how many keys of one function are known. Idle ones are forgotten, that
// which was used longest ago first.
const keysMax = 1000

// UnitOf returns what an event belongs to: its function, or one key of that, if
// the function declares where the key is and the event has one. keyed says whether
// the function does: then each of its runs needs a permit of [Governor.Admit]. To
// a nil governor no function does.
func (g *Governor) UnitOf(function string, event func() []byte) (u hold.Unit, keyed bool) {
	u.Function = function
	path := g.dependency(function)
	if path == "" {
		return u, false
	}
	if keys := ledger.Keys(event(), nil, []string{path}); len(keys) > 0 {
		u.Key = strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return unicode.ReplacementChar // people read it in a terminal
		}, keys[0])
	}
	return u, true
}

// Keyed says whether a function declares where its events have a key.
func (g *Governor) Keyed(function string) bool { return g.dependency(function) != "" }

// dependency is where events of a function say what they depend on; "" nowhere.
func (g *Governor) dependency(function string) string {
	if g == nil || g.cfg.Strict || g.cfg.Dependency == nil {
		return ""
	}
	return g.cfg.Dependency(function)
}

// known returns the valve of a unit, which is the function's own when there are
// too many keys and none of them is idle.
func (g *Governor) known(u hold.Unit, now time.Time) *valve {
	f := g.valve(u.Function)
	if u.Key == "" {
		return f
	}
	v := f.keys[u.Key]
	if v == nil {
		if len(f.keys) >= keysMax && !g.forget(f) {
			return f
		}
		v = g.addKey(f, u.Key)
	}
	v.used = now
	return v
}

// addKey makes the valve of a key.
func (g *Governor) addKey(f *valve, key string) *valve {
	v := g.newValve(hold.Unit{Function: f.Function, Key: key})
	v.of, v.breaker.ofKey = f, true
	if f.keys == nil {
		f.keys = map[string]*valve{}
	}
	f.keys[key] = v
	delete(g.gone, v.Unit)
	return v
}

// forget forgets the idle key that was used longest ago, if there is one.
func (g *Governor) forget(f *valve) bool {
	var oldest *valve
	for _, v := range f.keys {
		if v.idle() && (oldest == nil || v.used.Before(oldest.used)) {
			oldest = v
		}
	}
	if oldest != nil {
		g.drop(oldest)
	}
	return oldest != nil
}

// drop forgets a key. What is kept of it is forgotten later.
func (g *Governor) drop(v *valve) {
	delete(v.of.keys, v.Key)
	if v.kept > 0 {
		g.gone[v.Unit] = true
	}
}

// find returns the valve of a unit that has runs under way.
func (g *Governor) find(u hold.Unit) *valve {
	f := g.valve(u.Function)
	if v := f.keys[u.Key]; v != nil {
		return v
	}
	return f
}

// idle says whether there is nothing to know of a key but its limit.
func (v *valve) idle() bool {
	return v.out == 0 && v.force == hold.Auto && v.breaker.State() == Closed && len(v.doubts) == 0 && !v.writing
}

// function returns the valve of the function that v is of: v itself, or that of its key.
func (v *valve) function() *valve {
	if v.of != nil {
		return v.of
	}
	return v
}

// all yields v and, when it is a function's, those of its keys.
func (v *valve) all() iter.Seq[*valve] {
	return func(yield func(*valve) bool) {
		if !yield(v) {
			return
		}
		for _, k := range v.keys {
			if !yield(k) {
				return
			}
		}
	}
}

// and yields v, and the function's when it is that of a key.
func (v *valve) and() iter.Seq[*valve] {
	return func(yield func(*valve) bool) {
		_ = yield(v) && v.of != nil && yield(v.of)
	}
}

// own is how many runs of the unit itself are under way: of a function, those without a key.
func (v *valve) own() int { return v.out - v.keyed }

// forced is what a person wants of a unit: the nearer counts, but that a function
// which is held is held with all its keys.
func (v *valve) forced() hold.Force {
	if f := v.function().force; v.force == hold.Auto || f == hold.Open {
		return f
	}
	return v.force
}

// told has the breaker of a function know of a run with a key. The key is the
// event there: one that fails again and again is poison, and when most keys do,
// the function is held as a whole. It returns why that is due.
func (v *valve) told(now time.Time, a Attempt, good, failed bool) (why string) {
	f := v.of
	if f == nil || f.force != hold.Auto {
		return ""
	}
	switch {
	case good:
		f.breaker.Saw(now, v.Key, true)
		f.decide(now, false, a.Began)
	case failed && v.breaker.State() != Closed && f.worked.After(v.since) && f.breaker.Blame(now, v.Key):
		// others went well since it is held: that it goes on says nothing of them
	case failed:
		if why = f.breaker.Saw(now, v.Key, false); f.breaker.most(now) {
			return why
		}
	}
	return ""
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
