package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/node"
)

func healingCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "healing",
		Short: "Show what the platform did by itself, and why",
		Long: `Every action the platform takes by itself is written down before it is taken, with
what was seen, and completed with what came of it. One that is not completed was
begun and may or may not have happened.`,
		Example: `  daruma healing ls
  daruma healing show H-4`,
		Args: cobra.NoArgs,
	}
	listing(c, healingListCommand(w))
	c.AddCommand(healingShowCommand(w))
	return c
}

func healingListCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "ls", Short: "List repairs, newest first", Args: cobra.NoArgs}
	function := c.Flags().String("function", "", "only those of this function")
	before := c.Flags().String("before", "", "only older ones than this, such as H-4")
	most := c.Flags().IntP("max", "n", 50, "at most so many")
	return list[ledger.Repair]{
		path: "/api/repairs",
		query: func() url.Values {
			q := url.Values{"max": {strconv.Itoa(*most)}}
			if *before != "" {
				q.Set("before", *before)
			}
			if *function != "" {
				q.Set("function", *function)
			}
			return q
		},
		header: "REPAIR\tAT\tFUNCTION\tWHAT\tWHY\tOUTCOME",
		cells: func(r ledger.Repair) []any {
			return []any{r.Number, r.At.Local().Format("15:04:05"), dash(r.Function), firstLine(r.What), firstLine(r.Why), outcomeText(r)}
		},
		none: "nothing was repaired",
	}.verb(w, c)
}

func outcomeText(r ledger.Repair) string {
	if r.Outcome == "" {
		return "under way"
	}
	return firstLine(r.Outcome)
}

func healingShowCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "show H-N", Short: "Show one repair with its evidence", Args: cobra.ExactArgs(1)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		var r ledger.Repair
		if err := get(c.Context(), a, "/api/repair?id="+url.QueryEscape(args[0]), &r); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, r)
		}
		showRepair(w.out, r)
		return nil
	}
	return c
}

func showRepair(out io.Writer, r ledger.Repair) {
	fmt.Fprintf(out, "%s  %s\n\n", r.Number, r.What)
	line := func(name, text string) {
		if strings.TrimSpace(text) != "" {
			fmt.Fprintf(out, "%-10s %s\n", name, text)
		}
	}
	line("by", r.By)
	line("why", r.Why)
	line("undo", r.Undo)
	line("function", r.Function)
	line("owner", r.Owner)
	line("begun", r.At.Local().Format(time.RFC3339))
	if r.Failure != 0 {
		line("failure", r.Failure.String())
	}
	line("outcome", outcomeText(r))
	if !r.Completed.IsZero() {
		line("completed", r.Completed.Local().Format(time.RFC3339))
	}
	if r.Evidence != "" {
		fmt.Fprintf(out, "\nEVIDENCE\n%s\n", r.Evidence)
	}
}
