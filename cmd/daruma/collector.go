package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much a node may allocate between two garbage collections. Go's default
// waits for as much as is live, which in a small heap is so little that a busy
// node collects several times a second: every collection marks all that is
// live again, and slows down who allocates meanwhile.
const (
	collectEveryBytes = 48 << 20 // as long as less is live; as much as is live beyond that, as by default
	collectPercentMin = 100      // Go's default
	collectPercentMax = 400      // so that a node with hardly anything in it stays small
)

// paceCollector has garbage collected less often while little is live, for as
// long as the process lives. Who sets GOGC has decided already, and GOMEMLIMIT
// holds as ever. It must be called once.
func paceCollector(w world) {
	if _, set := w.lookup("GOGC"); set {
		return
	}
	c := &collector{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, percent: collectPercentMin}
	c.set(collectPercentMax)
	c.again()
}

// A collector is the pace of collections: it looks after each of them.
type collector struct {
	live    []metrics.Sample
	percent int
}

// again looks after the next collection: it is the one that finds a mark that
// nobody holds.
func (c *collector) again() {
	type mark struct{ _ [64]byte } // of its own, not one of several in a block
	runtime.AddCleanup(&mark{}, func(c *collector) {
		metrics.Read(c.live)
		c.set(collectPercent(c.live[0].Value.Uint64()))
		c.again()
	}, c)
}

// set stops the world for a moment, so it leaves what is nearly right.
func (c *collector) set(percent int) {
	if off := percent - c.percent; percent != collectPercentMin && off*off*64 < c.percent*c.percent {
		return
	}
	if percent != c.percent {
		debug.SetGCPercent(percent)
		c.percent = percent
	}
}

// collectPercent is how much may be allocated, in percent of what is live.
func collectPercent(live uint64) int {
	return min(max(collectPercentMin, int(100*collectEveryBytes/max(live, 1))), collectPercentMax)
}
