package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cmd/daruma/story"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
)

func traceCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "trace ID",
		Short: "Tell the story of an event: every hop, attempt and wait, as a tree",
		Long: `Tell the story that an ID belongs to, from the first door through every hop,
attempt and redrive, as a tree with times; waits and cold starts stand apart from runs.

An ID is a trace (its root, an X-Amzn-Trace-Id header, a traceparent or a W3C trace
ID), a failure such as F-17, a request ID, or a value that events are found by: one
at a path that the template declares in Metadata: Daruma: Correlate. When several
traces have it they are listed. Spans are kept in bounded space; the oldest go first.`,
		Example: `  daruma trace F-17
  daruma trace 1-5759e988-bd862e3fe1be46a994272793
  daruma trace order-4711 --logs
  daruma trace 4bf92f3577b34da6a3ce929d0e0e4736 --json`,
		Args: cobra.ExactArgs(1),
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	logs := c.Flags().Bool("logs", false, "show what was logged, below the run that logged it")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		var t console.Trace
		if err := get(c.Context(), a, "/api/trace?id="+url.QueryEscape(args[0]), &t); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, t)
		}
		if len(t.Several) > 0 {
			showSeveral(w, args[0], t.Several)
			noteClock(w.out, a)
			return nil
		}
		told := story.New(t)
		if *logs {
			if err := addLogs(c.Context(), a, told); err != nil {
				return err
			}
		}
		told.Show(w.out, w.terminal)
		noteClock(w.out, a)
		return nil
	}
	return c
}

// showSeveral lists the traces that one ID names.
func showSeveral(w world, id string, several []daruma.Span) {
	table(w.out, "TRACE\tBEGAN\tWITH\tOUTCOME", func(row func(...any)) {
		for _, s := range several {
			row(s.Trace, s.At.Local().Format(time.DateTime), story.Label(s), s.Outcome)
		}
	})
	fmt.Fprintf(w.err, "%d traces have %s; one of them: daruma trace %s\n", len(several), id, several[0].Trace)
}

// addLogs adds what was logged to the runs.
func addLogs(ctx context.Context, a node.Address, s *story.Story) error {
	body, err := ask(ctx, a, "GET", "/api/logs?trace="+url.QueryEscape(s.Trace.Trace))
	if err != nil {
		return err
	}
	defer body.Close()
	return eachLine(body, func(l daruma.Line) error {
		s.Attach(l)
		return nil
	})
}
