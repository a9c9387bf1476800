package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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
		app, err := template.Load(c.Context(), template.Options{Path: templatePath(w, args), Params: values, Region: *region, ConfigEnv: *configEnv})
		var problems template.Problems
		if err != nil && !errors.As(err, &problems) {
			return err
		}
		v := verdict{Valid: err == nil, Problems: problems}
		if app != nil {
			v.Template, v.App = app.Path, app.Name
			v.Functions, v.APIs = len(app.Functions), len(app.APIs)
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
	table(out, "OWNER\tIS TOLD THROUGH\tABOUT", func(row func(...any)) {
		for _, o := range v.Owners {
			row(dash(o.Owner), dash(strings.Join(o.Notify, ", ")), strings.Join(o.Functions, ", "))
		}
	})
	if len(v.Owners) > 0 {
		fmt.Fprintln(out)
	}
	switch {
	case !v.Valid:
		fmt.Fprintf(out, "%d wrong\n", len(v.Problems))
	case len(v.Unsupported) > 0:
		fmt.Fprintf(out, "%s: valid, with %d not supported; --allow-unsupported goes on without\n", v.App, len(v.Unsupported))
	default:
		fmt.Fprintf(out, "%s: valid, %d functions, %d APIs\n", v.App, v.Functions, v.APIs)
	}
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
	if filepath.IsAbs(args[0]) {
		return args[0]
	}
	return filepath.Join(w.dir, args[0])
}

func paramFlag(c *cobra.Command) *[]string {
	return c.Flags().StringArrayP("param", "p", nil, "a parameter's value, as NAME=VALUE; may be given again")
}
