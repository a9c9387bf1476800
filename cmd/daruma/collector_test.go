package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestAsMuchIsAllocatedBetweenCollectionsAsIsAllowed(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 400}, {4 << 20, 400}, {12 << 20, 400}, {16 << 20, 300}, {24 << 20, 200}, {48 << 20, 100}, {10 << 30, 100}} {
		if got := collectPercent(c.live); got != c.want {
			t.Errorf("%d MB live: got %d percent, want %d", c.live>>20, got, c.want)
		}
	}
}

func percentNow() int {
	now := debug.SetGCPercent(-1)
	debug.SetGCPercent(now)
	return now
}

func TestThePaceOfCollectionsFollowsWhatIsLive(t *testing.T) {
	before := percentNow()
	t.Cleanup(func() { debug.SetGCPercent(before) })
	paceCollector(world{lookup: func(string) (string, bool) { return "", false }})
	if got := percentNow(); got != collectPercentMax {
		t.Fatalf("got %d percent at the beginning, want %d", got, collectPercentMax)
	}
	live := make([][]byte, 96)
	for i := range live {
		live[i] = make([]byte, 1<<20)
	}
	follows := func(want int, is func(got int) bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
			runtime.GC()
			got := percentNow()
			if is(got) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("got %d percent, want %d", got, want)
			}
		}
	}
	follows(100, func(got int) bool { return got == collectPercentMin })
	runtime.KeepAlive(live) // and not longer
	follows(400, func(got int) bool { return got > collectPercentMin })
}

func TestWhoSetsThePaceOfCollectionsIsLeftAlone(t *testing.T) {
	before := percentNow()
	t.Cleanup(func() { debug.SetGCPercent(before) })
	paceCollector(world{lookup: func(string) (string, bool) { return "50", true }})
	if got := percentNow(); got != before {
		t.Errorf("got %d percent, want %d", got, before)
	}
}
