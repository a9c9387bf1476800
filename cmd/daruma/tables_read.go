package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
)

func tablesGetCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "get TABLE KEY", Short: "Print the item with a key", Args: cobra.ExactArgs(2), Example: `  daruma tables get Orders '{"id": "o-1"}'`}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, name, err := findTable(c.Context(), w, *data, args[0])
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
	a, name, err := findTable(ctx, w, *f.data, tableName)
	if err != nil {
		return err
	}
	input["TableName"] = name
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
