package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// A TransactPlan is everything a seed decides about transactions of tables
// between crashes.
type TransactPlan struct {
	Seed   uint64
	Rounds []Round
}

// A Round is transfers that are answered, others at once that nobody hears
// of, and a crash.
type Round struct {
	Answered []Transfer
	Doubtful []Transfer
	Kept     bool          // what nobody heard of is durable all the same
	Pause    time.Duration // before the next
}

// A Transfer moves money from one account to another and writes that down: one
// transaction of two tables, under a token of its own.
type Transfer struct {
	From, To, Amount int
	Token            string
}

const (
	accounts = 6
	money    = 100 // on each account at first
)

// NewTransactPlan makes the plan of a seed, with so many crashes.
func NewTransactPlan(seed uint64, crashes int) TransactPlan {
	r := rand.New(rand.NewPCG(seed, 6))
	p := TransactPlan{Seed: seed}
	n := 0
	transfers := func(most int) []Transfer {
		var all []Transfer
		for range r.IntN(most + 1) {
			from := r.IntN(accounts)
			all = append(all, Transfer{From: from, To: (from + 1 + r.IntN(accounts-1)) % accounts, Amount: 1 + r.IntN(70), Token: fmt.Sprint("t", n)})
			n++
		}
		return all
	}
	for range crashes {
		p.Rounds = append(p.Rounds, Round{Answered: transfers(2), Doubtful: transfers(3), Kept: r.IntN(2) == 0, Pause: time.Duration(r.Int64N(int64(2 * time.Minute)))})
	}
	return p
}

// A TransactWorld is a TransactPlan being carried out. It lives in a synctest bubble.
type TransactWorld struct {
	TransactPlan
	Tally  map[string]int64
	clock  daruma.Clock
	medium *memory.Medium
	cell   *cell.Cell
	tables *table.Tables
	known  map[string]bool     // by token: whether it was answered that a transfer is done, or that it is not
	sent   map[string]Transfer // by token
	next   map[string]uint64   // by table: the change its stream has been read up to
	images map[string]value.Item
}

// NewTransactWorld makes a world. It starts nothing.
func NewTransactWorld(p TransactPlan) *TransactWorld {
	return &TransactWorld{TransactPlan: p, clock: daruma.SystemClock{}, Tally: map[string]int64{}, medium: &memory.Medium{}, known: map[string]bool{}, sent: map[string]Transfer{}, next: map[string]uint64{}, images: map[string]value.Item{}}
}

// Live carries the plan out. After each crash all is held against what was
// answered, and what is in doubt is asked for again under its token.
func (w *TransactWorld) Live(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	defer func() { _ = w.cell.Close() }()
	if err := w.begin(ctx); err != nil {
		return err
	}
	for i, r := range w.Rounds {
		for _, t := range r.Answered {
			if err := w.transfer(ctx, t); err != nil {
				return err
			}
		}
		if err := w.crash(ctx, r); err != nil {
			return err
		}
		if err := w.check(ctx); err != nil {
			return fmt.Errorf("after crash %d: %w", i+1, err)
		}
		for _, t := range r.Doubtful {
			if err := w.transfer(ctx, t); err != nil {
				return fmt.Errorf("after crash %d, again: %w", i+1, err)
			}
		}
		_ = w.clock.Sleep(ctx, r.Pause)
	}
	return w.check(ctx)
}

func (w *TransactWorld) open(ctx context.Context) (err error) {
	m := table.NewMachine()
	if w.cell, err = cell.Open(ctx, cell.Config{Journal: w.medium, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{m}}); err != nil {
		return err
	}
	w.tables = table.New(w.cell, m, w.clock)
	return nil
}

