// Package doctor reads an app and finds what will fail: not what is wrong with
// its template, which template.Load says, but what is right and will hurt.
//
// Rules are a table of small functions. Each finding says what will happen, where
// it is written, why, what to do, and which experiment proves it: the name of the file that
// template/propose would write. Findings are the same for the same app, in the order of their
// places. Nothing is run, and no node is needed; the sources of functions are read for signs of
// idempotency, within bounds.
package doctor

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/template/wiring"
)

// A Severity says how sure it is that something will fail.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // it will fail
	Warning Severity = "warning" // it will fail one day
	Note    Severity = "note"    // nobody knows
)

// A Finding is one thing that will fail.
type Finding struct {
	Rule       string   `json:"rule"`
	Severity   Severity `json:"severity"`
	Resource   string   `json:"resource"`
	Position   string   `json:"position"` // "template.yaml:12:7"
	Message    string   `json:"message"`
	Why        string   `json:"why"`
	Fix        string   `json:"fix"`
	Experiment string   `json:"experiment,omitempty"` // the file of the experiment that proves it
}

// A Rule looks for one thing.
type Rule struct {
	ID   string `json:"id"`
	Text string `json:"text"`
	find func(*patient) []Finding
}

// An Exercise is a fault that an experiment of the app injects: its kind and its target.
type Exercise struct {
	Kind      string
	Function  string
	Service   string
	Resource  string
	Host      string
	HostRegex string
}

// takesAway says whether the fault shows what happens without something: not
// when it only makes it slower.
func (x Exercise) takesAway(n wiring.Need) bool {
	switch fault.Kind(x.Kind) {
	case fault.Latency, fault.Slow, fault.Capacity:
		return false
	}
	if n.Service != "" {
		return x.Service != "" && fault.Like(x.Service, n.Service) && (fault.Like(x.Resource, n.ID) || fault.Like(x.Resource, n.Resource))
	}
	if x.HostRegex != "" {
		host, err := regexp.Compile(x.HostRegex)
		return err == nil && host.MatchString(n.Host)
	}
	return x.Host != "" && fault.Like(x.Host, n.Host)
}

// A patient is the app as rules see it.
type patient struct {
	*wiring.Map
	exercised []Exercise
}

// Examine finds what will fail in an app. exercised are the faults that its experiments inject.
func Examine(m *wiring.Map, exercised []Exercise) []Finding {
	p := &patient{m, exercised}
	all := []Finding{}
	for _, r := range rules {
		for _, f := range r.find(p) {
			f.Rule = r.ID
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(line(a.Position), line(b.Position)), cmp.Compare(a.Rule, b.Rule))
	})
	return all
}

// Rules returns every rule there is.
func Rules() []Rule { return rules }

func line(position string) int {
	parts := strings.Split(position, ":")
	if len(parts) < 2 {
		return 0
	}
	n, err := strconv.Atoi(parts[len(parts)-2])
	if err != nil {
		return 0
	}
	return n
}

// Bounds on how much source is read.
const (
	sourceFilesMax = 200
	sourceBytesMax = 2 << 20
)

var idempotent = regexp.MustCompile(`(?i)idempoten|ConditionExpression|attribute_not_exists|condition_expression|MessageDeduplicationId|ClientRequestToken|ON CONFLICT|dedup`)

var sourceNames = []string{".js", ".mjs", ".cjs", ".ts", ".mts", ".py", ".go", ".java", ".kt", ".rb", ".cs", ".rs", ".sh"}

// mentions says whether the source of a function has a sign of something, and whether it could be read at all.
func mentions(f *wiring.Function, sign *regexp.Regexp) (found, read bool) {
	if f.Source.Inline != "" {
		return sign.MatchString(f.Source.Inline), true
	}
	files, bytes := 0, int64(0)
	_ = filepath.WalkDir(f.Source.Path, func(path string, d fs.DirEntry, err error) error { // what cannot be read is not known
		switch {
		case err != nil:
			return fs.SkipDir
		case d.IsDir() && path != f.Source.Path && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "vendor"):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains(sourceNames, filepath.Ext(path)) || strings.HasSuffix(path, "_test.go"):
			return nil
		case files >= sourceFilesMax || bytes >= sourceBytesMax:
			return fs.SkipAll
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files, bytes, read = files+1, bytes+int64(len(text)), true
		if sign.Match(text) {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found, read
}
