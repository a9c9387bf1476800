package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/experiment/conduct"
)

// A plot is drawn in a box of its own units that is stretched to the width there is. What is
// written stands over it, in shares of the box, so that it can be read on any screen.
const (
	plotWidth  = 1000
	plotHeight = 100
)

// A plot is one series with its band, the time in which something was broken, and what the platform did.
type plot struct {
	Probes         []string
	Line, Latest   string
	Width, Height  int
	Flat           bool   // it never changed and was well: little room is enough
	Bands          []span // of the tolerance, in the phases in which the probe is judged
	Broken         []span
	Marks          []mark
	YTicks, XTicks []tick
	Phases         []tick
}

type span struct {
	X, Y, W, H float64
	Text       string
}

// A mark is a failure or a repair.
type mark struct {
	Left            float64 // of a hundred
	ID, Text, Class string
	Label           bool // there is room for its ID
}

// A tick is a text at a place, in hundredths of the box.
type tick struct {
	At          float64
	Text, Class string
}

// alike groups series that went alike: one plot shows them all, each with the band of its own phases.
func alike(all []conduct.Series) (groups [][]conduct.Series) {
	for _, s := range all {
		i := slices.IndexFunc(groups, func(g []conduct.Series) bool {
			return g[0].Unit == s.Unit && slices.Equal(g[0].Points, s.Points)
		})
		if i < 0 {
			groups = append(groups, []conduct.Series{s})
			continue
		}
		groups[i] = append(groups[i], s)
	}
	return groups
}

// plotOf draws series that went alike.
func plotOf(r *conduct.Result, list []conduct.Series) plot {
	s := list[0]
	p := plot{Width: plotWidth, Height: plotHeight, Flat: true}
	end := math.Max(r.Ended.Sub(r.Started).Seconds(), 0.1)
	top := 0.0
	for _, pt := range s.Points {
		top = math.Max(top, pt.Value)
		p.Flat = p.Flat && pt.Value == s.Points[0].Value
	}
	for _, one := range list {
		p.Probes = append(p.Probes, one.Probe)
		p.Flat = p.Flat && !slices.ContainsFunc(r.Judged, func(j conduct.Judgement) bool { return j.Probe == one.Probe && j.Outcome != conduct.Held })
	}
	for _, one := range list {
		if one.High != nil && *one.High < 1e12 && !p.Flat {
			top = math.Max(top, *one.High)
		}
	}
	top = nice(top)
	x := func(at float64) float64 { return round(at / end * plotWidth) }
	y := func(v float64) float64 { return round((1 - math.Max(0, math.Min(1, v/top))) * plotHeight) }
	var line strings.Builder
	for i, pt := range s.Points {
		if i > 0 {
			line.WriteByte(' ')
		}
		fmt.Fprintf(&line, "%g,%g", x(pt.At), y(pt.Value))
		p.Latest = number(pt.Value) + s.Unit
	}
	p.Line = line.String()
	for _, f := range r.Faults {
		p.Broken = append(p.Broken, span{x(f.From), 0, math.Max(round(x(f.To)-x(f.From)), 1), plotHeight, f.ID + ": " + f.Text})
	}
	for _, k := range r.Kills {
		p.Broken = append(p.Broken, span{x(k.From), 0, math.Max(round(x(k.To)-x(k.From)), 1), plotHeight, k.Name + ": the platform is down"})
	}
	p.Marks = marksOf(r, end)
	for i := range 3 {
		if v := top * float64(i) / 2; !p.Flat || i == 0 {
			p.YTicks = append(p.YTicks, tick{At: y(v), Text: number(v) + s.Unit})
		}
	}
	if p.Flat && len(s.Points) > 0 {
		p.YTicks = []tick{{At: y(s.Points[0].Value), Text: p.Latest}}
	}
	for step, i := nice(end/6), 0; float64(i)*step <= end; i++ {
		at := float64(i) * step
		p.XTicks = append(p.XTicks, tick{At: round(at / end * 100), Text: number(math.Round(at*100)/100) + "s"})
	}
	p.phases(r, list, x, y)
	return p
}

// phases names the phases, and draws the bands of what is tolerated in those in which the probes are judged.
func (p *plot) phases(r *conduct.Result, list []conduct.Series, x, y func(float64) float64) {
	const room = 11.0 // of a hundred, for a name
	for i, ph := range r.Phases {
		name := tick{At: round(x(ph.From) / 10), Text: string(ph.Phase)}
		for _, s := range list {
			at := slices.IndexFunc(r.Judged, func(j conduct.Judgement) bool { return j.Probe == s.Probe && j.Phase == ph.Phase })
			if at < 0 {
				continue
			}
			j := r.Judged[at]
			if j.Outcome != conduct.Held {
				name.Text, name.Class = string(ph.Phase)+": "+strings.ToLower(words[j.Outcome]), classes[j.Outcome]
			}
			if s.Low != nil && s.High != nil {
				low, high := y(*s.Low), y(*s.High)
				height := math.Max(round(low-high), 3)
				p.Bands = append(p.Bands, span{x(ph.From), math.Min(high, plotHeight-height), math.Max(round(x(ph.To)-x(ph.From)), 1), height, "tolerated: " + j.Tolerance})
			}
		}
		p.Phases = append(p.Phases, name)
		if i+1 < len(r.Phases) && ph.Phase == experiment.During && (x(r.Phases[i+1].From)-x(ph.To))/10 > room {
			p.Phases = append(p.Phases, tick{At: round(x(ph.To) / 10), Text: "settling"})
		}
	}
}

// marksOf places what the platform did since something was broken.
func marksOf(r *conduct.Result, end float64) []mark {
	const (
		apart = 0.5 // of a hundred: nearer ones cannot be told apart
		room  = 9.0 // of a hundred, for an ID on a small screen
		most  = 100
	)
	if r.Broke.IsZero() {
		return nil
	}
	var all []mark
	last, labelled := -room, -room
	for _, h := range r.Happened {
		left := round(h.Since / end * 100)
		if h.At.Before(r.Broke) || left > 100 || left-last < apart {
			continue
		}
		last = left
		m := mark{Left: left, ID: h.ID, Text: strings.TrimPrefix(h.ID+" "+h.Function, " ") + ": " + clip(h.Text, 120), Class: "failure"}
		if h.Repair {
			m.Class = "repair"
		}
		if left-labelled >= room && left < 100-room/2 {
			m.Label, labelled = true, left
		}
		all = append(all, m)
		if len(all) == most {
			break
		}
	}
	return all
}

func round(f float64) float64 { return math.Round(f*10) / 10 }

// nice is the next larger number that reads well.
func nice(f float64) float64 {
	if f <= 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(f)))
	for _, k := range []float64{1, 2, 2.5, 5, 10} {
		if f <= k*unit {
			return k * unit
		}
	}
	return 10 * unit
}
