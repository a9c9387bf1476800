package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	tableKeys  = 1024 // items that are written, updated and read
	tablePages = 64   // partitions that are queried
	pageItems  = 20   // in each of them
	transacted = 4    // items in a transaction
	batchItems = 25   // in a batch that fills
)

// filler is what makes items about 256 bytes.
var filler = strings.Repeat("d", 200)

// tableWorks are what is measured of every table, each with as many requests as make it what it is.
var tableWorks = []struct {
	name      string
	operation string
	requests  int
	body      func(i int) string
}{
	{"PutItem", "PutItem", 2 * tableKeys, func(i int) string {
		return `{"TableName":"bench","Item":` + another(i, tableKeys) + `}`
	}},
	{"UpdateItem on a condition", "UpdateItem", tableKeys, func(i int) string {
		return `{"TableName":"bench","Key":{"pk":{"S":"` + key(i) + `"},"sk":{"S":"00"}},"UpdateExpression":"SET v = v + :one","ConditionExpression":"attribute_exists(pk) AND v >= :zero","ExpressionAttributeValues":{":one":{"N":"1"},":zero":{"N":"0"}}}`
	}},
	{"GetItem", "GetItem", tableKeys, func(i int) string {
		return `{"TableName":"bench","Key":{"pk":{"S":"` + key(i) + `"},"sk":{"S":"00"}}}`
	}},
	{"Query of 20", "Query", tablePages, func(i int) string {
		return `{"TableName":"bench","KeyConditionExpression":"pk = :p","Limit":20,"ExpressionAttributeValues":{":p":{"S":"` + page(i) + `"}}}`
	}},
	{"TransactWriteItems of 4", "TransactWriteItems", 2 * tableKeys / transacted, func(i int) string {
		var all []string
		for j := range transacted {
			all = append(all, `{"Put":{"TableName":"bench","Item":`+another(i*transacted+j, tableKeys)+`}}`)
		}
		return `{"TransactItems":[` + strings.Join(all, ",") + `]}`
	}},
}

// another is the item of a key as it was not the time before: what changes
// nothing has nothing to be synced.
func another(i, keys int) string { return item(key(i%keys), 0, strconv.Itoa(1+i/keys), filler) }

func key(i int) string  { return fmt.Sprintf("k%05d", i) }
func page(i int) string { return fmt.Sprintf("q%05d", i) }

func item(pk string, sk int, v, data string) string {
	return fmt.Sprintf(`{"pk":{"S":"%s"},"sk":{"S":"%02d"},"v":{"N":"%s"},"d":{"S":"%s"}}`, pk, sk, v, data)
}

// A tableServer is a server with tables, and what makes its requests.
type tableServer struct {
	server
	signer
}

const (
	putItem  = "tables, daruma (synced), PutItem"
	diskSync = "tables, the disk's own sync"
)

// tables are the subjects of tables.
func (w *workshop) tables() []subject {
	all := []subject{{name: diskSync, measure: w.within("sync")}}
	add := func(who string, start func(context.Context) (*tableServer, error)) {
		for _, work := range tableWorks {
			all = append(all, subject{name: "tables, " + who + ", " + work.name, floor: cannedLibrary, measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
				at, err := start(ctx)
				if err != nil {
					return nil, err
				}
				defer at.stop()
				if err := at.furnish(ctx); err != nil {
					return nil, err
				}
				requests := make([][]byte, work.requests)
				for i := range requests {
					if requests[i], err = at.ask(ctx, work.operation, work.body(i)); err != nil {
						return nil, err
					}
				}
				return ladder(ctx, at.addr(), repeat(requests...), d, at.pids)
			}})
		}
	}
	add("daruma (synced)", w.startTables)
	add("dynalite (on disk)", func(ctx context.Context) (*tableServer, error) { return w.startDynalite(ctx, true) })
	add("dynalite (in memory)", func(ctx context.Context) (*tableServer, error) { return w.startDynalite(ctx, false) })
	return all
}

// startTables starts a node with no table.
func (w *workshop) startTables(ctx context.Context) (*tableServer, error) {
	r, drop, err := w.fresh(ctx)
	if err != nil {
		return nil, err
	}
	s, err := r.signer("dynamodb")
	if err != nil {
		drop()
		return nil, err
	}
	return &tableServer{server{r.addr(), r.pids(), drop}, s}, nil
}

func (t *tableServer) addr() string { return t.server.addr }

func (t *tableServer) ask(ctx context.Context, operation, body string) ([]byte, error) {
	return t.call(ctx, "DynamoDB_20120810."+operation, body)
}

// furnish makes the table and the items that works find there.
func (t *tableServer) furnish(ctx context.Context) error {
	if err := t.create(ctx); err != nil {
		return err
	}
	var items []string
	for i := range tableKeys {
		items = append(items, item(key(i), 0, "0", filler))
	}
	for i := range tablePages {
		for j := range pageItems {
			items = append(items, item(page(i), j, "0", filler))
		}
	}
	return until(ctx, t.addr(), len(items)/batchItems+1, func(i int64) ([]byte, error) {
		from := int(i) * batchItems
		return t.batch(ctx, items[from:min(from+batchItems, len(items))])
	})
}

// batch puts items.
func (t *tableServer) batch(ctx context.Context, items []string) ([]byte, error) {
	return t.ask(ctx, "BatchWriteItem", `{"RequestItems":{"bench":[{"PutRequest":{"Item":`+strings.Join(items, `}},{"PutRequest":{"Item":`)+`}}]}}`)
}

// create makes the table, and waits until it can be used.
func (t *tableServer) create(ctx context.Context) error {
	c, err := dial(t.addr())
	if err != nil {
		return err
	}
	defer c.Close()
	request, err := t.ask(ctx, "CreateTable", `{"TableName":"bench","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}]}`)
	if err != nil {
		return err
	}
	if _, err := c.ask(request); err != nil {
		return err
	}
	if request, err = t.ask(ctx, "DescribeTable", `{"TableName":"bench"}`); err != nil {
		return err
	}
	for range 500 {
		answer, err := c.ask(request)
		if err != nil {
			return err
		}
		if len(between(answer, `"TableStatus":"ACTIVE`, `"`)) > 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the table does not become active")
}

// alone says how long the last of a hundred lone writes takes beside the disk's sync alone.
func alone(results map[string]*figures) string {
	put, sync := results[putItem], results[diskSync]
	if put == nil || sync == nil || sync.median(1).P99 == 0 {
		return ""
	}
	return fmt.Sprintf("\np99 of a lone PutItem ÷ that of the disk's own sync: %.2f\n", put.median(1).P99/sync.median(1).P99)
}
