package series_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/daruma-io/daruma/series"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestWhatWasCountedIsTheSumOfItsPeriod(t *testing.T) {
	s, k := series.New(), series.Key{Of: "function", Name: "F", Measure: "errors"}
	for i := range 18 { // three minutes, of which the second is silent
		if end := noon.Add(time.Duration(i+1) * series.Step); i < 6 || i >= 12 {
			s.Add(end, k, series.Share(1, 4))
		}
	}
	for _, c := range []struct {
		period time.Duration
		end    time.Duration
		n      int
		counts []float64
	}{
		{time.Minute, 3 * time.Minute, 4, []float64{0, 24, 0, 24}},
		{2 * time.Minute, 3 * time.Minute, 1, []float64{24}},
		{3 * time.Minute, 3 * time.Minute, 1, []float64{48}},
		{10 * time.Second, time.Minute, 2, []float64{4, 4}},
		{30 * time.Second, 80 * time.Second, 3, []float64{8, 12, 4}}, // it slides by the step
	} {
		var got []float64
		for _, sum := range s.Periods(k, noon.Add(c.end), c.period, c.n) {
			got = append(got, sum.Count)
			if sum.Count > 0 && (sum.Sum != sum.Count/4 || sum.Min != 0 || sum.Max != 1) {
				t.Errorf("%v: got %+v", c.period, sum)
			}
		}
		if !slices.Equal(got, c.counts) {
			t.Errorf("%v to %v: got %v, want %v", c.period, c.end, got, c.counts)
		}
	}
	if got := s.Periods(series.Key{Name: "another"}, noon, time.Minute, 2); len(got) != 2 || got[0].Count != 0 {
		t.Errorf("of what was never counted: %v", got)
	}
}

func TestPercentilesAreWithinAHundredthAndExtremesAreExact(t *testing.T) {
	var s series.Sum
	for i := 1; i <= 10_000; i++ {
		s.Add(series.Of(float64(i) / 7))
	}
	for name, want := range map[string]float64{"p50": 5000.0 / 7, "p99": 9900.0 / 7, "p99.9": 9990.0 / 7, "p100": 10_000.0 / 7, "p0": 1.0 / 7, "Minimum": 1.0 / 7, "Maximum": 10_000.0 / 7, "SampleCount": 10_000, "Average": 10_001.0 / 14} {
		if got, ok := s.Statistic(name); !ok || math.Abs(got-want) > want/100 {
			t.Errorf("%s: got %v, %v; want %v", name, got, ok, want)
		}
	}
	if got, _ := series.Of(2950.5).Statistic("p99"); got != 2950.5 {
		t.Errorf("of one value: got %v", got)
	}
	if got, _ := series.Share(1, 4).Statistic("p50"); got != 0 {
		t.Errorf("of three zeros and a one: got %v", got)
	}
	if _, ok := (series.Sum{}).Statistic("Sum"); ok {
		t.Error("no values have a sum")
	}
	for _, name := range []string{"p", "p101", "p-1", "p1e1", "p9.", "tm99", "p1.12345678901", "Median"} {
		if _, ok := s.Statistic(name); ok {
			t.Errorf("%s is a statistic", name)
		}
	}
}

func TestWhatIsOldIsForgottenUnlessItIsKeptForLonger(t *testing.T) {
	s := series.New()
	short, long := series.Key{Name: "short"}, series.Key{Name: "long"}
	s.Keep(map[series.Key]bool{long: true})
	const days = 4
	for i := range days * 24 * 6 {
		for _, k := range []series.Key{short, long} {
			s.Add(noon.Add(time.Duration(i)*10*time.Minute+series.Step), k, series.Of(1))
		}
		if i%60 == 0 {
			s.Forget(noon.Add(time.Duration(i) * 10 * time.Minute))
		}
	}
	end := noon.Add(days * 24 * time.Hour)
	s.Forget(end)
	count := func(k series.Key, period time.Duration, n int) (c float64) {
		for _, sum := range s.Periods(k, end, period, n) {
			c += sum.Count
		}
		return c
	}
	for _, c := range []struct {
		k      series.Key
		period time.Duration
		n      int
		want   float64
	}{{short, time.Minute, 4 * 60, 18}, {long, time.Minute, 30 * 60, 26 * 6}, {short, series.Step, 6 * 60 * 5, 0}, {long, series.Step, 6 * 60 * 5, 18}, {long, time.Hour, 24 * days, 24 * days * 6}, {short, time.Hour, 24 * days, 24 * 6}} {
		if got := count(c.k, c.period, c.n); got != c.want {
			t.Errorf("%v by %v: got %v, want %v", c.k, c.period, got, c.want)
		}
	}
	s.Keep(nil)
	s.Forget(end.Add(24 * time.Hour))
	if got := s.Keys(end.Add(24*time.Hour), 48*time.Hour); len(got) != 0 {
		t.Errorf("there still are %v", got)
	}
}

func TestThereAreOnlySoManySeries(t *testing.T) {
	s := series.New()
	kept := series.Key{Name: "kept"}
	s.Keep(map[series.Key]bool{kept: true})
	for i := range series.KeysMax + 3 {
		s.Add(noon, series.Key{Name: string(rune(i))}, series.Of(1))
	}
	s.Add(noon, kept, series.Of(1))
	if got := len(s.Keys(noon, time.Hour)); got != series.KeysMax+1 || s.Dropped() != 3 {
		t.Errorf("there are %d, and %d were dropped", got, s.Dropped())
	}
}
