package template

import (
	"strings"
	"testing"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/samconfig"
)

// read loads a template's text out of an empty directory.
func read(t *testing.T, text string, o Options) (*App, Problems) {
	t.Helper()
	dir := t.TempDir()
	if o.StackName == "" {
		o.StackName = "app"
	}
	return load(t.Context(), source{path: dir + "/template.yaml", dir: dir, name: "template.yaml"}, []byte(text), samconfig.Config{}, o)
}

// loads reads a template that must have nothing wrong with it.
func loads(t *testing.T, text string) *App {
	t.Helper()
	app, problems := read(t, text, Options{})
	if app == nil {
		t.Fatalf("got problems:\n%v\nwant none", problems)
	}
	return app
}

// value works out one expression as an environment variable and returns it.
func value(t *testing.T, expression, sections string) string {
	t.Helper()
	return loads(t, sam+sections+function("F", "Environment: { Variables: { V1: "+expression+" } }")).Functions[0].Env["V1"]
}

const sam = "Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]\n"

// function is a Resources section with a SAM function, with more properties, each indented by hand.
func function(id string, properties ...string) string {
	return "Resources:\n" + resourceFunction(id, properties...)
}

func resourceFunction(id string, properties ...string) string {
	var b strings.Builder
	b.WriteString("  " + id + ":\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.12\n      Handler: app.handler\n")
	for _, p := range properties {
		for line := range strings.Lines(p) {
			b.WriteString("      " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	return b.String()
}

// A line is one line of the rules, with a template that shows it.
type line struct {
	name string
	text string
	want string // a part of one problem's text; "" when there must be none
}

// wrong checks templates that must be refused.
func wrong(t *testing.T, lines []line) {
	t.Helper()
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			app, problems := read(t, l.text, Options{})
			if app != nil {
				t.Fatalf("got an app, want %q", l.want)
			}
			if !strings.Contains(problems.Error(), l.want) {
				t.Errorf("got problems:\n%v\nwant one with %q", problems, l.want)
			}
			for _, p := range problems {
				if p.Position.File == "" || p.Position.Line == 0 && p.Position.File == "template.yaml" {
					t.Errorf("the problem %q has no place", p.Message)
				}
			}
		})
	}
}

// refused checks templates that are right and have parts that are not supported.
func refused(t *testing.T, lines []line) {
	t.Helper()
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			app, problems := read(t, l.text, Options{})
			if app == nil {
				t.Fatalf("got problems:\n%v\nwant an app without something", problems)
			}
			if !strings.Contains(app.Unsupported.Error(), l.want) {
				t.Errorf("got %v, want one with %q", app.Unsupported, l.want)
			}
			for _, p := range app.Unsupported {
				if p.Missing == "" || p.Position.Line == 0 {
					t.Errorf("%q does not say where it is or what is missing without it", p.Error())
				}
			}
		})
	}
}

func route(t *testing.T, api *catalog.API, method, path string) catalog.Route {
	t.Helper()
	for _, r := range api.Routes {
		if r.Method == method && r.Path == path {
			return r
		}
	}
	t.Fatalf("got routes %v, want %s %s", api.Routes, method, path)
	return catalog.Route{}
}
