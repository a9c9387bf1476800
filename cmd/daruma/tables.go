package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/node"
)

func tablesCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "tables",
		Short: "Show tables, and read, copy and fill them",
		Long: `Show which tables there are and how much is in them. A table is named by its
name or its logical ID. Keys and values are JSON, plain ({"id": "x", "n": 1}) or
with their types beside them ({"id": {"S": "x"}}); answers are plain, and with
--json they have their types.`,
		Example: `  daruma tables
  daruma tables get Orders '{"id": "o-1"}'
  daruma tables query Orders '{"customer": "c-1"}' --where 'placed > :t' --values '{":t": 1700000000}'
  daruma tables scan Orders --filter 'attribute_exists(paid)' --limit 20
  daruma tables export Orders orders.jsonl
  daruma tables import Orders orders.jsonl`,
		Args: cobra.NoArgs,
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		return listTables(c.Context(), w, a, *asJSON)
	}
	c.AddCommand(tablesGetCommand(w), tablesQueryCommand(w), tablesScanCommand(w), tablesExportCommand(w), tablesImportCommand(w))
	return c
}

// operate calls an operation of the table API, signed by the operator.
func operate(ctx context.Context, a node.Address, op string, input, output any) error {
	body, err := json.Marshal(input)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.AWS, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	key, err := node.OperatorKey(a.Data)
	if err != nil {
		return err
	}
	creds := aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, fmt.Sprintf("%x", sha256.Sum256(body)), "dynamodb", a.Region, time.Now()); err != nil {
		return &daruma.Error{Op: "sign the request", Err: err}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return &daruma.Error{Op: "ask the node", Ref: a.AWS, Kind: daruma.KindUnavailable, Err: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return &daruma.Error{Op: "read the answer", Err: err}
	case resp.StatusCode >= 300:
		return &daruma.Error{Op: op, Kind: daruma.KindInvalid, Err: errors.New(messageOf(answer))}
	}
	return json.Unmarshal(answer, output)
}

// A tableInfo is what is shown of a table.
type tableInfo struct {
	TableName              string
	ItemCount              int64
	TableSizeBytes         int64
	BillingModeSummary     *struct{ BillingMode string } `json:",omitempty"`
	GlobalSecondaryIndexes []struct{ IndexName, IndexStatus string }
	LocalSecondaryIndexes  []struct{ IndexName string }
	StreamSpecification    *struct{ StreamViewType string } `json:",omitempty"`
	KeySchema              []struct{ AttributeName, KeyType string }
}

func tableNames(ctx context.Context, a node.Address) ([]string, error) {
	var all []string
	after := ""
	for {
		input := map[string]any{}
		if after != "" {
			input["ExclusiveStartTableName"] = after
		}
		var page struct {
			TableNames             []string
			LastEvaluatedTableName string
		}
		if err := operate(ctx, a, "ListTables", input, &page); err != nil {
			return nil, err
		}
		all = append(all, page.TableNames...)
		if after = page.LastEvaluatedTableName; after == "" {
			return all, nil
		}
	}
}

func listTables(ctx context.Context, w world, a node.Address, asJSON bool) error {
	names, err := tableNames(ctx, a)
	if err != nil {
		return err
	}
	all := []json.RawMessage{}
	shown := make([]tableInfo, 0, len(names))
	for _, name := range names {
		var described struct{ Table json.RawMessage }
		if err := operate(ctx, a, "DescribeTable", map[string]any{"TableName": name}, &described); err != nil {
			return err
		}
		var info tableInfo
		if err := json.Unmarshal(described.Table, &info); err != nil {
			return err
		}
		all, shown = append(all, described.Table), append(shown, info)
	}
	if asJSON {
		return printJSON(w.out, all)
	}
	table(w.out, "TABLE\tKEY\tITEMS\tBYTES\tCAPACITY\tINDEXES\tSTREAM", func(row func(...any)) {
		for _, t := range shown {
			var key, indexes []string
			for _, k := range t.KeySchema {
				key = append(key, k.AttributeName)
			}
			for _, x := range t.LocalSecondaryIndexes {
				indexes = append(indexes, x.IndexName)
			}
			for _, x := range t.GlobalSecondaryIndexes {
				name := x.IndexName
				if x.IndexStatus != "ACTIVE" {
					name += " (" + strings.ToLower(x.IndexStatus) + ")"
				}
				indexes = append(indexes, name)
			}
			capacity, stream := "provisioned", ""
			if t.BillingModeSummary != nil {
				capacity = "on demand"
			}
			if t.StreamSpecification != nil {
				stream = t.StreamSpecification.StreamViewType
			}
			row(t.TableName, strings.Join(key, ", "), t.ItemCount, t.TableSizeBytes, capacity, dash(strings.Join(indexes, ", ")), dash(stream))
		}
	})
	if len(names) == 0 {
		fmt.Fprintln(w.err, "no table")
	}
	return nil
}

