package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma/queue"
)

func TestWhatIsInFlightAndTooOldIsNotLookedAtWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create("q", queue.Settings{Keep: time.Minute, Hide: time.Hour})
		const all = 300
		for range all {
			w.send("q", text("m"))
		}
		for left := all; left > 0; {
			left -= len(w.receive("q", all))
		}
		w.clock.Advance(2 * time.Minute)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		for at, n := uint64(0), 0; ; n++ {
			var err error
			if at, err = w.cell.Changed(ctx, "queue", at); err != nil {
				break // nothing happens any more
			}
			if n == 20 {
				t.Error("it is looked at again and again")
				break
			}
		}
	})
}
