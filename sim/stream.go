package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/route"
	"github.com/daruma-io/daruma/shard"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// A StreamPlan is everything a seed decides about the changes of a table on
// their way to a function.
type StreamPlan struct {
	Seed     uint64
	Strict   bool
	Mapping  mapping.Settings
	Keys     int
	Writes   []time.Duration
	Poison   int // of 100 changes
	Throttle int
	Slowest  time.Duration
	Outages  []Outage
	Troubles []Trouble
	Divides  []time.Duration // when the number of lanes is changed
}

const streamLasts = 3 * time.Minute

// NewStreamPlan makes the plan of a seed.
func NewStreamPlan(seed uint64) StreamPlan {
	r := rand.New(rand.NewPCG(seed, 5))
	p := StreamPlan{Seed: seed, Strict: r.IntN(3) == 0, Keys: 1 + r.IntN(6), Poison: pick(r, 0, 0, 5, 25), Slowest: pick(r, 20*time.Millisecond, time.Second, 5*time.Second)}
	p.Mapping = mapping.Settings{Function: "F", Batch: 1 + r.IntN(12), Window: time.Duration(r.IntN(4)) * time.Second, Partial: r.IntN(2) == 0}
	p.Mapping.Stream = &mapping.Stream{Start: mapping.TrimHorizon, Lanes: pick(r, 1, 1, 2, 7), Bisect: r.IntN(2) == 0, Retries: r.IntN(3)}
	if p.Mapping.Stream.Lanes == 1 && r.IntN(3) == 0 {
		p.Mapping.Stream.Tumble = 10 * time.Second
	}
	if r.IntN(4) == 0 {
		p.Throttle = 1
	}
	for range 1 + r.IntN(80) {
		p.Writes = append(p.Writes, time.Duration(r.Int64N(int64(streamLasts))))
	}
	slices.Sort(p.Writes)
	for range r.IntN(3) {
		from := time.Duration(r.Int64N(int64(streamLasts)))
		p.Outages = append(p.Outages, Outage{from, from + time.Duration(r.Int64N(int64(time.Minute)))})
	}
	for range r.IntN(4) {
		p.Troubles = append(p.Troubles, Trouble{At: time.Duration(r.Int64N(int64(streamLasts))), Kind: pick(r, "crash", "torn", "restart"), Held: time.Duration(r.Int64N(int64(time.Second))), Down: time.Duration(r.Int64N(int64(20 * time.Second)))})
	}
	slices.SortFunc(p.Troubles, func(a, b Trouble) int { return cmp.Compare(a.At, b.At) })
	if p.Mapping.Stream.Tumble == 0 && r.IntN(3) == 0 {
		p.Divides = append(p.Divides, time.Duration(r.Int64N(int64(streamLasts))))
	}
	return p
}

func (p *StreamPlan) poison(sequence uint64) bool {
	return int((sequence*0x9e3779b97f4a7c15^p.Seed*31)>>33%100) < p.Poison
}

func (p *StreamPlan) down(at time.Duration) bool {
	return slices.ContainsFunc(p.Outages, func(o Outage) bool { return at >= o.From && at < o.To })
}

// A StreamWorld is a StreamPlan being carried out. It lives in a synctest bubble.
type StreamWorld struct {
	StreamPlan
	host
	Tally map[string]int64

	mu      sync.Mutex // guards the rest
	keys    map[uint64]string
	ended   map[uint64]time.Time // changes that a run went well with, or that were given up: when first
	running map[string]int       // runs by key
	sums    map[string]int64     // by window: records that a final run was told of
	wrong   []string
	tables  *table.Tables
	m       *mapping.Mappings
	l       *ledger.Ledger
	s       *shard.Shards
	g       *heal.Governor
}

// NewStreamWorld makes a world. It starts nothing.
func NewStreamWorld(p StreamPlan) *StreamWorld {
	return &StreamWorld{StreamPlan: p, host: newHost(), Tally: map[string]int64{}, keys: map[uint64]string{}, ended: map[uint64]time.Time{}, running: map[string]int{}, sums: map[string]int64{}}
}

// Live carries the plan out until every change is done or given up.
func (w *StreamWorld) Live(ctx context.Context) error { return w.last(ctx, w.open, w.live) }

