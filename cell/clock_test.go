package cell_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// stamps answers each command with its time, and keeps what came due when.
type stamps struct{ rung *[]time.Time }

func (stamps) Name() string { return "stamps" }

func (stamps) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	if cmd.Name == "later" {
		tx.Schedule(tx.Now().Add(time.Minute), []byte("minute"))
	}
	return tx.Now(), nil
}

func (s stamps) Due(tx *cell.Tx, _ []byte, at time.Time) error {
	if late := tx.Now().Sub(at); late < 0 {
		*s.rung = append(*s.rung, time.Time{})
		return nil
	}
	*s.rung = append(*s.rung, tx.Now())
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
			var rung []time.Time
			for i, scale := range scales {
				clock := daruma.NewScaledClock(scale)
				c, err := cell.Open(t.Context(), cell.Config{Journal: &medium, Clock: clock, GoOnFrom: clock.GoOnFrom, CanaryEvery: time.Hour, Machines: []cell.Machine{stamps{&rung}}})
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
					began, before := time.Now(), len(rung)
					if err := clock.Sleep(t.Context(), time.Minute+time.Second); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if len(rung) != before+1 || rung[before].Before(last.Add(time.Minute)) {
						t.Errorf("life %d, %d times as fast: a timer of a minute set at %v rang at %v", i, scale, last, rung[before:])
					}
					if real := time.Since(began); real > (time.Minute+time.Second)/time.Duration(scale)+time.Nanosecond {
						t.Errorf("%d times as fast: a minute took %v", scale, real)
					}
				}
				last = rung[len(rung)-1] // the last command
				if crash[i] {
					medium.Crash()
				}
				_ = c.Close() // of one that crashed: an error
			}
		})
	})
}
