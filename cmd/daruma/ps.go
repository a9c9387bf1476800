package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
)

func psCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "ps",
		Short: "Show functions, environments, endpoints and hosts outside",
		Args:  cobra.NoArgs,
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		s, err := status(c.Context(), a)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, s)
		}
		showStatus(w.out, s, time.Now())
		return nil
	}
	return c
}

func showStatus(out io.Writer, s console.Status, now time.Time) {
	health := "healthy"
	if !s.Health.OK {
		health = "NOT HEALTHY: " + s.Health.Reason
	}
	fmt.Fprintf(out, "%s  up %s  pid %d  %s  %s\n", s.App, now.Sub(s.Started).Round(time.Second), s.PID, s.Isolation, health)
	if text := clockText(s.Clock.Scale, s.Clock.AheadS); text != "" {
		fmt.Fprintf(out, "clock: %s; it shows %s\n", text, s.Clock.Now.Local().Format(time.DateTime))
	}
	table(out, "FUNCTION\tRUNTIME\tSTATE\tENVIRONMENTS\tRUNS\tFAILED\tREFUSED\tOWNER\tTELLS", func(row func(...any)) {
		for _, f := range s.Functions {
			state := f.State
			if f.Reason != "" {
				state += ": " + f.Reason
			}
			row(f.Name, f.Runtime, state, f.Environments, f.Runs, f.Failures, f.Refusals, dash(f.Owner), dash(strings.Join(f.Notify, ",")))
		}
	})
	table(out, "ENVIRONMENT\tFUNCTION\tVERSION\tSTATE\tFOR\tRUNS\tPID\tREQUEST", func(row func(...any)) {
		for _, e := range s.Environments {
			row(e.ID, e.Function, e.Version, e.State, now.Sub(e.Since).Round(time.Second), e.Runs, e.PID, dash(e.Request))
		}
	})
	if s.Events != nil {
		table(out, "EVENTS\tACCEPTED\tDONE\tFAILED (KEPT)\tWAITING\tRUNNING", func(row func(...any)) {
			for _, a := range s.Events.Each {
				row(a.Function, a.Accepted, a.Done, a.Failed, a.Waiting, a.Leased)
			}
		})
		if n := s.Events.Usage.Open; n > 0 {
			fmt.Fprintf(out, "\n%d open failures: daruma failures ls --state open\n", n)
		}
	}
	table(out, "IDEMPOTENCY\tACCEPTED\tRUN\tSUPPRESSED\tOTHER EVENT\tKEYS KEPT", func(row func(...any)) {
		for _, t := range s.Once {
			row(t.Function, t.Accepted(), t.Run, t.Suppressed, t.Clashed, t.Kept)
		}
	})
	if s.Notices != nil {
		table(out, "CHANNEL\tKIND\tMESSAGES\tTOLD\tWAITING\tGIVEN UP\tNEXT\tLAST ERROR", func(row func(...any)) { showNotices(row, s.Notices, s.Clock.Now) })
	}
	table(out, "ENDPOINT\tKIND\tSTAGE\tURL", func(row func(...any)) {
		for _, e := range s.Endpoints {
			row(e.LogicalID, e.Kind, dash(e.Stage), e.URL)
		}
	})
	table(out, "EGRESS ("+s.Egress.Policy+")\tFUNCTION\tPORT\tCONNECTIONS\tFAILED\tDENIED", func(row func(...any)) {
		for _, p := range s.Egress.Peers {
			row(p.Host, p.Function, p.Port, p.Connections, p.Failures, p.Denied)
		}
	})
	showFaults(out, s.Faults)
	for _, m := range s.Missing {
		fmt.Fprintf(out, "not available on this machine: %s\n", m)
	}
	for _, l := range s.Left {
		fmt.Fprintf(out, "left out: %s\n", l)
	}
}

// table prints rows under a header, and nothing when there is no row.
func table(out io.Writer, header string, rows func(row func(...any))) {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	n := 0
	rows(func(cells ...any) {
		if n++; n == 1 {
			fmt.Fprintf(t, "\n%s\n", header)
		}
		texts := make([]string, len(cells))
		for i, cell := range cells {
			texts[i] = oneLine(fmt.Sprint(cell))
		}
		fmt.Fprintln(t, strings.Join(texts, "\t"))
	})
	t.Flush()
}

// oneLine is what of a text fits a cell of a table: its first line, and a sign that there are more.
func oneLine(s string) string {
	line, _, more := strings.Cut(strings.TrimRight(s, "\r\n"), "\n")
	if more {
		line += " …"
	}
	return strings.ReplaceAll(line, "\t", " ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
