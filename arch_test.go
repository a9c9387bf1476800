package daruma_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/daruma-io/daruma"

// layers says how high each top-level package is. A package imports only
// what is lower: never back, and never sideways but for its own parts. What
// is not listed here has no place yet, and the test says so.
var layers = map[string]int{
	".":        0, // the nouns everyone speaks
	"cell":     1, // the durable core
	"outside":  1, // the guard of what is dialed for others
	"quote":    1, // texts as JSON strings
	"pattern":  1, // which events are wanted: for nouns and verbs alike
	"catalog":  2, // nouns kept in a cell
	"ledger":   2,
	"delivery": 2,
	"table":    2,
	"queue":    2,
	"shard":    2,
	"once":     2,
	"topic":    2,
	"hold":     2,
	"mapping":  2,
	"run":      3, // verbs
	"route":    3,
	"dispatch": 3,
	"post":     3,
	"heal":     3,
	"build":    3,
	"watch":    3,
	"fault":    2, // faults as values, and decorators on the root's seams: in no cell
	"tape":     2, // what runs were told from outside, as values: in no cell
	"notify":   3,
	"scribe":   3,
	"template": 3,
	"door":     3, // ways in
	"node":     4, // the table of contents
	"cmd":      5,
	"sim":      6, // whole worlds for tests: nothing imports it

	"clocktest": 1, // clocks for tests

	"reproduce": 3, // a verb

	"experiment": 3, // a verb

	"parameter": 2, // a noun

	"drill": 2, // a noun

	"alarm": 2, // a noun

	"series": 2, // what was counted over time: in no cell

	"raise": 3, // a verb

	"rehearse": 3, // a verb

	"replay": 3, // a verb
}

// apart names folders whose packages are no Go library of the product.
var apart = []string{"examples", "bench"}

// sideways lists the imports between packages of one layer that are allowed, with the reason.
var sideways = map[string]string{
	"door/lambda → door/wire":     "wire is what the doors that speak AWS's protocols share",
	"door/sqs → door/wire":        "the same",
	"door/dynamodb → door/wire":   "the same",
	"delivery → ledger":           "an event that is given up is in the ledger in the same step",
	"queue → ledger":              "a message that becomes a dead letter is in the ledger in the same step",
	"once → ledger":               "the ledger knows how to find a value at a path in an event",
	"delivery → once":             "the key of an event is kept in the step that settles it",
	"catalog → once":              "which events are the same is part of a function",
	"queue → once":                "the same",
	"shard → once":                "the same",
	"shard → ledger":              "what a mapping gives up is in the ledger in the same step",
	"shard → delivery":            "and its destination is told in it, too",
	"topic → delivery":            "a function that subscribes gets its delivery in the step that publishes",
	"topic → ledger":              "what a subscription cannot take is in the ledger in the same step",
	"dispatch → route":            "route is the table of what an outcome does, dispatch is who asks it",
	"door/sns → door/wire":        "the same",
	"door/ssm → door/wire":        "the same",
	"door/fis → door/wire":        "the same",
	"door/cloudwatch → door/wire": "the same",
	"drill → fault":               "what a stage of a drill does is faults",
	"experiment → template":       "an experiment is a document with places, read as templates are",
	"dispatch → heal":             "heal says how much of a function may run, dispatch is who asks it",
	"hold → ledger":               "a function is held and the repair written down in the same step",
}

// tradeNames stay in doors, in templates and where people type them.
var tradeNames = regexp.MustCompile(`(?i)\b(sqs|sns|kinesis|dynamodb|eventbridge|appconfig)\b`)

var tradeNamesAllowed = []string{"door/", "template/", "cmd/", "examples/", "bench/", "node/"}