func (w *StreamWorld) live(ctx context.Context, workload *sync.WaitGroup) error {
	workload.Go(func() { w.write(ctx) })
	for _, at := range w.Divides {
		workload.Go(func() { w.divide(ctx, at) })
	}
	for _, t := range w.Troubles {
		w.until(ctx, t.At)
		w.suffer(ctx, t)
		if err := w.open(ctx, false); err != nil {
			return err
		}
		w.mu.Lock()
		w.Tally[t.Kind]++
		w.mu.Unlock()
	}
	workload.Wait()
	for i := range 6 * 60 {
		if i%60 == 59 {
			if err := w.person(ctx); err != nil {
				return err
			}
		}
		done, err := w.done(ctx)
		if err != nil {
			return err
		}
		if done {
			return w.check(ctx)
		}
		_ = w.clock.Sleep(ctx, 20*time.Second)
	}
	readers, _ := w.s.Readers(ctx, w.m.All()[0].UUID)
	return fmt.Errorf("after two hours changes are left: %+v", readers)
}

// person closes the breaker when all lanes stand at what can only fail: that
// looks like an outage, and nobody else can know that it is none.
func (w *StreamWorld) person(ctx context.Context) error {
	if w.Poison == 0 {
		return errors.New("nothing is wrong with what is left, and it does not go on")
	}
	w.mu.Lock()
	w.Tally["closed by a person"]++
	w.mu.Unlock()
	_, err := w.g.Force(ctx, hold.Unit{Function: "F"}, hold.Closed, "they are broken")
	return err
}

// write changes the items of some keys, each time to another value.
func (w *StreamWorld) write(ctx context.Context) {
	r := rand.New(rand.NewPCG(w.Seed, 6))
	for i, at := range w.Writes {
		w.until(ctx, at)
		key := fmt.Sprint("k", r.IntN(w.Keys))
		written := w.again(ctx, func() bool {
			w.mu.Lock()
			t := w.tables
			w.mu.Unlock()
			_, err := t.Write(ctx, write.Action{Kind: write.Put, Table: "T", Item: value.Item{{Name: "n", Value: value.OfInt(int64(i))}, {Name: "pk", Value: value.OfString(key)}}})
			return err == nil || daruma.KindOf(err) == daruma.KindInvalid
		})
		if !written {
			return
		}
	}
}

// divide changes the number of lanes.
func (w *StreamWorld) divide(ctx context.Context, at time.Duration) {
	w.until(ctx, at)
	divided := w.again(ctx, func() bool {
		w.mu.Lock()
		m := w.m
		w.mu.Unlock()
		_, err := m.Change(ctx, m.All()[0].UUID, func(s *mapping.Settings) error { s.Stream.Lanes = 1 + s.Stream.Lanes%4; return nil })
		return err == nil
	})
	if divided {
		w.mu.Lock()
		w.Tally["divided"]++
		w.mu.Unlock()
	}
}

// open starts the process.
func (w *StreamWorld) open(ctx context.Context, first bool) error {
	tabled, mapped := table.NewMachine(), mapping.NewMachine()
	given := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return t.String() }})
	c, err := cell.Open(ctx, cell.Config{Journal: w.medium, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, hold.Machine{}, given, tabled, mapped, shard.Machine{}}})
	if err != nil {
		return err
	}
	tables, m := table.New(c, tabled, w.clock), mapping.Open(c, mapped)
	if first {
		if _, err := tables.Create(ctx, schema.Creation{Definition: schema.Definition{Name: "T", OnDemand: true, Attributes: []schema.KeyAttribute{{Name: "pk", Kind: value.String}}, Key: schema.KeySchema{Hash: []string{"pk"}}}, View: schema.ViewNew}); err != nil {
			return err
		}
		if _, err := m.Create(ctx, mapping.Source{Kind: dispatch.ChangesKind, Name: "T", ARN: "arn:T"}, w.Mapping, nil); err != nil {
			return err
		}
	}
	holds := hold.New(c)
	known, err := holds.All(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tables, w.m, w.l, w.s = tables, m, ledger.New(c), shard.New(c)
	run := w.begin(c)
	w.running = map[string]int{}
	kind := dispatch.StreamKind{Shards: dispatch.NewTableShards(tables, dispatch.Naming{Find: func(*mapping.Mapping) []*table.Stream { return tables.Streams("T") }, Shard: func(s *table.Stream) string { return fmt.Sprint(s.Number) }, Record: streamRecord}),
		Keep: table.StreamAge, View: func([]byte) pattern.Value { return pattern.Value{} }, Report: streamReport}
	source := dispatch.NewStreams(dispatch.StreamsConfig{Store: m, Readers: w.s, Clock: w.clock, Kinds: map[string]dispatch.StreamKind{dispatch.ChangesKind: kind},
		Facts: func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} }, ARN: func(t daruma.Target) string { return t.String() }})
	w.g = heal.New(heal.Config{Strict: w.Strict, Most: 20, Store: holds, Known: known, Clock: w.clock, Seed: w.Seed})
	x := dispatch.New(dispatch.Config{Sources: []dispatch.Source{source}, Runner: streamRunner{w, w.life}, Clock: w.clock, Total: 40, Drain: 20 * time.Second, Heal: w.g})
	run(source.Run, w.g.Run, x.Run)
	return nil
}

