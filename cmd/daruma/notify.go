package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
)

func notifyCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "notify",
		Short: "Try the channels through which owners are told",
		Long: `Owners are told about failures that are new, growing or back, and about repairs,
through the channels that the template or daruma.yaml declares. How that goes is
in daruma ps.`,
		Example: `  daruma notify test
  daruma notify test ops`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(notifyTestCommand(w))
	return c
}

func notifyTestCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "test [CHANNEL…]",
		Short: "Send a sample through channels and print what each answered",
		Long:  `Send a sample through the named channels, or through all, and print what each answered. Ends with 1 when one did not take it.`,
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		answers, err := post[[]console.Tried](c.Context(), a, "/api/notify/test?"+url.Values{"channel": args}.Encode(), nil)
		if err != nil {
			return err
		}
		failed := false
		for _, t := range answers {
			failed = failed || !t.OK
		}
		if *asJSON {
			if err := printJSON(w.out, answers); err != nil {
				return err
			}
		} else {
			table(w.out, "CHANNEL\tKIND\tTAKEN\tTOOK\tANSWER", func(row func(...any)) {
				for _, t := range answers {
					taken, said := "yes", t.Said
					if !t.OK {
						taken, said = "NO", t.Error
					}
					row(t.Channel, t.Kind, taken, t.Took.Round(time.Millisecond), dash(firstLine(said)))
				}
			})
		}
		if failed {
			return errShown
		}
		return nil
	}
	return c
}

// showNotices prints how the telling of owners goes.
func showNotices(row func(...any), n *console.Notices, now time.Time) {
	for _, c := range n.Channels {
		next := "-"
		if !c.Next.IsZero() {
			next = c.Next.Sub(now).Round(time.Second).String()
		}
		row(c.Name, c.Kind, c.Messages, c.Told, c.Waiting, c.GivenUp, next, dash(firstLine(c.Failure)))
	}
}