// machineTime lists who goes by the machine's clock, and why: a file, or all
// of a folder. Everything else waits on a daruma.Clock, so that --time-scale
// keeps the proportions (docs/decisions/0008-one-clock.md).
var machineTime = map[string]string{
	"clock.go":            "it is the machine's clock",
	"clocktest/":          "the machine's clock, moved ahead, for tests",
	"cell/cell.go":        "when something last reached the disk",
	"cell/health.go":      "a disk is as fast as it is",
	"cell/journal/disk/":  "a disk is as fast as it is",
	"cmd/daruma/demo/":    "it stands outside, and people wait for it",
	"cmd/daruma/":         "what people wait for, and what their clients sign",
	"experiment/conduct/": "loads, guards and what clients wait for; windows go by the app's clock",
	"door/console/":       "log lines have the time at which they were written",
	"door/egress/":        "connections to elsewhere",
	"door/runtime/":       "connections of functions' processes",
	"door/web/":           "connections of clients, and what they wait for functions",
	"door/wire/":          "connections of clients, and signatures",
	"fault/inject/":       "what functions and their clients wait for, and leases of processes",
	"node/node.go":        "when the process started, and how long certificates hold",
	"node/debug.go":       "a person and a process under a debugger",
	"node/record.go":      "how long certificates hold",
	"node/topics.go":      "how long certificates hold",
	"node/reload.go":      "files on a disk",
	"notify/channel.go":   "how long a person waits for a channel that is tried",
	"notify/notify.go":    "connections that are given a moment to end",
	"notify/webhook.go":   "signatures, and dates that other servers write",
	"run/":                "processes: their starts, deadlines and ends",
	"run/logs/":           "log lines have the time at which they were written",
	"run/sandbox/":        "processes, and the kernel's own waits",
	"tape/":               "connections to elsewhere, as they happened",
	"watch/":              "log files on a disk",
	"watch/otlp/":         "connections to a collector",
}

var timeUse = regexp.MustCompile(`\btime\.(Now|Sleep|After|AfterFunc|NewTimer|NewTicker|Tick|Since|Until)\b`)

// bags are names that say nothing about what a package holds.
var bags = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared", "lib", "pkg", "core", "types"}

type source struct {
	path string // "cell/cell.go"
	dir  string // "cell"
	file *ast.File
	text string
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || slices.Contains(apart, path)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(path), filepath.ToSlash(filepath.Dir(path)), file, string(text)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d files: is this the root?", len(all))
	}
	return all
}

// family is the part of a package's path that its own parts share: "door/web" of
// "door/web/route", "run" of "run/sandbox".
func family(dir string) string {
	parts := strings.Split(dir, "/")
	if parts[0] == "door" && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

func layer(dir string) (int, bool) {
	l, ok := layers[strings.Split(dir, "/")[0]]
	return l, ok
}

func TestImportsGoOneWay(t *testing.T) {
	for _, s := range sources(t) {
		from, ok := layer(s.dir)
		if !ok {
			t.Errorf("%s: the package %s has no place in the layers: give it one in arch_test.go", s.path, s.dir)
			continue
		}
		for _, imp := range s.file.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if path != module && !strings.HasPrefix(path, module+"/") {
				continue
			}
			to := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
			if to == "" {
				to = "."
			}
			at, ok := layer(to)
			switch {
			case !ok:
				t.Errorf("%s imports %s, which has no place in the layers", s.path, to)
			case family(to) == family(s.dir):
			case at > from:
				t.Errorf("%s imports %s: imports never go back up", s.path, to)
			case at == from && sideways[family(s.dir)+" → "+family(to)] == "":
				t.Errorf("%s imports %s: packages of one layer meet in node, through a seam its caller declares", s.path, to)
			}
		}
	}
}