// tableNamed finds the table with a name, or the one made for a logical ID.
func tableNamed(ctx context.Context, a node.Address, name string) (string, error) {
	names, err := tableNames(ctx, a)
	if err != nil {
		return "", err
	}
	if slices.Contains(names, name) {
		return name, nil
	}
	var made []string
	for _, n := range names {
		if before, _, ok := strings.Cut(n, "-"+name+"-"); ok && len(n) == len(before)+len(name)+2+12 {
			made = append(made, n)
		}
	}
	if len(made) == 1 {
		return made[0], nil
	}
	return "", &daruma.Error{Op: "find the table", Ref: name, Kind: daruma.KindNotFound, Err: errors.New("there is no such table"), Hint: "daruma tables lists them"}
}

var typeNames = []string{"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"}

// typed puts types beside plain values. An object with one member that is
// named like a type is taken as it is.
func typed(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return map[string]any{"NULL": true}, nil
	case bool:
		return map[string]any{"BOOL": v}, nil
	case string:
		return map[string]any{"S": v}, nil
	case json.Number:
		return map[string]any{"N": v.String()}, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = typed(v[i]); err != nil {
				return nil, err
			}
		}
		return map[string]any{"L": out}, nil
	case map[string]any:
		if len(v) == 1 {
			for k := range v {
				if slices.Contains(typeNames, k) {
					return v, nil
				}
			}
		}
		out, err := typedItem(v)
		return map[string]any{"M": out}, err
	}
	return nil, fmt.Errorf("%v is no JSON", v)
}

func typedItem(m map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for k := range m {
		var err error
		if out[k], err = typed(m[k]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plain takes the types away.
func plain(v any) any {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return v
	}
	for k, x := range m {
		switch k {
		case "NULL":
			return nil
		case "N":
			return json.Number(fmt.Sprint(x))
		case "NS":
			var out []any
			for _, e := range x.([]any) {
				out = append(out, json.Number(fmt.Sprint(e)))
			}
			return out
		case "L":
			out := []any{}
			for _, e := range x.([]any) {
				out = append(out, plain(e))
			}
			return out
		case "M":
			return plainItem(x.(map[string]any))
		}
		return x
	}
	return v
}

func plainItem(it map[string]any) map[string]any {
	out := make(map[string]any, len(it))
	for k := range it {
		out[k] = plain(it[k])
	}
	return out
}

// object reads an argument that is a JSON object, with types or plain.
func object(what, text string) (map[string]any, error) {
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&m); err != nil || m == nil {
		return nil, &daruma.Error{Op: "read " + what, Ref: text, Kind: daruma.KindInvalid, Err: errors.New("it is no JSON object"), Hint: `write it as '{"id": "x"}'`}
	}
	return typedItem(m)
}

func printItem(w world, it map[string]any, asJSON bool) error {
	if asJSON {
		return printJSON(w.out, it)
	}
	return printJSON(w.out, plainItem(it))
}

func tablesGetCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "get TABLE KEY", Short: "Print the item with a key", Args: cobra.ExactArgs(2), Example: `  daruma tables get Orders '{"id": "o-1"}'`}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		name, err := tableNamed(c.Context(), a, args[0])
		if err != nil {
			return err
		}
		key, err := object("the key", args[1])
		if err != nil {
			return err
		}
		var got struct{ Item map[string]any }
		if err := operate(c.Context(), a, "GetItem", map[string]any{"TableName": name, "Key": key, "ConsistentRead": true}, &got); err != nil {
			return err
		}
		if got.Item == nil {
			return &daruma.Error{Op: "get the item", Ref: args[1], Kind: daruma.KindNotFound, Err: errors.New("there is none")}
		}
		return printItem(w, got.Item, *asJSON)
	}
	return c
}

// tableReadFlags are those of queries and scans.
type tableReadFlags struct {
	data, index, filter, values, names *string
	limit                              *int
	asJSON                             *bool
}

func addTableReadFlags(c *cobra.Command) tableReadFlags {
	return tableReadFlags{
		data: dataFlag(c), asJSON: jsonFlag(c),
		index:  c.Flags().String("index", "", "read in the order of this index"),
		filter: c.Flags().String("filter", "", "only items for which this expression holds"),
		values: c.Flags().String("values", "", `what :names in expressions stand for: '{":t": 1}'`),
		names:  c.Flags().String("names", "", `what #names in expressions stand for: '{"#s": "status"}'`),
		limit:  c.Flags().IntP("limit", "n", 0, "at most so many items (default: all)"),
	}
}

