package cell_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// stamps answers each command with its time, and keeps what came due when.
type stamps struct{ *rings }

type rings struct {
	mu   sync.Mutex
	rung []time.Time
}

// after returns what came due after the first n.
func (r *rings) after(n int) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rung[n:])
}

func (stamps) Name() string { return "stamps" }

func (stamps) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	if cmd.Name == "later" {
		tx.Schedule(tx.Now().Add(time.Minute), []byte("minute"))
	}
	return tx.Now(), nil
}

func (s stamps) Due(tx *cell.Tx, _ []byte, at time.Time) error {
	rung := tx.Now()
	if rung.Before(at) {
		rung = time.Time{} // which the test does not take
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rung = append(s.rung, rung)
	return nil
}

// TestTimeOfACellGoesOnWhateverClockItIsOpenedWith has a cell opened again and
// again at another pace, after good ends and after crashes.
func TestTimeOfACellGoesOnWhateverClockItIsOpenedWith(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scales := rapid.SliceOfN(rapid.SampledFrom([]int{1, 2, 60, daruma.TimeScaleMax}), 2, 6).Draw(rt, "scales")
		crash := rapid.SliceOfN(rapid.Bool(), len(scales), len(scales)).Draw(rt, "crash")
		synctest.Test(t, func(t *testing.T) {
			var medium memory.Medium
			var last time.Time
			all := stamps{new(rings)}
			for i, scale := range scales {
				clock := daruma.NewScaledClock(scale)
				c, err := cell.Open(t.Context(), cell.Config{Journal: &medium, Clock: clock, GoOnFrom: clock.GoOnFrom, CanaryEvery: time.Hour, Machines: []cell.Machine{all}})
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					at, err := c.Do(t.Context(), cell.Command{Machine: "stamps", Name: "later"})
					if err != nil {
						t.Fatal(err)
					}
					if at.(time.Time).Before(last) {
						t.Errorf("life %d, %d times as fast: a command at %v after one at %v", i, scale, at, last)
					}
					last = at.(time.Time)
					began, before := time.Now(), len(all.after(0))
					if err := clock.Sleep(t.Context(), time.Minute+time.Second); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					rung := all.after(before)
					if len(rung) != 1 || rung[0].Before(last.Add(time.Minute)) {
						t.Fatalf("life %d, %d times as fast: a timer of a minute set at %v rang at %v", i, scale, last, rung)
					}
					last = rung[0] // the last command
					if real := time.Since(began); real > (time.Minute+time.Second)/time.Duration(scale)+time.Nanosecond {
						t.Errorf("%d times as fast: a minute took %v", scale, real)
					}
				}
				if crash[i] {
					medium.Crash()
				}
				_ = c.Close() // of one that crashed: an error
			}
		})
	})
}
