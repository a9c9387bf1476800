package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/node"
)

func tablesExportCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "export TABLE [FILE]", Short: "Write all items as JSON lines", Args: cobra.RangeArgs(1, 2),
		Long:    `Write each item as a line {"Item": …} with types, as the service's own exports have them: to a file, or to standard output.`,
		Example: `  daruma tables export Orders orders.jsonl`}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		a, name, err := findTable(c.Context(), w, *data, args[0])
		if err != nil {
			return err
		}
		to := w.out
		if len(args) == 2 && args[1] != "-" {
			file, err := os.Create(w.path(args[1]))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, file.Close()) }()
			to = file
		}
		n, err := exportTable(c.Context(), a, name, to)
		if err != nil || to == w.out {
			return err
		}
		return tellItems(w, *asJSON, n, "written")
	}
	return c
}

func tellItems(w world, asJSON bool, n int, what string) error {
	if asJSON {
		return printJSON(w.out, map[string]int{"items": n})
	}
	fmt.Fprintf(w.out, "%d items %s\n", n, what)
	return nil
}

func exportTable(ctx context.Context, a node.Address, name string, to io.Writer) (int, error) {
	out := bufio.NewWriter(to)
	input := map[string]any{"TableName": name, "ConsistentRead": true}
	for n := 0; ; {
		var page struct {
			Items            []json.RawMessage
			LastEvaluatedKey json.RawMessage
		}
		if err := operate(ctx, a, "Scan", input, &page); err != nil {
			return n, err
		}
		for _, it := range page.Items {
			if _, err := fmt.Fprintf(out, "{\"Item\":%s}\n", it); err != nil {
				return n, err
			}
			n++
		}
		if page.LastEvaluatedKey == nil {
			return n, out.Flush()
		}
		input["ExclusiveStartKey"] = page.LastEvaluatedKey
	}
}

func tablesImportCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "import TABLE [FILE]", Short: "Put items from JSON lines into a table", Args: cobra.RangeArgs(1, 2),
		Long:    `Put one item for each line: {"Item": …} as export writes them, or an item by itself, with types or plain. What was imported before a mistake stays.`,
		Example: `  daruma tables import Orders orders.jsonl`}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, name, err := findTable(c.Context(), w, *data, args[0])
		if err != nil {
			return err
		}
		from, ref := w.in, "standard input"
		if len(args) == 2 && args[1] != "-" {
			file, err := os.Open(w.path(args[1]))
			if err != nil {
				return err
			}
			defer file.Close()
			from, ref = file, args[1]
		}
		n, err := importTable(c.Context(), a, name, ref, from)
		if err != nil {
			return err
		}
		return tellItems(w, *asJSON, n, "imported")
	}
	return c
}

func importTable(ctx context.Context, a node.Address, name, ref string, from io.Reader) (int, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, lineBytesMax)
	var part []any
	n := 0
	flush := func() error {
		for left := any(part); len(part) > 0; {
			var done struct{ UnprocessedItems map[string][]any }
			if err := operate(ctx, a, "BatchWriteItem", map[string]any{"RequestItems": map[string]any{name: left}}, &done); err != nil {
				return err
			}
			if len(done.UnprocessedItems[name]) == 0 {
				break
			}
			left = done.UnprocessedItems[name]
			if err := (daruma.SystemClock{}).Sleep(ctx, time.Second); err != nil { // its throughput is used up
				return err
			}
		}
		n += len(part)
		part = nil
		return nil
	}
	for line := 1; lines.Scan(); line++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		it, err := importedItem(lines.Text())
		if err != nil {
			return n, &daruma.Error{Op: "read an item", Ref: fmt.Sprintf("%s:%d", ref, line), Kind: daruma.KindInvalid, Err: err}
		}
		part = append(part, map[string]any{"PutRequest": map[string]any{"Item": it}})
		if len(part) == 25 {
			if err := flush(); err != nil {
				return n, daruma.Wrap("import", fmt.Sprintf("%s, up to line %d", ref, line), err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return n, err
	}
	return n, flush()
}

func importedItem(text string) (map[string]any, error) {
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	if inner, ok := m["Item"].(map[string]any); ok && len(m) == 1 {
		m = inner
	}
	return typedItem(m)
}

// lineBytesMax is the longest line that is imported: an item of 400 KB, with
// its types and escapes.
const lineBytesMax = 4 << 20
