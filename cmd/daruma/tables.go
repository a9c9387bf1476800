package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
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
		fmt.Fprintln(w.err, "there is no table")
	}
	return nil
}

// findTable finds the node, and the name of the table with a name or a logical ID.
func findTable(ctx context.Context, w world, data, table string) (a node.Address, name string, err error) {
	if a, err = node.Find(w.dir, data); err != nil {
		return a, "", err
	}
	var all []console.Table
	if err := get(ctx, a, "/api/tables", &all); err != nil {
		return a, "", err
	}
	for _, t := range all {
		if t.Name == table || t.LogicalID != "" && t.LogicalID == table {
			return a, t.Name, nil
		}
	}
	return a, "", &daruma.Error{Op: "find the table", Ref: table, Kind: daruma.KindNotFound, Err: errors.New("there is no such table"), Hint: "daruma tables lists them"}
}
