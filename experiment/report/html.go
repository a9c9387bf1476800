package report

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/daruma-io/daruma/experiment/conduct"
)

// A page is what the HTML template shows.
type page struct {
	Title string
	Made  string
	Held  int
	Not   int
	Open  int
	Runs  []pageRun
}

type pageRun struct {
	*conduct.Result
	ID       string
	Word     string
	Class    string
	Took     string
	Rows     []pageRow
	Plots    []plot
	Account  string
	Times    string
	Compared []string
	Why      string
}

type pageRow struct{ Phase, Probe, Value, Tolerance, Word, Class, Why string }

var classes = map[conduct.Outcome]string{conduct.Held: "held", conduct.Deviated: "deviated", conduct.Unknown: "unknown"}

// HTML writes one page that needs nothing but itself: no script, no font, no picture from elsewhere.
func HTML(w io.Writer, title string, pairs []Pair, now time.Time) error {
	p := page{Title: title, Made: now.Format("2006-01-02 15:04 MST")}
	for i, pair := range pairs {
		r := pair.Now
		switch r.Outcome {
		case conduct.Held:
			p.Held++
		case conduct.Deviated:
			p.Not++
		default:
			p.Open++
		}
		one := pageRun{Result: r, ID: fmt.Sprintf("e%d", i+1), Word: strings.ToLower(words[r.Outcome]), Class: classes[r.Outcome], Took: r.Ended.Sub(r.Started).Round(100 * time.Millisecond).String(), Times: timesText(r), Compared: Compare(pair)}
		if len(r.Reasons) > 0 {
			one.Why = r.Reasons[0]
		}
		if r.Account.Accepted > 0 {
			one.Account = accountText(r.Account)
		}
		for _, j := range r.Judged {
			one.Rows = append(one.Rows, pageRow{string(j.Phase), j.Probe, value(j), j.Tolerance, strings.ToLower(words[j.Outcome]), classes[j.Outcome], j.Why})
		}
		for _, s := range r.Series {
			one.Plots = append(one.Plots, plotOf(r, s))
		}
		p.Runs = append(p.Runs, one)
	}
	return pageTemplate.Execute(w, p)
}

// Sizes of a plot, in its own units.
const (
	plotWidth  = 760
	plotHeight = 190
	plotLeft   = 64
	plotRight  = 12
	plotTop    = 26
	plotBottom = 26
)

// A plot is one series with its band, the time in which something was broken, and what the platform did.
type plot struct {
	Probe, Line, Latest string
	Width, Height       int
	Left, Right         int
	Top, Bottom         int
	Band                *span // of the tolerance
	Broken              []span
	Marks               []mark
	YTicks, XTicks      []tick
	Phases              []tick
}

type span struct {
	X, Y, W, H float64
	Text       string
}
type mark struct {
	X           float64
	Text, Class string
}
type tick struct {
	At   float64
	Text string
}

func plotOf(r *conduct.Result, s conduct.Series) plot {
	p := plot{Probe: s.Probe, Width: plotWidth, Height: plotHeight, Left: plotLeft, Right: plotWidth - plotRight, Top: plotTop, Bottom: plotHeight - plotBottom}
	end := math.Max(r.Ended.Sub(r.Started).Seconds(), 0.1)
	top := 0.0
	for _, pt := range s.Points {
		top = math.Max(top, pt.Value)
	}
	if s.High != nil && *s.High < 1e12 {
		top = math.Max(top, *s.High)
	}
	top = nice(top)
	x := func(at float64) float64 { return round(plotLeft + at/end*float64(plotWidth-plotLeft-plotRight)) }
	y := func(v float64) float64 {
		return round(float64(plotHeight-plotBottom) - math.Max(0, math.Min(1, v/top))*float64(plotHeight-plotTop-plotBottom))
	}
	var line strings.Builder
	for i, pt := range s.Points {
		if i > 0 {
			line.WriteByte(' ')
		}
		fmt.Fprintf(&line, "%g,%g", x(pt.At), y(pt.Value))
		p.Latest = number(pt.Value) + s.Unit
	}
	p.Line = line.String()
	if s.Low != nil && s.High != nil {
		low, high := y(*s.Low), y(*s.High)
		p.Band = &span{plotLeft, high, plotWidth - plotLeft - plotRight, math.Max(low-high, 2), "tolerated"}
	}
	for _, f := range r.Faults {
		p.Broken = append(p.Broken, span{x(f.From), plotTop, math.Max(x(f.To)-x(f.From), 1), plotHeight - plotTop - plotBottom, f.ID + ": " + f.Text})
	}
	p.Marks = marksOf(r, x, end)
	for i := range 3 {
		v := top * float64(i) / 2
		p.YTicks = append(p.YTicks, tick{y(v), number(v) + s.Unit})
	}
	for i := range 5 {
		at := end * float64(i) / 4
		p.XTicks = append(p.XTicks, tick{x(at), number(math.Round(at*10)/10) + "s"})
	}
	for _, ph := range r.Phases {
		p.Phases = append(p.Phases, tick{x(ph.From), string(ph.Phase)})
	}
	return p
}

