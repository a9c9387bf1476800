package series

import (
	"testing"
	"time"
)

func TestAPeriodIsKeptAsOneSum(t *testing.T) {
	s, k := New(), Key{Name: "a"}
	for i := range 18 {
		s.Add(time.Unix(int64(i+1)*10, 0), k, Of(1))
	}
	for i, want := range []int{18, 3, 1} {
		if got := len(s.lines[k].kept[i]); got != want {
			t.Errorf("by %v: %d sums are kept, want %d", tiers[i].step, got, want)
		}
	}
}