func streamRecord(_ *table.Stream, c *table.Change) []byte {
	key, _ := c.Keys.Get("pk")
	return fmt.Appendf(nil, `{"s":%d,"k":%q}`, c.Sequence, key.Text())
}

// streamReport reads the position of the first that failed; "" for none.
func streamReport(answer []byte, records []dispatch.StreamRecord) (int, error) {
	var a streamAnswer
	if err := json.Unmarshal(answer, &a); err != nil {
		return 0, err
	}
	if a.First == nil {
		return -1, nil
	}
	return slices.IndexFunc(records, func(r dispatch.StreamRecord) bool { return r.Sequence == *a.First }), nil
}

type streamAnswer struct {
	State *int64  `json:"state,omitempty"`
	First *uint64 `json:"first,omitempty"`
}

type streamEvent struct {
	Records []struct {
		S uint64
		K string
	}
	Window *struct{ Start, End time.Time }
	State  json.RawMessage
	Final  bool `json:"isFinalInvokeForWindow"`
}

// A streamRunner runs the function of a world until its process ends.
type streamRunner struct {
	*StreamWorld
	life context.Context
}

// Run is one run of the function.
func (w streamRunner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	var e streamEvent
	if err := json.Unmarshal(inv.Payload, &e); err != nil {
		return daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "JSON", Message: err.Error()}}
	}
	keys := map[string]bool{}
	w.mu.Lock()
	if total := len(w.running); w.Throttle > 0 && total >= w.Throttle {
		w.Tally["throttled"]++
		w.mu.Unlock()
		return daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Kind: daruma.KindThrottled, Type: "TooManyRequests"}}
	}
	for i, r := range e.Records {
		if i > 0 && r.S <= e.Records[i-1].S {
			w.wrong = append(w.wrong, fmt.Sprintf("%d follows %d in a batch", r.S, e.Records[i-1].S))
		}
		keys[r.K] = true
		w.keys[r.S] = r.K
	}
	for k := range keys {
		if w.running[k]++; w.running[k] > 1 {
			w.wrong = append(w.wrong, "two runs have records of "+k+" at once")
		}
	}
	w.mu.Unlock()
	h := rand.New(rand.NewPCG(w.Seed, uint64(w.clock.Now().UnixNano())))
	_ = w.clock.Sleep(w.life, time.Duration(h.Int64N(int64(w.Slowest))))
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range keys {
		if w.running[k]--; w.running[k] == 0 {
			delete(w.running, k)
		}
	}
	if w.life.Err() != nil || ctx.Err() != nil {
		return daruma.Outcome{Kind: daruma.Unknown}
	}
	return w.outcome(&e)
}

// outcome is what comes of a run. w.mu is held.
func (w streamRunner) outcome(e *streamEvent) daruma.Outcome {
	now := w.clock.Now()
	w.Tally["runs"]++
	if w.down(now.Sub(w.began)) {
		w.Tally["runs in an outage"]++
		return daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "Outage", Message: "it is down"}}
	}
	var a streamAnswer
	for _, r := range e.Records {
		if w.poison(r.S) {
			w.Tally["poisoned runs"]++
			if !w.Mapping.Partial {
				return daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "Poison", Message: strconv.FormatUint(r.S, 10)}}
			}
			a.First = &r.S
			break
		}
		if _, again := w.ended[r.S]; again {
			w.Tally["again"]++
		} else {
			w.ended[r.S] = now
			w.before(r.S, r.K)
		}
	}
	if e.Window != nil {
		w.Tally["windows"]++
		var sum int64
		_ = json.Unmarshal(e.State, &sum) // {} is nothing yet
		if sum += int64(len(e.Records)); e.Final {
			w.Tally["final"]++
			w.sums[e.Window.Start.String()] += sum
		}
		a.State = &sum
	}
	answer, _ := json.Marshal(a) // numbers always marshal
	return daruma.Outcome{Kind: daruma.Done, Payload: answer}
}

