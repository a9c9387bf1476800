package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
)

// Experiments is what the console runs and tells of experiments. How they are run is for who made it to know.
type Experiments struct {
	// Begin reads an experiment and keeps the node for it: one runs at a time. What it returns runs it, once, tells
	// how it goes, and ends it with ctx.
	Begin func(a AskedExperiment) (run func(ctx context.Context, tell func(ExperimentRun)) ExperimentRun, err error)
	List  func() []ExperimentRun // the latest that the console was asked for, oldest first
	// Report writes what is known of a run in one of the forms "json", "journal", "html", "markdown", "junit" and "text".
	Report func(w io.Writer, id, form string) error
}

// An AskedExperiment is one that the console is asked to run: a document, or the file of a name among the app's.
type AskedExperiment struct {
	Name     string
	Document []byte
	Seed     uint64
	Vars     map[string]string
}

// An ExperimentRun is one that the console was asked to run, as it is, and a line of what its asker is told.
type ExperimentRun struct {
	ID       string    `json:"id"` // "X-3"
	File     string    `json:"file"`
	Title    string    `json:"title"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Text     string    `json:"text,omitempty"` // how it goes
	Outcome  string    `json:"outcome,omitempty"`
	Status   string    `json:"status,omitempty"`
	Reasons  []string  `json:"reasons,omitempty"`
	ExitCode *int      `json:"exitCode,omitempty"` // of daruma experiment run
	Error    string    `json:"error,omitempty"`    // it could not be run
}

// experimentBytesMax bounds the document of an experiment.
const experimentBytesMax = 1 << 20

// runExperiment runs the experiment whose document the request holds, or ?name=FILE of the app's own.
//
// Who asks holds it by the connection: the answer is a line of JSON for each step, and the last one has the verdict;
// when the connection breaks the run ends, and puts everything back.
func (d *Door) runExperiment(w http.ResponseWriter, r *http.Request) {
	a, err := d.askedExperiment(w, r)
	if err != nil {
		d.reply(w, nil, err)
		return
	}
	run, err := d.cfg.Experiments.Begin(a)
	if err != nil {
		d.reply(w, nil, err)
		return
	}
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the connection is held for as long as the run is
	w.Header().Set("Content-Type", "application/x-ndjson")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	enc := json.NewEncoder(w)
	var mu sync.Mutex // activities behind the others tell of themselves
	tell := func(line ExperimentRun) {
		mu.Lock()
		defer mu.Unlock()
		if enc.Encode(line) != nil || out.Flush() != nil {
			cancel() // nobody listens any more
		}
	}
	tell(run(ctx, tell))
}

func (d *Door) askedExperiment(w http.ResponseWriter, r *http.Request) (a AskedExperiment, err error) {
	wrong := func(format string, args ...any) (AskedExperiment, error) {
		return a, &daruma.Error{Op: "run the experiment", Kind: daruma.KindInvalid, Err: fmt.Errorf(format, args...)}
	}
	v := r.URL.Query()
	a = AskedExperiment{Name: v.Get("name"), Vars: map[string]string{}}
	if a.Document, err = io.ReadAll(http.MaxBytesReader(w, r.Body, experimentBytesMax)); err != nil {
		return wrong("a document of at most %d bytes is needed", experimentBytesMax)
	}
	if (a.Name == "") == (len(a.Document) == 0) {
		return wrong("send a document, or name a file of the app's experiments with ?name=")
	}
	if s := v.Get("seed"); s != "" {
		if a.Seed, err = strconv.ParseUint(s, 10, 53); err != nil {
			return wrong("seed: %q is not a number from 0 to 2^53", s)
		}
	}
	for _, s := range v["var"] {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return wrong("var: %q is not NAME=VALUE", s)
		}
		a.Vars[name] = value
	}
	return a, nil
}

// experiments lists the latest runs.
func (d *Door) experiments(w http.ResponseWriter, _ *http.Request) {
	d.reply(w, d.cfg.Experiments.List(), nil)
}

// reportForms are the forms of a report, and what they are.
var reportForms = map[string]string{
	"json": "application/json", "journal": "application/json", "html": "text/html; charset=utf-8",
	"markdown": "text/markdown; charset=utf-8", "junit": "application/xml", "text": "text/plain; charset=utf-8",
}

// experimentReport answers ?id=X-3 with what is known of a run, in the form of ?form=.
func (d *Door) experimentReport(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	form := v.Get("form")
	if form == "" {
		form = "json"
	}
	kind, ok := reportForms[form]
	if !ok {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("form: %q is none of json, journal, html, markdown, junit, text", form))
		return
	}
	var b bytes.Buffer
	if err := d.cfg.Experiments.Report(&b, v.Get("id"), form); err != nil {
		d.reply(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	if form == "html" { // the page has its own style within it, and nothing else
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	}
	_, _ = w.Write(b.Bytes()) // the client may be gone
}