// marksOf places what the platform did by the time that had passed of the app's clock since the fault began.
func marksOf(r *conduct.Result, x func(float64) float64, end float64) []mark {
	var all []mark
	var began time.Time
	from := 0.0
	for _, f := range r.Faults {
		if began.IsZero() || f.Started.Before(began) {
			began, from = f.Started, f.From
		}
	}
	if began.IsZero() {
		return nil
	}
	last := -10.0
	for _, h := range r.Happened {
		at := from + h.At.Sub(began).Seconds()/float64(max(1, r.Scale))
		if at < from || at > end || x(at)-last < 4 {
			continue
		}
		last = x(at)
		class := "failure"
		if h.Repair {
			class = "repair"
		}
		all = append(all, mark{last, h.ID + " " + h.Function + ": " + clip(h.Text, 120), class})
		if len(all) == 100 {
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

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{.Title}}</title>
<style>
:root{--ink:#1d2430;--dim:#5b6675;--line:#d9dee6;--bg:#fbfbfc;--held:#1a7f4b;--deviated:#c0322b;--unknown:#9a6700;--card:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--dim:#9aa5b4;--line:#333c49;--bg:#12161c;--held:#4cc38a;--deviated:#ff7b72;--unknown:#e3b341;--card:#1a2028}}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:0 0 .25rem}h3{font-size:.95rem;margin:1.25rem 0 .5rem}
.dim{color:var(--dim)}.held{color:var(--held)}.deviated{color:var(--deviated)}.unknown{color:var(--unknown)}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1.25rem;margin:1.25rem 0;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--dim)}.word{font-weight:700;white-space:nowrap}a{color:inherit}
svg{display:block;width:100%;height:auto;margin:.25rem 0 1rem}
svg text{font:11px system-ui,sans-serif;fill:var(--dim)}.axis{stroke:var(--line)}.value{fill:none;stroke:#2f6fde;stroke-width:1.8;stroke-linejoin:round}
.band{fill:var(--held);opacity:.13}.broken{fill:var(--deviated);opacity:.12}.edge{stroke:var(--line);stroke-dasharray:3 3}
.failure{fill:var(--deviated)}.repair{fill:var(--held)}ol{padding-left:1.2rem;margin:.25rem 0}code{font-size:.85em}
.key{display:inline-block;width:.9em;height:.9em;vertical-align:-.1em;margin:0 .3em 0 .9em;border-radius:2px}
</style></head><body><main>
<h1>{{.Title}}</h1>
<p class="dim">{{.Made}} · <span class="held">{{.Held}} held</span> · <span class="deviated">{{.Not}} deviated</span> · <span class="unknown">{{.Open}} not judged</span></p>
<table><thead><tr><th>Verdict</th><th>Experiment</th><th>Why</th></tr></thead><tbody>
{{range .Runs}}<tr><td class="word {{.Class}}">{{.Word}}</td><td><a href="#{{.ID}}">{{.Title}}{{with .Label}} ({{.}}){{end}}</a></td><td>{{.Why}}</td></tr>
{{end}}</tbody></table>
{{range .Runs}}<section id="{{.ID}}">
<h2>{{.Title}}{{with .Label}} ({{.}}){{end}} <span class="word {{.Class}}">{{.Word}}</span></h2>
{{with .Hypothesis}}<p>{{.}}</p>{{end}}
<p class="dim"><code>{{.File}}</code> · took {{.Took}} · seed {{.Seed}}{{if gt .Scale 1}} · clock {{.Scale}} times as fast{{end}}</p>
{{if .Chain}}<h3>What led to what</h3><ol>{{range .Chain}}<li>{{.}}</li>{{end}}</ol>{{end}}
<h3>Steady state</h3>
<table><thead><tr><th></th><th>Phase</th><th>Probe</th><th>Value</th><th>Tolerated</th></tr></thead><tbody>
{{range .Rows}}<tr><td class="word {{.Class}}">{{.Word}}</td><td>{{.Phase}}</td><td>{{.Probe}}{{with .Why}}<br><span class="dim">{{.}}</span>{{end}}</td><td>{{.Value}}</td><td>{{.Tolerance}}</td></tr>
{{end}}</tbody></table>
{{if .Plots}}<h3>Over the run</h3>
<p class="dim"><span class="key" style="background:#2f6fde"></span>value<span class="key" style="background:var(--held);opacity:.3"></span>tolerated<span class="key" style="background:var(--deviated);opacity:.3"></span>broken on purpose<span class="key" style="background:var(--deviated)"></span>failure kept<span class="key" style="background:var(--held)"></span>repair</p>
{{range .Plots}}{{$p := .}}<svg viewBox="0 0 {{.Width}} {{.Height}}" role="img" aria-label="{{.Probe}} over the run; {{.Latest}} at the end">
<text x="{{.Left}}" y="14">{{.Probe}}</text><text x="{{.Right}}" y="14" text-anchor="end">{{.Latest}} at the end</text>
{{range .Broken}}<rect class="broken" x="{{.X}}" y="{{.Y}}" width="{{.W}}" height="{{.H}}"><title>{{.Text}}</title></rect>{{end}}
{{with .Band}}<rect class="band" x="{{.X}}" y="{{.Y}}" width="{{.W}}" height="{{.H}}"><title>{{.Text}}</title></rect>{{end}}
{{range .YTicks}}<line class="axis" x1="{{$p.Left}}" x2="{{$p.Right}}" y1="{{.At}}" y2="{{.At}}"/><text x="{{$p.Left}}" dx="-6" y="{{.At}}" dy="4" text-anchor="end">{{.Text}}</text>{{end}}
{{range .XTicks}}<text x="{{.At}}" y="{{$p.Height}}" dy="-8" text-anchor="middle">{{.Text}}</text>{{end}}
{{range .Phases}}<line class="edge" x1="{{.At}}" x2="{{.At}}" y1="{{$p.Top}}" y2="{{$p.Bottom}}"/><text x="{{.At}}" dx="4" y="{{$p.Top}}" dy="10">{{.Text}}</text>{{end}}
<polyline class="value" points="{{.Line}}"/>
{{range .Marks}}<circle class="{{.Class}}" cx="{{.X}}" cy="{{$p.Bottom}}" r="4"><title>{{.Text}}</title></circle>{{end}}
</svg>{{end}}{{end}}
{{if .Loads}}<h3>Load</h3><table><thead><tr><th>Load</th><th>Phase</th><th>Requests</th><th>Not well</th><th>p50</th><th>p99</th></tr></thead><tbody>
{{range .Loads}}{{$l := .}}{{range .Phases}}<tr><td>{{$l.Name}} → {{$l.Target}}, {{$l.Rate}}/s</td><td>{{.Phase}}</td><td>{{.Requests}}</td><td>{{.Errors}}</td><td>{{printf "%.1f" .P50}} ms</td><td>{{printf "%.1f" .P99}} ms</td></tr>{{end}}{{end}}</tbody></table>{{end}}
{{if or .Account .Times .Scaled .Compared .Warnings}}<h3>Account</h3><ul>
{{with .Account}}<li>{{.}}</li>{{end}}{{with .Times}}<li>{{.}}</li>{{end}}{{range .Scaled}}<li>Scaled: {{.}}</li>{{end}}
{{range .Compared}}<li>Compared with the last run: {{.}}</li>{{end}}{{range .Warnings}}<li>Warning: {{.}}</li>{{end}}</ul>{{end}}
{{if .Happened}}<h3>What the platform wrote down</h3><ol>{{range $i, $h := .Happened}}{{if lt $i 30}}<li><b>{{$h.ID}}</b> {{$h.Function}}: {{$h.Text}}</li>{{end}}{{end}}</ol>{{end}}
</section>{{end}}
</main></body></html>
`))
