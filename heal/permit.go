package heal

import (
	"time"

	"github.com/daruma-io/daruma/hold"
)

// What bounds the runs of keys.
const (
	freeShare  = 2 // a key has so many times the places that are free at most: there is one left for the next
	probeShare = 4 // probes of keys take one place in so many at most

	// An event for which there is no room is handed back and looked at again. That
	// costs the machine, so the times are shares of that of a doubt, which is the
	// machine's own: of two seconds it is 50 ms at least, on the next full 100 ms,
	// and one in two milliseconds of all keys whose events wait in great numbers.
	backLeast = 40
	backGrid  = 20
	backEach  = 1000
	backLook  = 5 * time.Second // an event is looked at as often at least, unless too many of its key wait
)

// A Permit is the right to one run of a unit, until it has ended. The zero one is none.
type Permit struct {
	hold.Unit
	probe probe
}

// Probe says whether the run is a probe. It is for one event only then: a broken
// one must not speak for others.
func (p Permit) Probe() bool { return p.probe != probeOfNone }

// A probe is what a run tries.
type probe uint8

const (
	probeOfNone probe = iota
	probeOfFunction
	probeOfKey
)

// Begin takes note of a run that begins, of an event without a key, and says
// whether it is a probe.
func (g *Governor) Begin(function string) Permit {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.begin(g.valve(function), g.clock.Now())
}

func (g *Governor) begin(v *valve, now time.Time) Permit {
	p, f := Permit{Unit: v.Unit}, v.function()
	f.out++
	if v != f {
		v.out++
		f.keyed++
	}
	tried := v
	switch {
	case g.cfg.Strict:
		return p
	case f.force == hold.Auto && f.breaker.State() != Closed:
		p.probe, tried = probeOfFunction, f
	case v != f && v.forced() == hold.Auto && v.breaker.State() != Closed:
		p.probe = probeOfKey
		f.probing++
	default:
		return p
	}
	tried.breaker.Probe(now)
	tried.probedAt = now
	g.reaches(tried, "", now)
	return p
}

// leave takes note that a run of v has ended.
func (v *valve) leave(p Permit) {
	f := v.function()
	f.out--
	if v != f {
		v.out--
		f.keyed--
	}
	if p.probe == probeOfKey {
		f.probing--
	}
}

// Admit gives the permit for one more run of a unit, or says after which time to
// ask again. It goes beside what Limits says of the function as a whole.
//
// A key has its own limit and its own breaker. It gets no more than twice the
// places that are free, so that slow ones leave room for others, and probes take
// a quarter of them at most, so that those of what hangs do. While the function
// is held its probe is for all keys, each in turn, and theirs do not count.
func (g *Governor) Admit(u hold.Unit) (Permit, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	v := g.known(u, now)
	if next, ok := g.room(v, now); !ok {
		return Permit{}, g.again(v, next, now)
	}
	return g.begin(v, now), 0
}

// Cancel gives a permit back that was not used. The zero one is none.
func (g *Governor) Cancel(p Permit) {
	if p == (Permit{}) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.find(p.Unit)
	v.leave(p)
	switch p.probe {
	case probeOfFunction:
		v.function().breaker.Probed(g.clock.Now(), "", false, false)
	case probeOfKey:
		v.breaker.Probed(g.clock.Now(), "", false, false)
	}
}

// room says whether one more of a unit may run, and if not, when that changes
// by itself; the zero time: it is not known.
func (g *Governor) room(v *valve, now time.Time) (next time.Time, ok bool) {
	f := v.function()
	if v.forced() == hold.Open {
		return now.Add(backLook), false
	}
	if f.force == hold.Auto && f.breaker.State() != Closed {
		return v.away, !now.Before(v.away)
	}
	all, next := f.brake.allows(g.cfg.Most, now)
	n := min(v.limiter.Limit(), freeShare*(all-f.out))
	if v.forced() == hold.Auto {
		tries, at := v.breaker.Allows(now)
		if free := g.shared(v, now); tries > 0 && !free.IsZero() {
			tries, at = 0, free
		}
		if v.breaker.State() != Closed && f.probing >= max(1, all/probeShare) {
			tries = 0
		}
		if tries < n {
			n, next = tries, at
		}
	}
	return next, v.own() < n
}

// again is after which time there may be room for an event for which there is
// none: not before next, and spread, so that the events of one key, however many
// they are, do not keep whoever hands them out from others.
func (g *Governor) again(v *valve, next, now time.Time) time.Duration {
	at := later(now.Add(g.cfg.Doubt/backLeast), next)
	if last := now.Add(backLook); at.After(last) {
		at = last
	}
	v.back = later(v.back, now).Add(g.cfg.Doubt / backEach * time.Duration(v.function().waiting(now, g.cfg.Doubt/backGrid)))
	if last := now.Add(backMax); v.back.After(last) {
		v.back = last
	}
	at = later(at, v.back)
	return at.Truncate(g.cfg.Doubt / backGrid).Add(g.cfg.Doubt / backGrid).Sub(now)
}

// waiting is how many keys of a function have events that wait in great numbers,
// one at least. It is counted anew after some time.
func (v *valve) waiting(now time.Time, every time.Duration) int {
	if now.Sub(v.counted) >= every {
		v.counted, v.many = now, 0
		for _, k := range v.keys {
			if k.back.Sub(now) > every {
				v.many++
			}
		}
	}
	return max(1, v.many)
}
