package daruma_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
)

// life is one run of a process on a clock: how fast, and what it waits for.
type life struct {
	Scale int
	Waits []time.Duration
}

var lives = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) life {
	return life{rapid.IntRange(1, daruma.TimeScaleMax).Draw(t, "scale"), rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "wait"))
	}), 1, 5).Draw(t, "waits")}
}), 1, 6)

// TestScaledTimeNeverGoesBack has one state looked after by one process after
// another, each at its own pace, with machines that were off in between.
func TestScaledTimeNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := lives.Draw(rt, "lives")
		off := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "off"))
		synctest.Test(t, func(t *testing.T) {
			var last time.Time // of the last command, as the cell knows it
			for i, l := range all {
				c := daruma.NewScaledClock(l.Scale)
				c.GoOnFrom(last)
				for _, d := range l.Waits {
					before, machine := c.Now(), time.Now()
					if before.Before(last) {
						t.Errorf("life %d, %d times as fast: got %v after %v", i, l.Scale, before, last)
					}
					if before.Before(machine.Round(0)) {
						t.Errorf("life %d: got %v, behind the machine's %v", i, before, machine)
					}
					if err := c.Sleep(t.Context(), d); err != nil {
						t.Error(err)
					}
					passed, real := c.Now().Sub(before), time.Since(machine)
					if passed < d || passed >= d+time.Duration(l.Scale) {
						t.Errorf("life %d, %d times as fast: a wait of %v took %v of its time", i, l.Scale, d, passed)
					}
					if want := (d + time.Duration(l.Scale) - 1) / time.Duration(l.Scale); real != want {
						t.Errorf("life %d, %d times as fast: a wait of %v took %v, want %v", i, l.Scale, d, real, want)
					}
					last = c.Now()
				}
				time.Sleep(off)
			}
		})
	})
}

func TestWaitsOfAScaledClockKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scale := rapid.IntRange(1, daruma.TimeScaleMax).Draw(rt, "scale")
		waits := rapid.SliceOfN(rapid.Int64Range(0, int64(6*time.Hour)), 2, 20).Draw(rt, "waits")
		synctest.Test(t, func(t *testing.T) {
			c := daruma.NewScaledClock(scale)
			began := c.Now()
			rung := make(chan time.Duration, len(waits))
			for _, d := range waits {
				due := began.Add(time.Duration(d))
				c.AfterFunc(time.Duration(d), func() {
					if now := c.Now(); now.Before(due) {
						t.Errorf("a timer for %v rang at %v", due, now)
					}
					rung <- time.Duration(d)
				})
			}
			last := time.Duration(0)
			for range waits {
				d := <-rung
				if d < last-time.Duration(scale) { // those that differ by less than one tick ring together
					t.Errorf("a wait of %v ended after one of %v", d, last)
				}
				last = max(last, d)
			}
		})
	})
}

func TestATimerOfAScaledClockCanBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := daruma.NewScaledClock(60)
		stop := c.AfterFunc(time.Hour, func() { t.Error("it rang") })
		if !stop() || stop() {
			t.Error("got a timer that was not stopped, or twice")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Sleep(ctx, time.Hour); err == nil {
			t.Error("got a sleep that did not end with its context")
		}
	})
}

func TestAClockOfScaleOneIsTheMachinesUnlessItIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := daruma.NewScaledClock(1)
		c.GoOnFrom(time.Now().Add(-time.Hour))
		if c.Ahead() != 0 || !c.Now().Equal(time.Now()) {
			t.Errorf("got %v, want the machine's %v", c.Now(), time.Now())
		}
		c.GoOnFrom(time.Now().Add(time.Hour))
		time.Sleep(time.Minute)
		if c.Ahead() != time.Hour {
			t.Errorf("got %v ahead, want an hour", c.Ahead())
		}
	})
}

// TestAClockThatIsHeldGoesAsTheMachinesAndItsTimersAreNeverEarly has timers set
// before and after a clock is let go, and some stopped.
func TestAClockThatIsHeldGoesAsTheMachinesAndItsTimersAreNeverEarly(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scale := rapid.IntRange(1, daruma.TimeScaleMax).Draw(rt, "scale")
		held := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "held"))
		ahead := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "ahead"))
		waits := rapid.SliceOfN(rapid.Int64Range(0, int64(2*time.Hour)), 1, 20).Draw(rt, "waits")
		synctest.Test(t, func(t *testing.T) {
			c := daruma.NewScaledClock(scale)
			c.Hold()
			c.GoOnFrom(time.Now().Add(ahead))
			began, machine := c.Now(), time.Now()
			// at is where the clock should be when the machine has gone on so far.
			at := func(d time.Duration) time.Duration { return min(d, held) + max(0, d-held)*time.Duration(scale) }
			rung := make(chan struct{})
			wait := func(d time.Duration, f func()) { c.AfterFunc(d, f) }
			set := func(waits []int64) {
				for i, d := range waits {
					due := c.Now().Add(time.Duration(d))
					wait(time.Duration(d), func() {
						now, real := c.Now(), time.Since(machine)
						if late := now.Sub(due); late < 0 || late >= time.Duration(scale) {
							t.Errorf("a timer for %v rang at %v", due, now)
						}
						if got, want := now.Sub(began), at(real); got != want {
							t.Errorf("after %v the clock has gone %v, want %v", real, got, want)
						}
						rung <- struct{}{}
					})
					if i%2 == 0 {
						wait = func(d time.Duration, f func()) {
							go func() {
								if err := c.Sleep(context.WithoutCancel(t.Context()), d); err != nil {
									t.Error(err)
								}
								f()
							}()
							synctest.Wait()
						}
					} else {
						wait = func(d time.Duration, f func()) { c.AfterFunc(d, f) }
					}
				}
			}
			stopped := c.AfterFunc(time.Minute, func() {
				if held < time.Minute {
					t.Error("a timer that was stopped rang")
				}
			})
			set(waits)
			go func() {
				time.Sleep(held)
				if held < time.Minute && !stopped() {
					t.Error("a timer could not be stopped")
				}
				c.LetGo()
				set(waits)
				rung <- struct{}{}
			}()
			for range 2*len(waits) + 1 {
				<-rung
			}
		})
	})
}

func TestAScaledClockEndsBeforeItsNumbersDo(t *testing.T) {
	c := daruma.NewScaledClock(daruma.TimeScaleMax)
	if d := c.While(math.MaxInt64); d <= 0 || c.While(time.Minute) != daruma.TimeScaleMax*time.Minute {
		t.Errorf("got %v", d)
	}
	if fast, slow := daruma.NewScaledClock(1<<30), daruma.NewScaledClock(-1); fast.Scale() != daruma.TimeScaleMax || slow.Scale() != 1 {
		t.Errorf("got %d and %d", fast.Scale(), slow.Scale())
	}
}