// begin makes the tables, and the accounts with their money.
func (w *TransactWorld) begin(ctx context.Context) error {
	key := schema.KeySchema{Hash: []string{"id"}}
	id := schema.KeyAttribute{Name: "id", Kind: value.String}
	for _, c := range []schema.Creation{
		{Definition: schema.Definition{Name: "accounts", OnDemand: true, Attributes: []schema.KeyAttribute{id}, Key: key}, View: schema.ViewNew},
		{Definition: schema.Definition{Name: "transfers", OnDemand: true, Attributes: []schema.KeyAttribute{id, {Name: "from", Kind: value.String}}, Key: key,
			Indexes: []schema.Index{{Name: "by-from", Key: schema.KeySchema{Hash: []string{"from"}}, Projection: schema.Projection{Kind: schema.ProjectAll}}}}, View: schema.ViewNew},
	} {
		if _, err := w.tables.Create(ctx, c); err != nil {
			return err
		}
	}
	for i := range accounts {
		if _, err := w.tables.Write(ctx, write.Action{Kind: write.Put, Table: "accounts", Item: record("id", account(i), "balance", money)}); err != nil {
			return err
		}
	}
	return nil
}

func account(i int) string { return fmt.Sprint("a", i) }

// record makes an item of names and texts or numbers, by turns.
func record(pairs ...any) value.Item {
	var it value.Item
	for i := 0; i < len(pairs); i += 2 {
		v := value.OfString(fmt.Sprint(pairs[i+1]))
		if n, ok := pairs[i+1].(int); ok {
			v, _ = value.OfNumber(fmt.Sprint(n)) // a whole number always is one
		}
		it = it.With(pairs[i].(string), v)
	}
	return it
}

// ask sends a transfer.
func (w *TransactWorld) ask(ctx context.Context, t Transfer) error {
	_, err := w.tables.Transact(ctx, t.Token, []write.Action{
		{Kind: write.Update, Table: "accounts", Item: record("id", account(t.From)), Update: "ADD balance :less", Condition: "balance >= :n", Values: record(":less", -t.Amount, ":n", t.Amount)},
		{Kind: write.Update, Table: "accounts", Item: record("id", account(t.To)), Update: "ADD balance :n", Values: record(":n", t.Amount)},
		{Kind: write.Put, Table: "transfers", Item: record("id", t.Token, "from", account(t.From), "n", t.Amount), Condition: "attribute_not_exists(id)"},
	})
	return err
}

// transfer asks for a transfer that must be answered. One that was done before
// is answered the same, and is not done again.
func (w *TransactWorld) transfer(ctx context.Context, t Transfer) error {
	before, there, err := w.written(ctx, t)
	if err != nil {
		return err
	}
	w.sent[t.Token] = t
	err = w.ask(ctx, t)
	refusal, refused := errors.AsType[*refuse.Error](err)
	switch {
	case err == nil:
		w.known[t.Token] = true
		w.Tally["done"]++
	case refused && refusal.Code == refuse.Canceled && !there:
		w.known[t.Token] = false
		w.Tally["refused"]++
	default:
		return fmt.Errorf("transfer %s, which is written down already: %v: %w", t.Token, there, err)
	}
	if there {
		w.Tally["replayed"]++
		after, _, err := w.written(ctx, t)
		if err != nil {
			return err
		}
		if !value.EqualItems(before, after) {
			return fmt.Errorf("transfer %s was done, and again under its token: %v", t.Token, after)
		}
	}
	return nil
}

// written returns the account a transfer takes from, and whether the transfer is written down.
func (w *TransactWorld) written(ctx context.Context, t Transfer) (value.Item, bool, error) {
	got, err := w.tables.GetAll(ctx, []read.Get{{Table: "accounts", Key: record("id", account(t.From))}, {Table: "transfers", Key: record("id", t.Token)}})
	if err != nil {
		return nil, false, err
	}
	return got[0].Item, got[1].Found, nil
}

