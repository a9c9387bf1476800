package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/topic"
)

func topicsCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "topics",
		Short: "Show topics and who subscribes to them, and publish",
		Long: `What is published to a topic is handed to everybody who subscribes and wants it:
queues, functions and URLs. What a subscription cannot take is in its dead-letter
queue and among the failures.`,
		Example: `  daruma topics ls
  daruma topics show orders
  daruma topics publish orders '{"id": 7}' --attribute color=red`,
		Args: cobra.NoArgs,
	}
	listing(c, topicsListCommand(w))
	c.AddCommand(topicsShowCommand(w), topicsPublishCommand(w))
	return c
}

func topicsListCommand(w world) *cobra.Command {
	return list[console.Topic]{
		path:   "/api/topics",
		header: "TOPIC\tSUBSCRIPTIONS\tPUBLISHED\tDELIVERED\tWAITING\tFAILED\tFILTERED\tARCHIVE",
		cells: func(t console.Topic) []any {
			return []any{t.Name, len(t.Subscriptions), t.Account.Published, t.Account.Delivered, t.Account.Waiting, t.Account.Failed, t.Account.Filtered, archive(t)}
		},
		none: "there is no topic",
	}.verb(w, &cobra.Command{Use: "ls", Short: "List topics with what became of their messages", Args: cobra.NoArgs})
}

// archive is what a topic's archive has, with its size on the disk.
func archive(t console.Topic) string {
	if t.KeepDays == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, %d kB, %d days", t.Account.Archived, (t.Account.ArchivedBytes+1023)>>10, t.KeepDays)
}

func topicsShowCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "show TOPIC", Short: "Show a topic's subscriptions", Args: cobra.ExactArgs(1), Example: "  daruma topics show orders --json"}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		var list []console.Topic
		if err := get(c.Context(), a, "/api/topics", &list); err != nil {
			return err
		}
		t, err := topicNamed(list, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, t)
		}
		table(w.out, "PROTOCOL\tENDPOINT\tSTATE\tREPLAY\tWAITING\tRAW\tDEAD LETTERS\tFILTER", func(row func(...any)) {
			for _, s := range t.Subscriptions {
				state := "confirmed"
				if s.Pending {
					state = "pending"
				}
				row(s.Protocol, s.Endpoint, state, dash(s.Replay), s.Waiting, s.Raw, dash(s.DeadLetter), dash(s.Filter))
			}
		})
		return nil
	}
	return c
}

// topicNamed finds a topic by its name or its logical ID.
func topicNamed(list []console.Topic, name string) (console.Topic, error) {
	var all []string
	for _, t := range list {
		if t.Name == name || t.LogicalID == name {
			return t, nil
		}
		all = append(all, t.Name)
	}
	return console.Topic{}, fmt.Errorf("there is no topic %s; there are: %s", name, strings.Join(all, ", "))
}

func topicsPublishCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "publish TOPIC MESSAGE", Short: "Publish a message, given, in a @FILE, or on standard input (-)", Args: cobra.ExactArgs(2),
		Example: "  daruma topics publish orders @order.json --subject 'A new order'\n  daruma topics publish orders.fifo hello --group g --once 7"}
	data, asJSON := dataFlag(c), jsonFlag(c)
	var p console.Publication
	fl := c.Flags()
	fl.StringVar(&p.Message.Subject, "subject", "", "the message's subject")
	fl.StringVar(&p.Message.Group, "group", "", "its group, which a FIFO topic requires")
	fl.StringVar(&p.Message.Once, "once", "", "what a FIFO topic knows it by")
	attributes := fl.StringArray("attribute", nil, "an attribute, NAME=TEXT; may be given again")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		if p.Body, err = w.message(args[1]); err != nil {
			return err
		}
		for _, is := range *attributes {
			name, value, ok := strings.Cut(is, "=")
			if !ok || name == "" || value == "" {
				return errUsage{fmt.Errorf("--attribute %s: it is NAME=TEXT", is)}
			}
			p.Message.Attributes = append(p.Message.Attributes, topic.Attribute{Name: name, Type: "String", Value: []byte(value)})
		}
		var list []console.Topic
		if err := get(c.Context(), a, "/api/topics", &list); err != nil {
			return err
		}
		t, err := topicNamed(list, args[0])
		if err != nil {
			return err
		}
		p.Topic = t.Name
		body, err := json.Marshal(p)
		if err != nil {
			return err
		}
		q, err := http.NewRequestWithContext(c.Context(), http.MethodPost, a.Console+"/api/publish", bytes.NewReader(body))
		if err != nil {
			return err
		}
		answer, err := send(q, a)
		if err != nil {
			return err
		}
		defer answer.Close()
		var done topic.Published
		if err := json.NewDecoder(answer).Decode(&done); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, done)
		}
		if done.Duplicate {
			fmt.Fprintln(w.out, done.ID, "was published before")
			return nil
		}
		fmt.Fprintln(w.out, done.ID)
		return nil
	}
	return c
}

// message returns a message as it is given: itself, @FILE, or - for standard input.
func (w world) message(given string) (string, error) {
	if given == "-" {
		b, err := io.ReadAll(io.LimitReader(w.in, topic.MessageBytesMax+1))
		return string(b), err
	}
	name, isFile := strings.CutPrefix(given, "@")
	if !isFile {
		return given, nil
	}
	b, err := os.ReadFile(w.path(name))
	return string(b), err
}
