package report

import (
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/experiment/conduct"
)

// A page is what the HTML template shows.
type page struct {
	Title  string
	Made   string
	Held   int
	Not    int
	Open   int
	Scaled []string // what went faster, and what did not
	Runs   []pageRun
	Labels []string // of runs that are set side by side
	Beside []pageBeside
}

type pageBeside struct {
	Title   string
	Cells   []pageCell
	Differs []string
}

type pageCell struct{ Word, Class, ID string }

type pageRun struct {
	*conduct.Result
	ID        string
	Word      string
	Class     string
	Took      string
	Again     string // how to run it again
	Rows      []pageRow
	Plots     []plot
	Account   string
	Times     string
	Recovered string
	LastTime  string // when the run before was; "" when there was none
	Compared  []string
	Why       string
	Notes     []pageNote
	More      int // notes that are not shown
}

type pageRow struct{ Phase, Probe, Value, Tolerance, Word, Class, Why, Last string }

// A pageNote is something that the platform wrote down.
type pageNote struct{ ID, After, Function, Text, Class string }

// notesMax bounds what a page shows of what the platform wrote down for one experiment.
const notesMax = 50

var classes = map[conduct.Outcome]string{conduct.Held: "held", conduct.Deviated: "deviated", conduct.Unknown: "unknown"}

// HTML writes one page that needs nothing but itself: no script, no font, no picture from elsewhere.
func HTML(w io.Writer, title string, pairs []Pair, now time.Time) error {
	p := page{Title: title, Made: now.Format("2006-01-02 15:04 MST"), Scaled: scaled(pairs)}
	for i, pair := range pairs {
		switch pair.Now.Outcome {
		case conduct.Held:
			p.Held++
		case conduct.Deviated:
			p.Not++
		default:
			p.Open++
		}
		p.Runs = append(p.Runs, runOf(pair, fmt.Sprintf("e%d", i+1)))
	}
	p.beside(pairs)
	return pageTemplate.Execute(w, p)
}

func runOf(pair Pair, id string) pageRun {
	r := pair.Now
	one := pageRun{
		Result: r, ID: id, Word: strings.ToLower(words[r.Outcome]), Class: classes[r.Outcome], Took: r.Ended.Sub(r.Started).Round(100 * time.Millisecond).String(),
		Again: again(r), Times: timesText(r), Compared: Compare(pair), Why: gist(r),
	}
	if r.Times.Recover != nil {
		one.Recovered = seconds(r.Times.Recover)
	}
	if pair.Last != nil {
		one.LastTime = pair.Last.Started.Local().Format("2006-01-02 15:04")
	}
	if r.Account.Accepted > 0 {
		one.Account = accountText(r.Account)
	}
	for _, j := range r.Judged {
		row := pageRow{string(j.Phase), j.Probe, value(j), j.Tolerance, strings.ToLower(words[j.Outcome]), classes[j.Outcome], j.Why, ""}
		if was := before(pair, j); was != nil {
			row.Last = value(*was)
		}
		one.Rows = append(one.Rows, row)
	}
	for _, list := range alike(r.Series) {
		one.Plots = append(one.Plots, plotOf(r, list))
	}
	slices.SortStableFunc(one.Plots, func(a, b plot) int { // what moves comes first
		switch {
		case a.Flat == b.Flat:
			return 0
		case a.Flat:
			return 1
		}
		return -1
	})
	for _, h := range r.Happened[:min(len(r.Happened), notesMax)] {
		n := pageNote{ID: h.ID, Function: h.Function, Text: h.Text, Class: "failure"}
		if h.Repair {
			n.Class = "repair"
		}
		if !r.Broke.IsZero() {
			s := h.At.Sub(r.Broke).Seconds()
			n.After = seconds(&s)
		}
		one.Notes = append(one.Notes, n)
	}
	one.More = len(r.Happened) - len(one.Notes)
	return one
}

