package alarm

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Point is what a metric was in one period.
type Point struct {
	At      time.Time // when the period began
	Value   float64
	Samples float64 // values it was made of; 0 says that the period has no data
}

// extra is how many periods beyond those that are judged together are looked at,
// for data that may stand for what is missing.
const extra = 2

// Range is how many periods are looked at.
func (d *Definition) Range() int { return d.Periods + extra }

// toAlarm is how many of the periods have to be beyond the threshold.
func (d *Definition) toAlarm() int {
	if d.ToAlarm == 0 {
		return d.Periods
	}
	return d.ToAlarm
}

// A comparison says when a value is beyond a threshold, and that in words.
type comparison struct {
	beyond func(value, threshold float64) bool
	words  string
}

var comparisons = map[string]comparison{
	"GreaterThanThreshold":          {func(v, t float64) bool { return v > t }, "greater than"},
	"GreaterThanOrEqualToThreshold": {func(v, t float64) bool { return v >= t }, "greater than or equal to"},
	"LessThanThreshold":             {func(v, t float64) bool { return v < t }, "less than"},
	"LessThanOrEqualToThreshold":    {func(v, t float64) bool { return v <= t }, "less than or equal to"},
}

// Comparisons are the names of those there are.
func Comparisons() []string {
	return []string{"GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"}
}

// Judge says in what state an alarm is at a time, by one point for each period
// of its range, oldest first. now is the state it is in, which may have to stay:
// then the reason is "".
//
// As many of the newest periods with data are judged as the definition names.
// Where there are fewer, what is missing is made what the definition says. Data
// that is beyond the threshold, with none that is not, makes an alarm as well
// when the oldest of it lies as far back as many periods would have to be beyond.
func (d *Definition) Judge(points []Point, at time.Time, now State) Situation {
	v := d.look(points)
	state, stays := d.decide(v)
	if d.tooFew(v.judged) {
		stays = true
	}
	if stays {
		return Situation{State: now}
	}
	return Situation{State: state, Reason: d.reason(v, state, now), Data: d.data(v, at), At: at}
}

// A sight is what is seen of the points.
type sight struct {
	judged  []Point // those with data, newest first, as many as are judged
	beyond  int     // of these
	oldest  int     // how many periods back, from 1, the oldest of them that is beyond lies; 0 for none
	missing int     // how many are wanting
}

func (d *Definition) look(points []Point) (v sight) {
	compare := comparisons[d.Comparison].beyond
	for back := 1; back <= len(points) && len(v.judged) < d.Periods; back++ {
		p := points[len(points)-back]
		if p.Samples <= 0 {
			continue
		}
		v.judged = append(v.judged, p)
		if compare(p.Value, d.Threshold) {
			v.beyond++
			v.oldest = back
		}
	}
	v.missing = d.Periods - len(v.judged)
	return v
}

// decide says which state follows from what is seen, or that the state stays.
func (d *Definition) decide(v sight) (s State, stays bool) {
	most := d.toAlarm()
	switch {
	case v.beyond >= most:
		return Alarmed, false
	case v.missing == 0 || d.Missing == AsNotBreaching:
		return OK, false
	case d.Missing == AsBreaching:
		if v.beyond+v.missing >= most {
			return Alarmed, false
		}
		return OK, false
	case v.beyond < len(v.judged): // something is known to be well
		return OK, false
	case d.Missing == AsBefore:
		return "", true
	case v.oldest >= most:
		return Alarmed, false
	}
	return Insufficient, false
}

// tooFew says whether a percentile is of fewer values than make it one.
func (d *Definition) tooFew(judged []Point) bool {
	if d.FewSamples != "ignore" || d.Percentile == "" || len(judged) == 0 {
		return false
	}
	p, _ := strconv.ParseFloat(strings.TrimPrefix(d.Percentile, "p"), 64) // it was checked
	samples := 0.0
	for _, one := range judged {
		samples += one.Samples
	}
	tail := min(p, 100-p) / 100
	return tail > 0 && samples < 10/tail-1e-6
}

