package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/queue"
)

func queuesCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "queues",
		Short: "Show queues, and look into them",
		Long: `Show what is in each queue: messages that are visible, in flight and delayed, how
long the oldest ones have waited that were never tried and that were, and whose
dead letters it takes. A queue is named by its name or its logical ID.`,
		Example: `  daruma queues
  daruma queues peek Orders -n 5
  daruma queues send Orders '{"item":"brush"}'
  daruma queues redrive OrdersDead --rate 10
  daruma queues purge OrdersDead`,
		Args: cobra.NoArgs,
	}
	list[console.Queue]{
		path:   "/api/queues",
		header: "QUEUE\tVISIBLE\tIN FLIGHT\tDELAYED\tUNTRIED FOR\tTRIED FOR\tHELD\tDEAD LETTERS TO\tDEAD LETTERS OF",
		cells: func(q console.Queue) []any {
			return []any{q.Name, q.Account.Visible, q.Account.InFlight, q.Account.Delayed, waited(q.UntriedFor), waited(q.TriedFor), dash(q.Held), dash(q.DeadLetter), dash(strings.Join(q.DeadLetterOf, ", "))}
		},
		none: "there is no queue",
	}.verb(w, c)
	c.AddCommand(queuesPeekCommand(w), queuesSendCommand(w), queuesRedriveCommand(w), queuesPurgeCommand(w))
	return c
}

func waited(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(time.Second).String()
}

func queuesPeekCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "peek QUEUE", Short: "Look at messages without touching them", Args: cobra.ExactArgs(1)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	n := c.Flags().IntP("last", "n", 10, "at most so many, the oldest first")
	after := c.Flags().Uint64("after", 0, "only messages with numbers above this")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		var list []console.Message
		if err := get(c.Context(), a, fmt.Sprintf("/api/queue?queue=%s&n=%d&after=%d", url.QueryEscape(args[0]), *n, *after), &list); err != nil {
			return err
		}
		if *asJSON {
			for _, m := range list {
				if err := printJSON(w.out, m); err != nil {
					return err
				}
			}
			return nil
		}
		table(w.out, "NUMBER\tMESSAGE\tSTATE\tGROUP\tSENT\tRECEIVES\tLAST TRY\tBODY", func(row func(...any)) {
			for _, m := range list {
				row(m.Number, m.ID, m.State, dash(m.Group), m.Sent.Local().Format(time.DateTime), m.Receives, dash(firstLine(m.Tried)), firstLine(m.Body))
			}
		})
		noteClock(w.out, a)
		return nil
	}
	return c
}

func queuesSendCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "send QUEUE BODY", Short: "Send a message", Long: "Send a message. BODY is its text, or @FILE.", Args: cobra.ExactArgs(2)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	group := c.Flags().String("group", "", "its message group; needed for a FIFO queue")
	once := c.Flags().String("once", "", "its deduplication ID (FIFO); a new one when there is none")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		body := []byte(args[1])
		if name, ok := strings.CutPrefix(args[1], "@"); ok {
			name = w.path(name)
			if body, err = os.ReadFile(name); err != nil {
				return &daruma.Error{Op: "read the message", Ref: name, Kind: daruma.KindInvalid, Err: err}
			}
		}
		q := url.Values{"queue": {args[0]}, "group": {*group}, "once": {*once}}
		sent, err := post[struct {
			ID        string `json:"id"`
			Duplicate bool   `json:"duplicate,omitempty"`
		}](c.Context(), a, "/api/queue/send?"+q.Encode(), body)
		switch {
		case err != nil:
			return err
		case *asJSON:
			return printJSON(w.out, sent)
		case sent.Duplicate:
			fmt.Fprintf(w.out, "%s was sent before\n", sent.ID)
		default:
			fmt.Fprintln(w.out, sent.ID)
		}
		return nil
	}
	return c
}

func queuesRedriveCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "redrive QUEUE",
		Short: "Move dead letters back to where they came from",
		Long: `Move the messages of a dead-letter queue back to the queues they came from, or to
another one, and wait until that is done. Their failures are redriven with them.`,
		Args: cobra.ExactArgs(1),
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	to := c.Flags().String("to", "", "another queue to move them to")
	rate := c.Flags().Int("rate", 0, fmt.Sprintf("at most so many a second, up to %d (default: as fast as is good)", queue.MoveRateMax))
	detach := c.Flags().Bool("detach", false, "do not wait until it is done")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		q := url.Values{"queue": {args[0]}, "to": {*to}}
		if *rate != 0 {
			q.Set("rate", strconv.Itoa(*rate))
		}
		m, err := post[*queue.Move](c.Context(), a, "/api/queue/move?"+q.Encode(), nil)
		if err == nil && !*detach {
			m, err = moved(c.Context(), a, m)
		}
		switch {
		case err != nil:
			return err
		case *asJSON:
			return printJSON(w.out, m)
		case m.State == queue.MoveFailed:
			return &daruma.Error{Op: "move messages", Ref: m.Queue, Err: errors.New(m.Failure), Hint: fmt.Sprintf("%d messages were moved before", m.Moved)}
		}
		fmt.Fprintf(w.out, "%s: %d of %d messages moved\n", m.State, m.Moved, m.Count)
		return nil
	}
	return c
}

// moved waits until a move has ended.
func moved(ctx context.Context, a node.Address, m *queue.Move) (*queue.Move, error) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		var list []console.Queue
		if err := get(ctx, a, "/api/queues", &list); err != nil {
			return nil, err
		}
		for _, q := range list {
			if q.Name == m.Queue && q.Move != nil && (q.Move.Number != m.Number || q.Move.State != queue.MoveRunning) {
				return q.Move, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.C:
		}
	}
}

func queuesPurgeCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "purge QUEUE", Short: "Remove all messages of a queue", Args: cobra.ExactArgs(1)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		done, err := post[struct {
			Messages int64 `json:"messages"`
		}](c.Context(), a, "/api/queue/purge?queue="+url.QueryEscape(args[0]), nil)
		switch {
		case err != nil:
			return err
		case *asJSON:
			return printJSON(w.out, done)
		}
		fmt.Fprintf(w.out, "%d messages removed\n", done.Messages)
		return nil
	}
	return c
}