// read prints pages of items until there are enough.
func (f tableReadFlags) read(ctx context.Context, w world, op, tableName string, input map[string]any) error {
	a, err := node.Find(w.dir, *f.data)
	if err != nil {
		return err
	}
	if input["TableName"], err = tableNamed(ctx, a, tableName); err != nil {
		return err
	}
	if *f.index != "" {
		input["IndexName"] = *f.index
	}
	if *f.filter != "" {
		input["FilterExpression"] = *f.filter
	}
	if err := f.placeholders(input); err != nil {
		return err
	}
	for n := 0; ; {
		var page struct {
			Items            []map[string]any
			LastEvaluatedKey map[string]any
		}
		if err := operate(ctx, a, op, input, &page); err != nil {
			return err
		}
		for _, it := range page.Items {
			if err := printItem(w, it, *f.asJSON); err != nil {
				return err
			}
			if n++; n == *f.limit {
				return nil
			}
		}
		if page.LastEvaluatedKey == nil {
			return nil
		}
		input["ExclusiveStartKey"] = page.LastEvaluatedKey
	}
}

// placeholders adds what the flags say that names and values stand for.
func (f tableReadFlags) placeholders(input map[string]any) error {
	if *f.values != "" {
		values, err := object("--values", *f.values)
		if err != nil {
			return err
		}
		if all, ok := input["ExpressionAttributeValues"].(map[string]any); ok {
			maps.Copy(values, all)
		}
		input["ExpressionAttributeValues"] = values
	}
	if *f.names != "" {
		names := map[string]string{}
		if err := json.Unmarshal([]byte(*f.names), &names); err != nil {
			return &daruma.Error{Op: "read --names", Ref: *f.names, Kind: daruma.KindInvalid, Err: err, Hint: `write it as '{"#s": "status"}'`}
		}
		if all, ok := input["ExpressionAttributeNames"].(map[string]string); ok {
			maps.Copy(names, all)
		}
		input["ExpressionAttributeNames"] = names
	}
	return nil
}

func tablesQueryCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "query TABLE KEY", Short: "Print the items of a partition, in order", Args: cobra.ExactArgs(2),
		Long:    "Print the items whose key has the values given: the partition key, and the sort key if one likes. --where says more about the sort key.",
		Example: `  daruma tables query Orders '{"customer": "c-1"}' --where 'begins_with(placed, :d)' --values '{":d": "2026-"}' --reverse`}
	f := addTableReadFlags(c)
	where := c.Flags().String("where", "", "a condition on the sort key")
	reverse := c.Flags().Bool("reverse", false, "the last first")
	c.RunE = func(c *cobra.Command, args []string) error {
		key, err := object("the key", args[1])
		if err != nil {
			return err
		}
		names, values := map[string]string{}, map[string]any{}
		var conditions []string
		for i, name := range slices.Sorted(maps.Keys(key)) {
			n := strconv.Itoa(i)
			names["#key"+n], values[":key"+n] = name, key[name]
			conditions = append(conditions, "#key"+n+" = :key"+n)
		}
		if *where != "" {
			conditions = append(conditions, *where)
		}
		return f.read(c.Context(), w, "Query", args[0], map[string]any{
			"KeyConditionExpression": strings.Join(conditions, " AND "), "ExpressionAttributeNames": names, "ExpressionAttributeValues": values, "ScanIndexForward": !*reverse,
		})
	}
	return c
}

func tablesScanCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "scan TABLE", Short: "Print all items", Args: cobra.ExactArgs(1), Example: `  daruma tables scan Orders --filter 'total > :t' --values '{":t": 100}' --limit 20`}
	f := addTableReadFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return f.read(c.Context(), w, "Scan", args[0], map[string]any{})
	}
	return c
}

func tablesExportCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "export TABLE [FILE]", Short: "Write all items as JSON lines", Args: cobra.RangeArgs(1, 2),
		Long:    `Write each item as a line {"Item": …} with types, as the service's own exports have them: to a file, or to standard output.`,
		Example: `  daruma tables export Orders orders.jsonl`}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		name, err := tableNamed(c.Context(), a, args[0])
		if err != nil {
			return err
		}
		to := w.out
		if len(args) == 2 && args[1] != "-" {
			file, err := os.Create(inDir(w, args[1]))
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

func inDir(w world, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(w.dir, path)
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
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		name, err := tableNamed(c.Context(), a, args[0])
		if err != nil {
			return err
		}
		from, ref := w.in, "standard input"
		if len(args) == 2 && args[1] != "-" {
			file, err := os.Open(inDir(w, args[1]))
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

// lineBytesMax is the longest line that is imported: an item of 400 KB, with
// its types and escapes.
const lineBytesMax = 4 << 20

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
				return n, &daruma.Error{Op: "import", Ref: fmt.Sprintf("%s, up to line %d", ref, line), Kind: daruma.KindOf(err), Err: err}
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
