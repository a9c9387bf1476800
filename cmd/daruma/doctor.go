package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/template/doctor"
	"github.com/daruma-io/daruma/template/wiring"
)

// appFlags say which app is meant, for commands that read its template and need no node.
type appFlags struct {
	params            *[]string
	region, configEnv *string
}

func (f *appFlags) add(c *cobra.Command) {
	f.params = paramFlag(c)
	f.region = c.Flags().String("region", "", "the region (default: samconfig.toml's, or "+template.RegionDefault+")")
	f.configEnv = c.Flags().String("config-env", "", "the environment in samconfig.toml (default: default)")
}

// wired reads an app and how its functions hang together.
func (f *appFlags) wired(c *cobra.Command, path string) (*wiring.Map, error) {
	values, err := parseParams(*f.params)
	if err != nil {
		return nil, err
	}
	app, err := template.Load(c.Context(), template.Options{Path: path, Params: values, Region: *f.region, ConfigEnv: *f.configEnv, Alarm: node.CheckAlarm, ExperimentTemplate: node.CheckExperimentTemplate})
	if err != nil {
		return nil, err
	}
	return wiring.Read(app)
}

func doctorCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor [DIR|TEMPLATE]",
		Short: "Find what will fail before it does",
		Long: `Read the template and find what is right and will hurt: messages that come back
while they are worked on, retries that multiply, failures that go nowhere, time-outs
longer than anybody waits. Each is told with its line, why it matters, what to do,
and the experiment that proves it (daruma experiment init writes it).

No node is needed. Exit code: 0 nothing was found but notes, 1 something was, 2 the
app could not be read. Rules: docs/doctor.md.`,
		Example: `  daruma doctor
  daruma doctor examples/orders --json
  daruma doctor --rules`,
		Args: cobra.MaximumNArgs(1),
	}
	asJSON := jsonFlag(c)
	var f appFlags
	f.add(c)
	strict := c.Flags().Bool("strict", false, "notes count, too")
	listRules := c.Flags().Bool("rules", false, "list the rules")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *listRules {
			if *asJSON {
				return printJSON(w.out, doctor.Rules())
			}
			table(w.out, "RULE\tWHAT IT FINDS", func(row func(...any)) {
				for _, r := range doctor.Rules() {
					row(r.ID, r.Text)
				}
			})
			return nil
		}
		m, err := f.wired(c, templatePath(w, args))
		if err != nil {
			showError(w.err, err)
			return errExit(exitUsage)
		}
		found := doctor.Examine(m, exercises(w, filepath.Join(m.App.Dir, experimentsDir)))
		if *asJSON {
			if err := printJSON(w.out, found); err != nil {
				return err
			}
		} else {
			showFindings(w.out, m.App.Name, found)
		}
		for _, one := range found {
			if one.Severity != doctor.Note || *strict {
				return errShown
			}
		}
		return nil
	}
	return c
}

// showFindings prints findings; neighbours with the same advice are given it once, after the last.
func showFindings(out io.Writer, app string, found []doctor.Finding) {
	count := map[doctor.Severity]int{}
	for i, f := range found {
		count[f.Severity]++
		fmt.Fprintf(out, "%s: %s: %s [%s]\n", f.Position, f.Severity, f.Message, f.Rule)
		if i+1 < len(found) && advice(found[i+1]) == advice(f) {
			continue
		}
		fmt.Fprintf(out, "    why    %s\n    fix    %s\n", f.Why, f.Fix)
		if f.Experiment != "" {
			fmt.Fprintf(out, "    prove  %s\n", filepath.Join(experimentsDir, f.Experiment))
		}
	}
	if len(found) == 0 {
		fmt.Fprintf(out, "%s: nothing was found\n", app)
		return
	}
	fmt.Fprintf(out, "\n%s: %s, %s, %s\n", app, counted(count[doctor.Error], "error", "errors"), counted(count[doctor.Warning], "warning", "warnings"), counted(count[doctor.Note], "note", "notes"))
}

// advice is what a finding tells beside its place and what was found there.
func advice(f doctor.Finding) doctor.Finding {
	return doctor.Finding{Rule: f.Rule, Why: f.Why, Fix: f.Fix, Experiment: f.Experiment}
}

// exercises are the faults that an app's experiments inject; files that cannot be read inject none.
func exercises(w world, dir string) []doctor.Exercise {
	var all []doctor.Exercise
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil || len(raw) > 1<<20 {
			continue
		}
		e, err := experiment.Parse(entry.Name(), raw, experiment.Options{Lookup: w.lookup, Fault: func([]byte) error { return nil }})
		if err != nil {
			continue
		}
		for _, a := range e.Method {
			var f struct {
				Kind   string
				Target doctor.Exercise
			}
			if a.Provider.Fault != nil && json.Unmarshal(a.Provider.Fault, &f) == nil {
				f.Target.Kind = f.Kind
				all = append(all, f.Target)
			}
		}
	}
	return all
}