// listed bounds the values that a reason names.
const listed = 10

// reason is a state's in words.
func (d *Definition) reason(v sight, state, now State) string {
	if state == Insufficient {
		return fmt.Sprintf("Insufficient Data: %s unknown.", count(v.missing, "datapoint was", "datapoints were"))
	}
	filled := ""
	if as := map[string]string{AsBreaching: "Breaching", AsNotBreaching: "NonBreaching"}[d.Missing]; v.missing > 0 && as != "" {
		filled = fmt.Sprintf("%s treated as [%s]", count(v.missing, "missing datapoint was", "missing datapoints were"), as)
	}
	compare := comparisons[d.Comparison]
	crossed := slices.DeleteFunc(slices.Clone(v.judged), func(p Point) bool { return compare.beyond(p.Value, d.Threshold) != (state == Alarmed) })
	if len(crossed) == 0 {
		return fmt.Sprintf("Threshold Crossed: no datapoints were received for %s and %s.", count(v.missing, "period", "periods"), filled)
	}
	words, least, were := compare.words, d.toAlarm(), "were"
	if state == OK {
		words, least = "not "+words, d.Periods-least+1
	}
	if len(crossed) == 1 {
		were = "was"
	}
	var values []string
	for _, p := range crossed[:min(len(crossed), listed)] {
		values = append(values, fmt.Sprintf("%s (%s)", decimal(p.Value), p.At.UTC().Format("02/01/06 15:04:05")))
	}
	if filled != "" {
		filled = " and " + filled
	}
	if d.ToAlarm == 0 {
		return fmt.Sprintf("Threshold Crossed: %s [%s] %s %s the threshold (%s)%s.", count(len(crossed), "datapoint", "datapoints"), strings.Join(values, ", "), were, words, decimal(d.Threshold), filled)
	}
	return fmt.Sprintf("Threshold Crossed: %d out of the last %d datapoints [%s] %s %s the threshold (%s)%s (minimum %s for %s -> %s transition).",
		len(crossed), d.Periods, strings.Join(values, ", "), were, words, decimal(d.Threshold), filled, count(least, "datapoint", "datapoints"), now, state)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// decimal writes a number with at least one digit behind the point.
func decimal(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") && !math.IsInf(v, 0) && !math.IsNaN(v) {
		s += ".0"
	}
	return s
}

// stamp is how times are written in the data of a reason.
const stamp = "2006-01-02T15:04:05.000-0700"

// data is a reason as JSON.
func (d *Definition) data(v sight, at time.Time) string {
	type evaluated struct {
		Timestamp string   `json:"timestamp"`
		Samples   *float64 `json:"sampleCount,omitempty"`
		Value     *float64 `json:"value,omitempty"`
	}
	out := struct {
		Version   string      `json:"version"`
		Asked     string      `json:"queryDate"`
		Start     string      `json:"startDate,omitempty"`
		Unit      string      `json:"unit,omitempty"`
		Statistic string      `json:"statistic"`
		Period    int64       `json:"period"`
		Recent    []float64   `json:"recentDatapoints"`
		Threshold float64     `json:"threshold"`
		Evaluated []evaluated `json:"evaluatedDatapoints"`
	}{Version: "1.0", Asked: at.UTC().Format(stamp), Unit: d.Unit, Statistic: d.Statistic + d.Percentile, Period: int64(d.Period / time.Second), Recent: []float64{}, Threshold: d.Threshold, Evaluated: []evaluated{}}
	for i := range v.judged[:min(len(v.judged), 2*listed)] {
		p := &v.judged[i]
		out.Recent = append([]float64{p.Value}, out.Recent...)
		out.Evaluated = append(out.Evaluated, evaluated{p.At.UTC().Format(stamp), &p.Samples, &p.Value})
		out.Start = p.At.UTC().Format(stamp)
	}
	text, err := json.Marshal(out)
	if err != nil || len(text) > DataBytesMax { // no number is infinite
		return ""
	}
	return string(text)
}
