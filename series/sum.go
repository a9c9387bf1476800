package series

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Sum is what some values amount to. Its zero value is that of no values.
type Sum struct {
	Count, Sum, Min, Max float64
	sketch               []bucket // by index
}

// A bucket counts the values between two powers of growth.
type bucket struct {
	index int32
	count float64
}

// growth is how far a bucket reaches: percentiles are within a hundredth.
const growth = 1.02

var logGrowth = math.Log(growth)

// nothing is the index of values that are not above zero.
const nothing = math.MinInt32

// Of is the sum of one value.
func Of(v float64) Sum { return Many(v, 1) }

// Many is the sum of a value that came n times.
func Many(v, n float64) Sum {
	if n <= 0 {
		return Sum{}
	}
	return Sum{n, v * n, v, v, []bucket{{indexOf(v), n}}}
}

// Share is the sum of n values of which some are 1 and the others 0.
func Share(some, n float64) Sum {
	s := Many(1, some)
	s.Add(Many(0, n-some))
	return s
}

func indexOf(v float64) int32 {
	if v <= 0 {
		return nothing
	}
	return int32(math.Ceil(math.Log(v) / logGrowth))
}

// Add adds the values of another sum.
func (s *Sum) Add(o Sum) {
	switch {
	case o.Count <= 0:
		return
	case s.Count <= 0:
		*s = o.clone()
		return
	}
	s.Count, s.Sum, s.Min, s.Max = s.Count+o.Count, s.Sum+o.Sum, min(s.Min, o.Min), max(s.Max, o.Max)
	for _, b := range o.sketch {
		i, found := slices.BinarySearchFunc(s.sketch, b.index, func(b bucket, index int32) int { return int(int64(b.index) - int64(index)) })
		if found {
			s.sketch[i].count += b.count
		} else {
			s.sketch = slices.Insert(s.sketch, i, b)
		}
	}
}

func (s Sum) clone() Sum {
	s.sketch = slices.Clone(s.sketch)
	return s
}

// Statistic is what a statistic says of the values: "SampleCount", "Sum",
// "Average", "Minimum", "Maximum", or a percentile, "p99.9". It is false when
// there are no values, or no such statistic.
func (s Sum) Statistic(name string) (float64, bool) {
	if s.Count <= 0 {
		return 0, false
	}
	switch name {
	case "SampleCount":
		return s.Count, true
	case "Sum":
		return s.Sum, true
	case "Average":
		return s.Sum / s.Count, true
	case "Minimum":
		return s.Min, true
	case "Maximum":
		return s.Max, true
	}
	p, ok := Percentile(name)
	if !ok {
		return 0, false
	}
	return s.quantile(p / 100), true
}

// Percentile reads the name of a percentile, from "p0" to "p100", with up to ten decimals.
func Percentile(name string) (float64, bool) {
	digits, ok := strings.CutPrefix(name, "p")
	whole, decimals, _ := strings.Cut(digits, ".")
	if !ok || len(whole) == 0 || len(whole) > 3 || len(decimals) > 10 || strings.Trim(whole+decimals, "0123456789") != "" || strings.HasSuffix(digits, ".") {
		return 0, false
	}
	p, err := strconv.ParseFloat(digits, 64)
	return p, err == nil && p <= 100
}

// quantile is the value that a share of the values does not exceed: the middle
// of its bucket, within the extremes.
func (s Sum) quantile(q float64) float64 {
	rank, below := math.Ceil(q*s.Count), 0.0
	if rank <= 1 {
		return s.Min
	}
	for _, b := range s.sketch {
		if below += b.count; below < rank {
			continue
		}
		if b.index == nothing {
			return max(s.Min, 0)
		}
		return min(s.Max, max(s.Min, math.Exp((float64(b.index)-0.5)*logGrowth)))
	}
	return s.Max
}
