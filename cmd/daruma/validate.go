package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/template"
)

func validateCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "validate [DIR|TEMPLATE]",
		Short: "Check a template and say all that is wrong with it",
		Long: `Check a template without building or starting anything: everything that is
wrong, and everything that is right but not supported here, in one list, each
with its line. Ends with 1 when there is anything in it; with --allow-unsupported
only when something is wrong.`,
		Args: cobra.MaximumNArgs(1),
	}
	asJSON := jsonFlag(c)
	params := paramFlag(c)
	region := c.Flags().String("region", "", "the region (default: samconfig.toml's, or "+template.RegionDefault+")")
	configEnv := c.Flags().String("config-env", "", "the environment in samconfig.toml (default: default)")
	allow := c.Flags().Bool("allow-unsupported", false, "what is not supported is no failure")
	c.RunE = func(c *cobra.Command, args []string) error {
		values, err := parseParams(*params)
		if err != nil {
			return err
		}
		app, err := template.Load(c.Context(), template.Options{Path: templatePath(w, args), Params: values, Region: *region, ConfigEnv: *configEnv, Alarm: node.CheckAlarm, ExperimentTemplate: node.CheckExperimentTemplate})
		var problems template.Problems
		if err != nil && !errors.As(err, &problems) {
			return err
		}
		v := verdict{Valid: err == nil}
		for _, p := range problems {
			if p.Unsupported {
				v.Unsupported = append(v.Unsupported, p)
			} else {
				v.Problems = append(v.Problems, p)
			}
		}
		if app != nil {
			v.Template, v.App = app.Path, app.Name
			v.Functions, v.APIs, v.Queues, v.Topics, v.Tables = len(app.Functions), len(app.APIs), len(app.Queues), len(app.Topics), len(app.Tables)
			v.Owners = ownersOf(app)
			v.Unsupported, v.Warnings = app.Unsupported, app.Warnings
		}
		if *asJSON {
			if err := printJSON(w.out, v); err != nil {
				return err
			}
		} else {
			v.show(w.out)
		}
		if !v.Valid || len(v.Unsupported) > 0 && !*allow {
			return errShown
		}
		return nil
	}
	return c
}

// A verdict is what validate says of a template.
type verdict struct {
	Valid       bool              `json:"valid"`
	Template    string            `json:"template,omitempty"`
	App         string            `json:"app,omitempty"`
	Functions   int               `json:"functions"`
	APIs        int               `json:"apis"`
	Queues      int               `json:"queues"`
	Topics      int               `json:"topics"`
	Tables      int               `json:"tables"`
	Owners      []owner           `json:"owners,omitempty"`
	Problems    template.Problems `json:"problems,omitempty"`
	Unsupported template.Problems `json:"unsupported,omitempty"`
	Warnings    template.Problems `json:"warnings,omitempty"`
}

// An owner is who is told about what fails in functions, and through which channels.
type owner struct {
	Owner     string   `json:"owner"` // "" when the functions have none
	Notify    []string `json:"notify"`
	Functions []string `json:"functions"`
}

func ownersOf(app *template.App) []owner {
	var all []owner
	for _, f := range app.Functions {
		i := slices.IndexFunc(all, func(o owner) bool { return o.Owner == f.Owner && slices.Equal(o.Notify, f.Notify) })
		if i < 0 {
			i = len(all)
			all = append(all, owner{Owner: f.Owner, Notify: f.Notify})
		}
		all[i].Functions = append(all[i].Functions, f.Name)
	}
	return all
}

func (v verdict) show(out io.Writer) {
	showProblems(out, "wrong", v.Problems)
	showProblems(out, "not supported", v.Unsupported)
	showProblems(out, "warning", v.Warnings)
	if slices.ContainsFunc(v.Owners, func(o owner) bool { return o.Owner != "" || len(o.Notify) != 1 || o.Notify[0] != "terminal" }) {
		table(out, "OWNER\tIS TOLD THROUGH\tABOUT", func(row func(...any)) {
			for _, o := range v.Owners {
				row(dash(o.Owner), dash(strings.Join(o.Notify, ", ")), strings.Join(o.Functions, ", "))
			}
		})
		fmt.Fprintln(out)
	}
	switch {
	case !v.Valid:
		fmt.Fprintf(out, "%d wrong, %d not supported\n", len(v.Problems), len(v.Unsupported))
	case len(v.Unsupported) > 0:
		fmt.Fprintf(out, "%s: valid, with %d not supported; --allow-unsupported goes on without\n", v.App, len(v.Unsupported))
	default:
		fmt.Fprintf(out, "%s: valid, with %s\n", v.App, v.contents())
	}
}

// contents says how many there are of each kind of thing that runs here.
func (v verdict) contents() string {
	var all []string
	for _, is := range []struct {
		n         int
		one, more string
	}{{v.Functions, "function", "functions"}, {v.APIs, "API", "APIs"}, {v.Queues, "queue", "queues"}, {v.Topics, "topic", "topics"}, {v.Tables, "table", "tables"}} {
		switch {
		case is.n == 1:
			all = append(all, "1 "+is.one)
		case is.n > 1:
			all = append(all, fmt.Sprintf("%d %s", is.n, is.more))
		}
	}
	if len(all) == 0 {
		return "nothing that runs"
	}
	return strings.Join(all, ", ")
}

// showProblems prints one line per problem, as compilers do, so that editors find the place.
func showProblems(out io.Writer, label string, ps template.Problems) {
	for _, p := range ps {
		fmt.Fprintf(out, "%v [%s]\n", p, label)
	}
}

// templatePath returns the template or directory that a command's arguments name; the working directory when none.
func templatePath(w world, args []string) string {
	if len(args) == 0 {
		return w.dir
	}
	return w.path(args[0])
}

func paramFlag(c *cobra.Command) *[]string {
	return c.Flags().StringArrayP("param", "p", nil, "a parameter's value, as NAME=VALUE; may be given again")
}