// beside sets the runs of each experiment side by side.
func (p *page) beside(pairs []Pair) {
	labels, all := compared(pairs)
	p.Labels = labels
	for _, c := range all {
		row := pageBeside{Title: c.Title, Differs: c.Differs}
		for _, r := range c.Runs {
			cell := pageCell{Word: verdict(r)}
			if i := slices.IndexFunc(p.Runs, func(one pageRun) bool { return one.Result == r }); i >= 0 {
				cell.ID, cell.Class = p.Runs[i].ID, p.Runs[i].Class
			}
			row.Cells = append(row.Cells, cell)
		}
		p.Beside = append(p.Beside, row)
	}
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{.Title}}</title>
<style>
:root{--ink:#1d2430;--dim:#5b6675;--line:#d9dee6;--bg:#fbfbfc;--held:#1a7f4b;--deviated:#c0322b;--unknown:#9a6700;--card:#fff;--value:#2f6fde}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--dim:#9aa5b4;--line:#333c49;--bg:#12161c;--held:#4cc38a;--deviated:#ff7b72;--unknown:#e3b341;--card:#1a2028;--value:#78a9ff}}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:0 0 .25rem}h3{font-size:.95rem;margin:1.25rem 0 .5rem}
.dim{color:var(--dim)}.held{color:var(--held)}.deviated{color:var(--deviated)}.unknown{color:var(--unknown)}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1.25rem;margin:1.25rem 0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--dim)}.word{font-weight:700;white-space:nowrap}td .dim{font-size:.85rem}a{color:inherit;overflow-wrap:anywhere}
.badge{display:inline-block;font-size:.8rem;font-weight:700;border:1px solid;border-radius:99px;padding:0 .6em;margin-right:.35em;vertical-align:.1em;white-space:nowrap}
ol,ul{padding-left:1.3rem;margin:.25rem 0;overflow-wrap:anywhere}code{font-size:.85em;overflow-wrap:anywhere}
.keys span{display:inline-block;margin-right:1em;white-space:nowrap}.keys i{display:inline-block;width:.9em;height:.9em;vertical-align:-.1em;margin-right:.35em;border-radius:2px}.keys .dot{border-radius:50%}
figure{margin:0 0 2.2rem}.scaled{font-size:.85rem;margin:.2rem 0}figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;font-size:.85rem}
.area{position:relative;height:8.5rem;margin:.5rem .6rem 0 3.4rem;font-size:11px;line-height:1.2;color:var(--dim)}.flat .area{height:2.4rem}
.area svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}.area svg *{vector-effect:non-scaling-stroke}
.area span,.area a{position:absolute;white-space:nowrap}.y{right:100%;margin-right:6px;transform:translateY(-50%)}.x{top:100%;margin-top:5px;transform:translateX(-50%)}.x:nth-of-type(1){transform:none}.phase{top:2px;margin-left:4px;font-weight:600}
.axis,.edge{stroke:var(--line);fill:none}.edge{stroke-dasharray:3 3}.value{fill:none;stroke:var(--value);stroke-width:1.8;stroke-linejoin:round}
.band{fill:var(--held);opacity:.16}.broken{fill:var(--deviated);opacity:.13}
.mark{top:100%;width:8px;height:8px;margin:-4px 0 0 -4px;border-radius:50%;text-decoration:none}.failure{background:var(--deviated)}.repair{background:var(--held)}.mark b{position:absolute;bottom:9px;left:50%;transform:translateX(-50%);font-weight:400;color:var(--ink);background:var(--card);border-radius:3px;padding:0 2px}
.note:target{outline:2px solid var(--value);border-radius:3px}.note b{margin-right:.35em}.note .dot{display:inline-block;width:8px;height:8px;border-radius:50%;margin-right:.4em}
@media (max-width:40rem){section{padding:1rem .75rem}main{padding:1rem .5rem}}
@media print{section,figure{break-inside:avoid}}
</style></head><body><main>
<h1>{{.Title}}</h1>
<p class="dim">{{.Made}} · <span class="held">{{.Held}} held</span> · <span class="deviated">{{.Not}} deviated</span> · <span class="unknown">{{.Open}} not judged</span></p>
{{range .Scaled}}<p class="dim scaled">Scaled: {{.}}</p>{{end}}
<div class="wide" style="margin-top:1rem">{{if .Beside}}<table><thead><tr><th>Experiment</th>{{range .Labels}}<th>{{.}}</th>{{end}}<th>What differs</th></tr></thead><tbody>
{{range .Beside}}<tr><td>{{.Title}}</td>{{range .Cells}}<td class="word {{.Class}}">{{if .ID}}<a href="#{{.ID}}">{{.Word}}</a>{{else}}{{.Word}}{{end}}</td>{{end}}<td>{{range $i, $d := .Differs}}{{if $i}}<br>{{end}}{{$d}}{{end}}</td></tr>
{{end}}</tbody></table>{{else}}<table><thead><tr><th>Verdict</th><th>Experiment</th><th>Recovered after</th></tr></thead><tbody>
{{range .Runs}}<tr><td class="word {{.Class}}">{{.Word}}</td><td><a href="#{{.ID}}">{{.Title}}{{with .Label}} ({{.}}){{end}}</a>{{with .Why}}<br><span class="dim">{{.}}</span>{{end}}</td><td>{{.Recovered}}</td></tr>
{{end}}</tbody></table>{{end}}</div>
{{range .Runs}}{{$run := .ID}}<section id="{{.ID}}">
<h2><span class="badge {{.Class}}">{{.Word}}</span> {{.Title}}{{with .Label}} ({{.}}){{end}}</h2>
{{with .Hypothesis}}<p>{{.}}</p>{{end}}
<p class="dim"><code>{{.Again}}</code> · took {{.Took}}{{if gt .Scale 1}} · the app's clock {{.Scale}} times as fast{{end}}</p>
{{if .Chain}}<h3>What led to what</h3><ol>{{range .Chain}}<li>{{.}}</li>{{end}}</ol>{{end}}
<h3>Steady state</h3>
<div class="wide"><table><thead><tr><th></th><th>Phase</th><th>Probe</th><th>Value</th><th>Tolerated</th>{{if .LastTime}}<th>Last run</th>{{end}}</tr></thead><tbody>
{{$last := .LastTime}}{{range .Rows}}<tr><td class="word {{.Class}}">{{.Word}}</td><td>{{.Phase}}</td><td>{{.Probe}}{{with .Why}}<br><span class="dim">{{.}}</span>{{end}}</td><td>{{.Value}}</td><td>{{.Tolerance}}</td>{{if $last}}<td class="dim">{{.Last}}</td>{{end}}</tr>
{{end}}</tbody></table></div>
{{if .LastTime}}<h3>Compared with the last run, of {{.LastTime}}</h3>{{if .Compared}}<ul>{{range .Compared}}<li>{{.}}</li>{{end}}</ul>{{else}}<p>Nothing is different.</p>{{end}}{{end}}
{{if .Plots}}<h3>Over the run</h3>
<p class="dim keys"><span><i style="background:var(--value)"></i>value</span><span><i style="background:var(--held);opacity:.35"></i>tolerated, where it is judged</span><span><i style="background:var(--deviated);opacity:.3"></i>broken on purpose</span><span><i class="dot failure"></i>failure kept</span><span><i class="dot repair"></i>repair</span><span>seconds of the machine's clock</span></p>
{{range .Plots}}<figure{{if .Flat}} class="flat"{{end}}><figcaption><b>{{range $i, $name := .Probes}}{{if $i}}; {{end}}{{$name}}{{end}}</b><span class="dim">{{.Latest}} at the end</span></figcaption><div class="area">
<svg viewBox="0 0 {{.Width}} {{.Height}}" preserveAspectRatio="none" role="img" aria-label="{{index .Probes 0}} over the run; {{.Latest}} at the end">
{{$p := .}}{{range .Broken}}<rect class="broken" x="{{.X}}" y="{{.Y}}" width="{{.W}}" height="{{.H}}"><title>{{.Text}}</title></rect>{{end}}
{{range .Bands}}<rect class="band" x="{{.X}}" y="{{.Y}}" width="{{.W}}" height="{{.H}}"><title>{{.Text}}</title></rect>{{end}}
{{range .YTicks}}<line class="axis" x1="0" x2="{{$p.Width}}" y1="{{.At}}" y2="{{.At}}"/>{{end}}
{{range .Phases}}<line class="edge" x1="{{.At}}%" x2="{{.At}}%" y1="0" y2="{{$p.Height}}"/>{{end}}
<polyline class="value" points="{{.Line}}"/>
</svg>
{{range .XTicks}}<span class="x" style="left:{{.At}}%">{{.Text}}</span>{{end}}{{range .YTicks}}<span class="y" style="top:{{.At}}%">{{.Text}}</span>{{end}}{{range .Phases}}<span class="phase {{.Class}}" style="left:{{.At}}%">{{.Text}}</span>{{end}}
{{range .Marks}}<a class="mark {{.Class}}" style="left:{{.Left}}%" href="#{{$run}}-{{.ID}}" title="{{.Text}}">{{if and .Label (not $p.Flat)}}<b>{{.ID}}</b>{{end}}</a>{{end}}
</div></figure>{{end}}{{end}}
{{if .Loads}}<h3>Load</h3><div class="wide"><table><thead><tr><th>Load</th><th>Phase</th><th>Requests</th><th>Not well</th><th>p50</th><th>p99</th></tr></thead><tbody>
{{range .Loads}}{{$l := .}}{{range $i, $ph := .Phases}}<tr><td>{{if not $i}}{{$l.Name}} → {{$l.Target}}, {{$l.Rate}}/s{{end}}</td><td>{{.Phase}}</td><td>{{.Requests}}</td><td>{{.Errors}}</td><td>{{printf "%.1f" .P50}} ms</td><td>{{printf "%.1f" .P99}} ms</td></tr>{{end}}{{end}}</tbody></table></div>{{end}}
{{if or .Account .Times .Warnings}}<h3>Account</h3><ul>
{{with .Account}}<li>{{.}}</li>{{end}}{{with .Times}}<li>{{.}}</li>{{end}}
{{range .Warnings}}<li>Warning: {{.}}</li>{{end}}</ul>{{end}}
{{if .Notes}}<h3>What the platform wrote down{{if gt .Scale 1}}, by the app's clock from the break on{{else}}, from the break on{{end}}</h3><ul style="list-style:none;padding:0">{{range .Notes}}<li class="note" id="{{$run}}-{{.ID}}"><i class="dot {{.Class}}"></i><b>{{.ID}}</b>{{with .After}}<span class="dim">{{.}} </span>{{end}}{{with .Function}}{{.}}: {{end}}{{.Text}}</li>{{end}}</ul>{{with .More}}<p class="dim">and {{.}} more, in the journal</p>{{end}}{{end}}
</section>{{end}}
</main></body></html>
`))
