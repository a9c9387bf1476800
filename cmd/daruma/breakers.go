package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/node"
)

func breakersCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "breakers",
		Short: "Show which functions are held, and hold or release one",
		Long: `When most events of a function fail, whatever event it is, the function is held:
its events wait, keep their place and spend no attempt, one at a time is tried, and
when five of them went well the rest follows, few at first. Every hold is in the
healing log with what was seen. A person can decide otherwise, and that is kept.

The limit is how many events of a function run at once, of those that nobody waits
for. It grows while more gets done, and shrinks when events only wait for each other.

A function that declares what its events depend on (Metadata: Daruma: Dependency:
{ Key: $.tenant }) has a breaker and a limit for each key as well: a row each while
something runs, waits for a probe or was decided by a person.`,
		Example: `  daruma breakers ls
  daruma breakers open Orders --reason "the database is being moved"
  daruma breakers close Orders --reason "these events really are broken"
  daruma breakers auto Orders
  daruma breakers open Orders --key acme --reason "their database is being moved"`,
		Args: cobra.NoArgs,
	}
	listing(c, breakersListCommand(w))
	c.AddCommand(breakerForceCommand(w, "open", "open", "Hold a function until it is left to its events again", "opened: nothing of it is handed out"),
		breakerForceCommand(w, "close", "closed", "Never hold a function: its failures count, whatever they look like", "closed: its failures count"),
		breakerForceCommand(w, "auto", "auto", "Leave a function to its events again", "left to its events"))
	return c
}

func breakersListCommand(w world) *cobra.Command {
	return list[heal.Status]{
		path:   "/api/breakers",
		header: "FUNCTION\tKEY\tBREAKER\tSINCE\tRUNNING\tLIMIT\tPROBES\tREPAIR\tWHY",
		cells: func(s heal.Status) []any {
			return []any{s.Function, cmp.Or(s.Key, "-"), breakerState(s), since(s.Since), s.Running, s.Limit, s.Probes, repairText(s), cmp.Or(s.Why, s.Reason, "-")}
		},
		none: "no event of a queue or for later has run yet",
	}.verb(w, &cobra.Command{Use: "ls", Short: "List breakers and limits, by function and key", Args: cobra.NoArgs})
}

// breakerState is "closed", "open", "trying", and who says so when it was a person.
func breakerState(s heal.Status) string {
	if s.Force != "" {
		return string(s.State) + " (forced)"
	}
	return string(s.State)
}

func repairText(s heal.Status) string {
	if s.Repair == 0 {
		return "-"
	}
	return s.Repair.String()
}

func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func breakerForceCommand(w world, verb, force, short, did string) *cobra.Command {
	c := &cobra.Command{Use: verb + " FUNCTION", Short: short, Args: cobra.ExactArgs(1)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	reason := c.Flags().String("reason", "", "why, for whoever reads the healing log")
	key := c.Flags().String("key", "", "of the function's events, those that have this `KEY`, where it declares one")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *reason == "" && force != "auto" {
			return errUsage{fmt.Errorf("say why with --reason")}
		}
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		s, err := status(c.Context(), a)
		if err != nil {
			return err
		}
		name, err := functionNamed(s, args[0])
		if err != nil {
			return err
		}
		body, err := ask(c.Context(), a, "POST", "/api/breaker?"+url.Values{"function": {name}, "key": {*key}, "force": {force}, "reason": {*reason}}.Encode())
		if err != nil {
			return err
		}
		defer body.Close()
		var forced console.Forced
		if err := json.NewDecoder(body).Decode(&forced); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, forced)
		}
		fmt.Fprintf(w.out, "%s: the breaker of %s is %s\n", forced.Repair, hold.Unit{Function: name, Key: *key}, did)
		return nil
	}
	return c
}