// before notes when a change went well before an earlier one of its key had ended. w.mu is held.
func (w *StreamWorld) before(sequence uint64, key string) {
	for s, k := range w.keys {
		if _, ended := w.ended[s]; k == key && s < sequence && !ended && !w.given(s) {
			w.wrong = append(w.wrong, fmt.Sprintf("%d of %s went well before %d", sequence, key, s))
		}
	}
}

// given says whether a change is in the ledger. w.mu is held.
func (w *StreamWorld) given(sequence uint64) bool {
	all, err := w.failures(context.Background())
	return err == nil && all[sequence]
}

// failures returns the changes in the ledger.
func (w *StreamWorld) failures(ctx context.Context) (map[uint64]bool, error) {
	found := map[uint64]bool{}
	for before := ledger.ID(0); ; {
		page, err := w.l.Find(ctx, ledger.Query{Before: before})
		if err != nil {
			return nil, err
		}
		for _, f := range page.Failures {
			_, event, err := w.l.Failure(ctx, f.Number)
			if err != nil {
				return nil, err
			}
			var e streamEvent
			if err := json.Unmarshal(event, &e); err != nil {
				return nil, err
			}
			if w.Mapping.Stream.Bisect && (len(e.Records) > 1 || len(e.Records) == 1 && !w.poison(e.Records[0].S) && f.ErrorType == "Poison") {
				return nil, fmt.Errorf("with bisection %s was given up with %d records", f.Number, len(e.Records))
			}
			for _, r := range e.Records {
				found[r.S] = true
			}
		}
		if before = page.Next; before == 0 {
			return found, nil
		}
	}
}

// done says whether all lanes have come to the end.
func (w *StreamWorld) done(ctx context.Context) (bool, error) {
	_, last, err := w.tables.Bounds(ctx, w.tables.Streams("T")[0].Number)
	if err != nil {
		return false, err
	}
	readers, err := w.s.Readers(ctx, w.m.All()[0].UUID)
	if err != nil || len(readers) == 0 {
		return false, err
	}
	for _, l := range readers[0].Lanes {
		if l.Next <= last || l.Window != nil {
			return false, nil
		}
	}
	return true, nil
}

// check says what is wrong at the end.
func (w *StreamWorld) check(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	given, err := w.failures(ctx)
	if err != nil {
		return err
	}
	tail, err := w.tables.Changes(ctx, w.tables.Streams("T")[0].Number, 0, 1000)
	if err != nil {
		return err
	}
	for _, c := range tail.Changes {
		w.Tally["changes"]++
		if given[c.Sequence] {
			w.Tally["given up"]++
		}
		if _, ended := w.ended[c.Sequence]; !ended && !given[c.Sequence] {
			w.wrong = append(w.wrong, fmt.Sprintf("%d was never done and is not in the ledger", c.Sequence))
		}
		if given[c.Sequence] && !w.poison(c.Sequence) && len(w.Outages) == 0 && (w.Mapping.Stream.Bisect || w.Mapping.Partial) {
			w.wrong = append(w.wrong, fmt.Sprintf("%d is no poison and was given up", c.Sequence))
		}
		if !w.Strict && w.Poison == 0 && given[c.Sequence] && len(w.Writes) > 40 {
			w.Tally["given up in an outage"]++
		}
	}
	if n := w.Tally["again"]; n > 0 && len(w.Troubles) == 0 && w.Poison == 0 {
		w.wrong = append(w.wrong, fmt.Sprintf("%d changes were handed out again, and nothing was wrong with them", n))
	}
	if len(w.wrong) > 0 {
		return errors.New(strings.Join(w.wrong[:min(5, len(w.wrong))], "; "))
	}
	return nil
}