// crash sends the transfers nobody hears of, at once, and ends the process. They
// are applied, and lost before they are durable, or kept while who asked has gone.
func (w *TransactWorld) crash(ctx context.Context, r Round) error {
	w.medium.Hold()
	asking, leave := context.WithCancel(ctx)
	defer leave()
	var all sync.WaitGroup
	errs := make([]error, len(r.Doubtful))
	for i, t := range r.Doubtful {
		w.sent[t.Token] = t
		all.Go(func() { errs[i] = w.ask(asking, t) })
	}
	synctest.Wait()
	if r.Kept {
		leave()
		synctest.Wait()
		w.medium.Release()
	}
	w.medium.Crash()
	all.Wait()
	for i, err := range errs {
		if err == nil {
			return fmt.Errorf("transfer %s was answered before it was durable", r.Doubtful[i].Token)
		}
	}
	w.Tally["crashes"]++
	w.Tally["doubtful"] += int64(len(r.Doubtful))
	_ = w.cell.Close() // of a crashed one: an error
	return w.open(ctx)
}

// check holds the tables against each other and against what was answered: the
// balances are what the transfers that are written down make of them, whatever
// was in doubt.
func (w *TransactWorld) check(ctx context.Context) error {
	balances := make([]int, accounts)
	for i := range balances {
		balances[i] = money
	}
	rows, err := w.all(ctx, read.Query{Table: "transfers", Scan: true})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, it := range rows {
		id, _ := it.Get("id")
		t := w.sent[id.Text()]
		there[id.Text()] = true
		balances[t.From] -= t.Amount
		balances[t.To] += t.Amount
	}
	for token, done := range w.known {
		if there[token] != done {
			return fmt.Errorf("of transfer %s it was answered that it is done: %v, and it is written down: %v", token, done, there[token])
		}
	}
	w.Tally["kept"] += int64(len(there) - count(w.known))
	now, err := w.all(ctx, read.Query{Table: "accounts", Scan: true})
	if err != nil || len(now) != accounts {
		return fmt.Errorf("%d accounts: %w", len(now), err)
	}
	for i, want := range balances {
		if it := record("id", account(i), "balance", want); !holds(now, it) {
			return fmt.Errorf("%v are the accounts; after the %d transfers that are written down it must be %v", now, len(rows), it)
		}
	}
	return w.followed(ctx, rows, now)
}

func count(known map[string]bool) int {
	n := 0
	for _, done := range known {
		if done {
			n++
		}
	}
	return n
}

func holds(all []value.Item, it value.Item) bool {
	for _, o := range all {
		if value.EqualItems(o, it) {
			return true
		}
	}
	return false
}

func (w *TransactWorld) all(ctx context.Context, q read.Query) ([]value.Item, error) {
	page, err := w.tables.Query(ctx, q)
	if err == nil && page.Last != nil {
		err = errors.New("there is a second page")
	}
	return page.Items, err
}

// followed holds what follows from items against them: the index, the counts
// and the streams.
func (w *TransactWorld) followed(ctx context.Context, transfers, now []value.Item) error {
	entries, err := w.all(ctx, read.Query{Table: "transfers", Index: "by-from", Scan: true})
	if err != nil {
		return err
	}
	for _, name := range []string{"accounts", "transfers"} {
		items := map[string][]value.Item{"accounts": now, "transfers": transfers}[name]
		d, err := w.tables.Describe(ctx, name)
		if err != nil {
			return err
		}
		if int(d.Count.Items) != len(items) || name == "transfers" && (int(d.Indexes[0].Items) != len(items) || len(entries) != len(items)) {
			return fmt.Errorf("%s: %d items are there, %d are counted, %+v in the index, where %d are found", name, len(items), d.Count.Items, d.Indexes, len(entries))
		}
		tail, err := w.tables.Changes(ctx, d.Stream.Number, w.next[name], 1000)
		if err != nil {
			return err
		}
		w.next[name] = tail.Next
		for _, c := range tail.Changes {
			id, _ := c.Keys.Get("id")
			w.images[name+" "+id.Text()] = c.New
		}
		for _, it := range items {
			id, _ := it.Get("id")
			if image := w.images[name+" "+id.Text()]; !value.EqualItems(image, it) {
				return fmt.Errorf("%s: the stream has led to %v, and it is %v", name, image, it)
			}
		}
	}
	if got, want := len(w.images), len(transfers)+len(now); got != want {
		return fmt.Errorf("the streams have led to %d items, and there are %d", got, want)
	}
	return nil
}