func TestASeamDoesNotImportWhatImplementsIt(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.file.Imports {
			path := strings.TrimPrefix(strings.Trim(imp.Path.Value, `"`), module+"/")
			for _, seam := range []string{"run/sandbox", "cell/journal"} {
				if s.dir == seam && strings.HasPrefix(path, seam+"/") {
					t.Errorf("%s imports %s: a seam is for its caller and must not know who stands behind it", s.path, path)
				}
			}
			if strings.HasSuffix(path, "test") && strings.HasPrefix(strings.Trim(imp.Path.Value, `"`), module) && !strings.HasSuffix(s.dir, "test") {
				t.Errorf("%s imports %s: test helpers do not ship", s.path, path)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	dirs := map[string]string{}
	for _, s := range sources(t) {
		dirs[s.dir] = s.file.Name.Name
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 40 {
			said[s.dir] = true
		}
	}
	for dir, name := range dirs {
		if !said[dir] {
			t.Errorf("package %s (%s) has no package comment", name, dir)
		}
		if slices.Contains(bags, name) {
			t.Errorf("package %s (%s) is named like a bag: name what it holds", name, dir)
		}
	}
}

func TestNothingHappensBeforeMain(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: node lists what there is, in order", s.path)
			}
		}
	}
}

func TestTradeNamesStayInDoors(t *testing.T) {
	for _, s := range sources(t) {
		if slices.ContainsFunc(tradeNamesAllowed, func(p string) bool { return strings.HasPrefix(s.path, p) }) {
			continue
		}
		for i, line := range strings.Split(s.text, "\n") {
			if name := tradeNames.FindString(line); name != "" {
				t.Errorf("%s, line %d names %q: trade names stop at the door", s.path, i+1, name)
			}
		}
	}
}

func TestTheWorldIsTouchedInCmdOnly(t *testing.T) {
	touch := regexp.MustCompile(`\bos\.(Exit|Getenv|LookupEnv|Setenv|Args|Stdout|Stderr|Stdin)\b`)
	// A process inside a place begins anew: it has no cmd of its own.
	allowed := []string{"cmd/", "run/sandbox/namespace/"}
	for _, s := range sources(t) {
		if slices.ContainsFunc(allowed, func(p string) bool { return strings.HasPrefix(s.path, p) }) || strings.Contains(s.dir, "internal/") || strings.HasSuffix(s.dir, "test") {
			continue
		}
		for i, line := range strings.Split(s.text, "\n") {
			code, _, _ := strings.Cut(line, "//")
			if use := touch.FindString(code); use != "" {
				t.Errorf("%s, line %d uses %s: environment, arguments, output and exit are cmd's", s.path, i+1, use)
			}
		}
	}
}

func TestEveryWaitGoesThroughOneClock(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		by := ""
		for path := range machineTime {
			if path == s.path || strings.HasSuffix(path, "/") && (path == s.dir+"/" || path == "run/sandbox/" && strings.HasPrefix(s.path, path)) {
				by = path
			}
		}
		for i, line := range strings.Split(s.text, "\n") {
			code, _, _ := strings.Cut(line, "//")
			use := timeUse.FindString(code)
			switch {
			case use == "":
			case by == "":
				t.Errorf("%s, line %d uses %s: platform waits and stored times go by a daruma.Clock; what is real is listed in machineTime, with the reason", s.path, i+1, use)
			default:
				used[by] = true
			}
		}
	}
	for path := range machineTime {
		if !used[path] {
			t.Errorf("machineTime lists %s, which does not use the machine's clock", path)
		}
	}
}

func TestTheMapNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## The map\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	onMap := map[string]bool{".": true}
	for _, name := range regexp.MustCompile("`([a-z0-9/]+)`").FindAllStringSubmatch(section, -1) {
		onMap[name[1]] = true
	}
	for _, s := range sources(t) {
		if !onMap[s.dir] {
			t.Errorf("the map in ARCHITECTURE.md does not name %s", s.dir)
			onMap[s.dir] = true // once is enough
		}
	}
	for line := range strings.SplitSeq(section, "\n") {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, name := range regexp.MustCompile("`([a-z0-9/]+)`").FindAllStringSubmatch(first, -1) {
			if files, err := filepath.Glob(filepath.Join(filepath.FromSlash(name[1]), "*.go")); name[1] != "daruma" && (err != nil || len(files) == 0) {
				t.Errorf("the map in ARCHITECTURE.md names %s, which is no package", name[1])
			}
		}
	}
}
