package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
)

func mappingsCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "mappings",
		Short: "Show which functions are handed the records of what",
		Long: `An event source mapping hands the messages of a queue, or the changes of a table, to a
function, in batches. It comes from the template, or was made through the Lambda API.
While its function is held (daruma breakers) nothing is handed out: messages and
records keep their place and their counts. AGE is that of the oldest record of a stream
that is not done: when it grows, a batch fails and those behind it wait.`,
		Example: `  daruma mappings ls
  daruma mappings show Orders
  daruma mappings disable 4f0c2c4e-7d4c-4b0a-9f0e-1d2f3a4b5c6d`,
		Args: cobra.NoArgs,
	}
	listing(c, mappingsListCommand(w))
	c.AddCommand(mappingsShowCommand(w), mappingsEnableCommand(w, true), mappingsEnableCommand(w, false))
	return c
}

func mappingsListCommand(w world) *cobra.Command {
	return list[console.Mapping]{
		path:   "/api/mappings",
		header: "MAPPING\tSOURCE\tFUNCTION\tSTATE\tRUNNING\tIN FLIGHT\tAT MOST\tAGE\tLAST RESULT",
		cells: func(m console.Mapping) []any {
			return []any{m.UUID, m.Source.Name, m.Target(), mappingState(m), m.Batches, m.Records, m.AtOnceNow, mappingAge(m), lastResult(m)}
		},
		none: "there is no event source mapping",
	}.verb(w, &cobra.Command{Use: "ls", Short: "List event source mappings", Args: cobra.NoArgs})
}

// mappingState is a mapping's state, and whether it is held.
func mappingState(m console.Mapping) string {
	if m.Held {
		return string(m.State) + ", held"
	}
	return string(m.State)
}

// mappingAge is how old the oldest record of a stream is that is not done.
func mappingAge(m console.Mapping) string {
	if m.Stream == nil {
		return "-"
	}
	oldest := time.Duration(0)
	for _, l := range m.Lanes {
		oldest = max(oldest, l.Age)
	}
	return oldest.Round(time.Second).String()
}

func lastResult(m console.Mapping) string {
	if m.Result == nil {
		return "-"
	}
	return firstLine(m.Result.Text)
}

// mappingNamed finds the one mapping with a UUID (or its beginning), or of a function or a source.
func mappingNamed(ctx context.Context, a node.Address, name string) (console.Mapping, error) {
	var list, found []console.Mapping
	if err := get(ctx, a, "/api/mappings", &list); err != nil {
		return console.Mapping{}, err
	}
	for _, m := range list {
		if strings.HasPrefix(m.UUID, name) || m.Function == name || m.Source.Name == name || m.LogicalID == name {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return console.Mapping{}, &daruma.Error{Op: "find the mapping", Ref: name, Kind: daruma.KindNotFound, Hint: "daruma mappings ls lists them"}
	}
	return console.Mapping{}, &daruma.Error{Op: "find the mapping", Ref: name, Kind: daruma.KindInvalid, Err: fmt.Errorf("%d mappings are called so", len(found)), Hint: "name one by its UUID: daruma mappings ls"}
}

func mappingsShowCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "show MAPPING", Short: "Show one mapping, by its UUID, function or queue", Args: cobra.ExactArgs(1)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		m, err := mappingNamed(c.Context(), a, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, m)
		}
		line := func(name string, value any) { fmt.Fprintf(w.out, "%-12s %v\n", name, value) }
		line("mapping", m.UUID)
		line("source", m.Source.ARN)
		line("function", m.Target())
		line("state", mappingState(m))
		line("since", m.Changed.Local().Format(time.DateTime))
		line("batch", fmt.Sprintf("up to %d, within %v", m.Batch, m.Window))
		line("running", fmt.Sprintf("%d batches with %d records, %d at once at most now", m.Batches, m.Records, m.AtOnceNow))
		if m.Partial {
			line("reports", "the function says which records of a batch failed")
		}
		for _, f := range m.Filters {
			line("filter", f)
		}
		showStream(m, line)
		for _, key := range slices.Sorted(maps.Keys(m.Tags)) {
			line("tag", key+"="+m.Tags[key])
		}
		if m.Held {
			line("held", m.Why)
		}
		if m.Result != nil {
			line("last result", m.Result.At.Local().Format(time.DateTime)+"  "+m.Result.Text)
		}
		return nil
	}
	return c
}

// showStream shows what mappings of streams have beside the rest.
func showStream(m console.Mapping, line func(name string, value any)) {
	s := m.Stream
	if s == nil {
		return
	}
	line("starts", s.Start)
	retries := "until its records are too old"
	if s.Retries >= 0 {
		retries = fmt.Sprintf("%d times", s.Retries)
	}
	if s.Bisect {
		retries += ", in halves"
	}
	line("tries again", retries)
	if s.Age > 0 {
		line("gives up", fmt.Sprintf("records older than %v", s.Age))
	}
	if s.OnFailure != "" {
		line("tells", s.OnFailure)
	}
	if s.Tumble > 0 {
		line("window", s.Tumble)
	}
	for _, l := range m.Lanes {
		text := fmt.Sprintf("%s %d: nothing waits", l.Shard, l.Lane)
		if l.Age > 0 {
			text = fmt.Sprintf("%s %d: the oldest record that is not done is %v old", l.Shard, l.Lane, l.Age.Round(time.Second))
		}
		if l.Tries > 0 {
			text += fmt.Sprintf("; it was tried %d times", l.Tries)
		}
		if !l.Due.IsZero() {
			text += ", again at " + l.Due.Local().Format(time.TimeOnly)
		}
		line("lane", text)
	}
}

func mappingsEnableCommand(w world, enabled bool) *cobra.Command {
	verb, short := "disable", "Take no more messages for a mapping; what runs goes on"
	if enabled {
		verb, short = "enable", "Take messages for a mapping again"
	}
	c := &cobra.Command{Use: verb + " MAPPING", Short: short, Args: cobra.ExactArgs(1)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		m, err := mappingNamed(c.Context(), a, args[0])
		if err != nil {
			return err
		}
		if m.State == "Deleting" {
			return errors.New("it is being deleted")
		}
		body, err := ask(c.Context(), a, "POST", "/api/mapping?"+url.Values{"mapping": {m.UUID}, "enabled": {fmt.Sprint(enabled)}}.Encode())
		if err != nil {
			return err
		}
		defer body.Close()
		if *asJSON {
			return printJSON(w.out, map[string]any{"uuid": m.UUID, "enabled": enabled})
		}
		fmt.Fprintf(w.out, "%s: %sd\n", m.UUID, verb)
		return nil
	}
	return c
}
