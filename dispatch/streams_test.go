package dispatch_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/route"
	"github.com/daruma-io/daruma/shard"
)

// A tape is a shard in memory: another kind of stream than that of tables.
type tape struct {
	mu      sync.Mutex
	records []dispatch.StreamRecord
	gone    uint64 // records up to it are
	changed chan struct{}
}

func (s *tape) add(key, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint64(len(s.records) + 1)
	s.records = append(s.records, dispatch.StreamRecord{Sequence: n, At: time.Now(), Key: key, Body: fmt.Appendf(nil, `{"n":%d,"key":%q,"text":%q}`, n, key, text)})
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *tape) Shards(context.Context, *mapping.Mapping) ([]dispatch.Shard, error) {
	return []dispatch.Shard{{ID: "tape"}}, nil
}

func (s *tape) Bounds(context.Context, *mapping.Mapping, string) (first, last uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone + 1, uint64(len(s.records)), nil
}

func (s *tape) Read(_ context.Context, _ *mapping.Mapping, _ string, from uint64, n int) (dispatch.Piece, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from <= s.gone {
		return dispatch.Piece{Gone: true, Next: s.gone + 1}, nil
	}
	some := s.records[from-1 : min(int(from-1)+n, len(s.records))]
	return dispatch.Piece{Records: slices.Clone(some), Next: from + uint64(len(some))}, nil
}

// Changed goes by the number of records: what is added while nobody waits is not
// missed. A second later it says so again, since nobody here listens for changes of mappings.
func (s *tape) Changed(ctx context.Context, after uint64) (uint64, error) {
	for {
		s.mu.Lock()
		next, changed := uint64(len(s.records))+1, s.changed
		s.mu.Unlock()
		if next != after {
			return next, nil
		}
		select {
		case <-changed:
		case <-time.After(time.Second):
			return next, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// A shelf is a machine that keeps what destinations are told.
type shelf struct{ told *[]string }

func (shelf) Name() string { return "shelf" }

func (s shelf) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	var h delivery.Handover
	if err := json.Unmarshal(cmd.Body, &h); err != nil {
		return nil, err
	}
	tx.Then(func() { *s.told = append(*s.told, string(h.Body)) })
	return nil, nil
}

// A flowing is a mapping of a tape to a function that answers as a test says.
type flowing struct {
	t     *testing.T
	tape  *tape
	store *mapping.Mappings
	src   *dispatch.Streams
	l     *ledger.Ledger
	told  []string
	keys  *once.Records
	lost  atomic.Bool // there is no such destination

	mu   sync.Mutex
	runs []string // the records of each run, "1 2 3"
	at   []time.Time
	with []map[string]json.RawMessage
}

func streaming(t *testing.T, s mapping.Settings, answer func(run int, records []int, event map[string]json.RawMessage) daruma.Outcome, rules ...once.Rule) *flowing {
	t.Helper()
	w := &flowing{t: t, tape: &tape{changed: make(chan struct{})}}
	m := mapping.NewMachine()
	given := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return t.String() }, Sinks: map[string]delivery.Sink{"shelf": delivery.PutTo("shelf")}})
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, once.Machine{}, given, m, shard.Machine{}, shelf{&w.told}}})
	if err != nil {
		t.Fatal(err)
	}
	w.store, w.l = mapping.Open(c, m), ledger.New(c)
	s.Function, s.Batch = "F", cmp.Or(s.Batch, 100)
	if s.Stream == nil {
		s.Stream = &mapping.Stream{Start: mapping.TrimHorizon, Retries: -1}
	}
	s.Stream.Lanes, s.Stream.Start = cmp.Or(s.Stream.Lanes, 1), cmp.Or(s.Stream.Start, mapping.TrimHorizon)
	if err := (mapping.Limits{BatchMax: 10_000, BatchMaxAtOnce: 10_000, WindowMax: 5 * time.Minute, Stream: true}).Check(s); err != nil {
		t.Fatal(err)
	}
	kind := dispatch.StreamKind{Shards: w.tape, Keep: 24 * time.Hour,
		View: func(body []byte) pattern.Value { v, _ := pattern.Parse(body); return v },
		Report: func(answer []byte, records []dispatch.StreamRecord) (int, error) {
			var n int
			if err := json.Unmarshal(answer, &n); err != nil {
				return 0, err
			}
			return slices.IndexFunc(records, func(r dispatch.StreamRecord) bool { return int(r.Sequence) == n }), nil
		},
		Tell: func(s dispatch.Surrender) []byte {
			return fmt.Appendf(nil, "%s %d-%d of %d after %d, failed %v", s.Condition, s.Records[0].Sequence, s.Records[len(s.Records)-1].Sequence, len(s.Records), s.Invokes, s.Failed)
		}}
	w.keys = once.New(c)
	guard := dispatch.NewGuard(w.keys, func(string) (once.Rule, bool) {
		if len(rules) == 0 {
			return once.Rule{}, false
		}
		return rules[0], true
	}, daruma.SystemClock{})
	w.src = dispatch.NewStreams(dispatch.StreamsConfig{Store: w.store, Guard: guard, Readers: shard.New(c), Kinds: map[string]dispatch.StreamKind{"tape": kind}, Facts: func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} },
		ARN: func(t daruma.Target) string { return t.String() }, Destination: func(arn string) (*delivery.Destination, error) {
			if w.lost.Load() {
				return nil, daruma.Invalidf("there is no %s", arn)
			}
			return &delivery.Destination{Kind: "shelf", Name: "S", ARN: arn}, nil
		}})
	r := runner(func(_ context.Context, inv daruma.Invocation) daruma.Outcome {
		var event map[string]json.RawMessage
		var records []struct{ N int }
		if json.Unmarshal(inv.Payload, &event) != nil || json.Unmarshal(event["Records"], &records) != nil {
			t.Errorf("the event %s", inv.Payload)
		}
		numbers := make([]int, len(records))
		for i, r := range records {
			numbers[i] = r.N
		}
		w.mu.Lock()
		w.runs, w.at, w.with = append(w.runs, strings.Trim(fmt.Sprint(numbers), "[]")), append(w.at, time.Now()), append(w.with, event)
		n := len(w.runs)
		w.mu.Unlock()
		return answer(n, numbers, event)
	})
	if _, err := w.store.Create(t.Context(), mapping.Source{Kind: "tape", Name: "tape", ARN: "arn:tape"}, s, nil); err != nil {
		t.Fatal(err)
	}
	live, stop := context.WithCancel(context.Background())
	x := dispatch.New(dispatch.Config{Sources: []dispatch.Source{w.src}, Runner: r, Total: 40, Heal: heal.New(heal.Config{Strict: true, Most: 20})})
	var all sync.WaitGroup
	all.Go(func() { _ = w.src.Run(live) })
	all.Go(func() { _ = x.Run(live) })
	t.Cleanup(func() { stop(); all.Wait(); c.Close() })
	return w
}

// saw checks which records the runs had.
func (w *flowing) saw(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.runs, want) {
		w.t.Errorf("the runs had %q, want %q", w.runs, want)
	}
}

func (w *flowing) failures() []string {
	w.t.Helper()
	page, err := w.l.Find(w.t.Context(), ledger.Query{})
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, f := range page.Failures {
		_, event, err := w.l.Failure(w.t.Context(), f.Number)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %s %d runs: %s", f.Hop, f.Condition, f.Runs, event))
	}
	return all
}

func answered(text string) daruma.Outcome {
	return daruma.Outcome{Kind: daruma.Done, Payload: []byte(text)}
}

// ok is a function that takes everything.
func ok(int, []int, map[string]json.RawMessage) daruma.Outcome { return answered("0") }

// breaksAt is a function that fails when a record is in its batch.
func breaksAt(n int) func(int, []int, map[string]json.RawMessage) daruma.Outcome {
	return func(_ int, records []int, _ map[string]json.RawMessage) daruma.Outcome {
		if slices.Contains(records, n) {
			return broken
		}
		return answered("0")
	}
}

func TestAStreamsRecordsAreHandedOutInBatchesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Batch: 3, Window: 2 * time.Second}, ok)
		pass(t, time.Second)
		for i := range 7 {
			w.tape.add("k", fmt.Sprint(i))
		}
		pass(t, time.Second)
		w.saw("1 2 3", "4 5 6")
		pass(t, 2*time.Second)
		w.saw("1 2 3", "4 5 6", "7")
	})
}

func TestAMappingOfAStreamBeginsWhereItsStartingPositionSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Stream: &mapping.Stream{Start: mapping.Latest, Retries: -1}}, ok)
		w.tape.add("k", "before it was looked at, or not")
		pass(t, time.Second)
		w.mu.Lock()
		before := len(w.runs)
		w.mu.Unlock()
		w.tape.add("k", "after")
		pass(t, time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.runs) != before+1 || w.runs[before] != "2" {
			t.Errorf("the runs had %q", w.runs)
		}
	})
}

func TestWhatAFilterOfAStreamDoesNotWantIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Filters: []string{`{"text":["a"]}`}}, ok)
		for _, text := range []string{"b", "a", "b", "b"} {
			w.tape.add("k", text)
		}
		pass(t, 10*time.Second)
		w.saw("2")
		if f := w.src.Flow(w.store.All()[0].UUID); f.Lanes[0].Age != 0 {
			t.Errorf("what nobody wants is waited for: %+v", f)
		}
	})
}

func TestABatchThatFailsBlocksItsShardUntilItsRetriesAreSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Batch: 2, Stream: &mapping.Stream{Retries: 1, OnFailure: "arn:shelf"}}, breaksAt(1))
		for range 3 {
			w.tape.add("k", "x")
		}
		pass(t, 500*time.Millisecond)
		w.saw("1 2")
		if f := w.src.Flow(w.store.All()[0].UUID); f.Lanes[0].Age < 500*time.Millisecond || f.Lanes[0].Tries != 1 || f.Lanes[0].Due.IsZero() {
			t.Errorf("a shard that stands still is shown as %+v", f)
		}
		pass(t, time.Minute)
		w.saw("1 2", "1 2", "3")
		if got := w.failures(); len(got) != 1 || got[0] != `stream RetryAttemptsExhausted 2 runs: {"Records":[{"n":1,"key":"k","text":"x"},{"n":2,"key":"k","text":"x"}]}` {
			t.Errorf("the ledger has %q", got)
		}
		if len(w.told) != 1 || w.told[0] != "RetryAttemptsExhausted 1-2 of 2 after 2, failed true" {
			t.Errorf("the destination was told %q", w.told)
		}
	})
}

func TestABatchThatCannotBeGivenUpNowIsGivenUpLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Batch: 2, Stream: &mapping.Stream{Retries: 0, OnFailure: "arn:shelf"}}, breaksAt(1))
		w.lost.Store(true)
		w.tape.add("k", "x")
		w.tape.add("k", "x")
		pass(t, time.Minute)
		w.lost.Store(false)
		w.tape.add("k", "x")
		pass(t, time.Minute)
		if got := w.failures(); len(got) != 1 {
			t.Errorf("the ledger has %q", got)
		}
		if len(w.told) != 1 {
			t.Errorf("the destination was told %q", w.told)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.runs); n == 0 || w.runs[n-1] != "3" {
			t.Errorf("the runs had %q, and the last one what is behind the batch", w.runs)
		}
	})
}

func TestBisectionFindsTheRecordThatFailsAndSpendsNoRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Window: time.Second, Stream: &mapping.Stream{Bisect: true, Retries: 1}}, breaksAt(6))
		for range 8 {
			w.tape.add("k", "x")
		}
		pass(t, time.Minute)
		w.saw("1 2 3 4 5 6 7 8", "1 2 3 4", "5 6 7 8", "5 6", "5", "6", "6", "7 8")
		if got := w.failures(); len(got) != 1 || !strings.HasPrefix(got[0], `stream RetryAttemptsExhausted 2 runs: {"Records":[{"n":6,`) {
			t.Errorf("the ledger has %q", got)
		}
	})
}

func TestFromTheLowestReportedRecordOnABatchIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Window: time.Second, Partial: true, Stream: &mapping.Stream{Retries: 1, OnFailure: "arn:shelf"}}, func(_ int, records []int, _ map[string]json.RawMessage) daruma.Outcome {
			if slices.Contains(records, 3) {
				return answered("3")
			}
			return answered("0")
		})
		for range 5 {
			w.tape.add("k", "x")
		}
		pass(t, time.Minute)
		w.saw("1 2 3 4 5", "3 4 5", "4 5")
		if len(w.told) != 1 || w.told[0] != "RetryAttemptsExhausted 3-3 of 1 after 2, failed false" {
			t.Errorf("the destination was told %q", w.told)
		}
	})
}

func TestAReportOfAStreamThatMakesNoSenseMeansThatAllFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Window: time.Second, Partial: true}, func(run int, _ []int, _ map[string]json.RawMessage) daruma.Outcome {
			if run == 1 {
				return answered("nonsense")
			}
			return answered("0")
		})
		w.tape.add("k", "x")
		w.tape.add("k", "x")
		pass(t, time.Minute)
		w.saw("1 2", "1 2")
	})
}

func TestRecordsThatAreTooOldAreGivenUpWithoutARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Batch: 1, Stream: &mapping.Stream{Retries: -1, Age: time.Minute, OnFailure: "arn:shelf"}}, breaksAt(1))
		w.tape.add("k", "x")
		pass(t, 30*time.Second)
		w.tape.add("k", "y")
		pass(t, time.Minute)
		w.mu.Lock()
		last := w.runs[len(w.runs)-1]
		w.mu.Unlock()
		if last != "2" {
			t.Errorf("the last run had %q", last)
		}
		if len(w.told) != 1 || !strings.HasPrefix(w.told[0], "RecordAgeExceeded 1-1 of 1 after ") {
			t.Errorf("the destination was told %q", w.told)
		}
		if got := w.failures(); len(got) != 1 || !strings.HasPrefix(got[0], "stream RecordAgeExceeded") {
			t.Errorf("the ledger has %q", got)
		}
	})
}

// late adds records while their mapping hands nothing out, and one more when they are
// two minutes old and it goes on.
func late(w *flowing, n int, text string) {
	w.t.Helper()
	enable := func(on bool) {
		w.t.Helper()
		if _, err := w.store.Change(w.t.Context(), w.store.All()[0].UUID, func(s *mapping.Settings) error { s.Disabled = !on; return nil }); err != nil {
			w.t.Fatal(err)
		}
		pass(w.t, 10*time.Second)
	}
	enable(false)
	for range n {
		w.tape.add("k", text)
	}
	pass(w.t, 2*time.Minute)
	w.tape.add("k", "y")
	enable(true)
}

func TestHoweverManyRecordsAreTooOldNoneOfThemRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Batch: 1, Stream: &mapping.Stream{Retries: -1, Age: time.Minute}}, ok)
		late(w, 30, "x")
		w.saw("31")
		if n := len(w.failures()); n != 30 {
			t.Errorf("the ledger has %d of the records, want 30", n)
		}
	})
}

func TestManyLargeRecordsThatAreTooOldAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Batch: 100, Stream: &mapping.Stream{Retries: -1, Age: time.Minute}}, ok)
		late(w, 70, strings.Repeat("x", 100_000)) // more than an event may be
		w.saw("71")
		kept := 0
		for _, f := range w.failures() {
			kept += strings.Count(f, `"key"`)
		}
		if kept != 70 {
			t.Errorf("the ledger has %d of the records, want 70", kept)
		}
	})
}

func TestRecordsThatAreGoneBeforeTheyWereHandedOutAreInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Disabled: true}, ok)
		pass(t, time.Second)
		for range 3 {
			w.tape.add("k", "x")
		}
		uuid := w.store.All()[0].UUID
		enable := func(on bool) {
			if _, err := w.store.Change(t.Context(), uuid, func(s *mapping.Settings) error { s.Disabled = !on; return nil }); err != nil {
				t.Fatal(err)
			}
			pass(t, 10*time.Second)
		}
		enable(true)
		enable(false)
		for range 3 {
			w.tape.add("k", "x")
		}
		w.tape.mu.Lock()
		w.tape.gone = 5
		w.tape.mu.Unlock()
		enable(true)
		w.saw("1 2 3", "6")
		if got := w.failures(); len(got) != 1 || !strings.HasPrefix(got[0], "stream RecordAgeExceeded") {
			t.Errorf("the ledger has %q", got)
		}
	})
}

func TestLanesOfAShardRunAtOnceAndKeepTheOrderOfAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		w := streaming(t, mapping.Settings{Batch: 1, Stream: &mapping.Stream{Lanes: 8, Retries: -1}}, func(_ int, records []int, _ map[string]json.RawMessage) daruma.Outcome {
			if records[0] == 1 {
				<-stuck
			}
			return answered("0")
		})
		w.tape.add("a", "x")
		w.tape.add("a", "x")
		for i := range 10 {
			w.tape.add(fmt.Sprint("other", i), "x")
		}
		pass(t, time.Second)
		w.mu.Lock()
		n, second := len(w.runs), slices.Contains(w.runs, "2")
		w.mu.Unlock()
		if n < 5 || second {
			t.Errorf("while a key's record runs, %d runs were begun, and the key's next was among them: %v", n, second)
		}
		close(stuck)
		pass(t, time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.runs) != 12 {
			t.Errorf("%d runs of 12 records", len(w.runs))
		}
	})
}

func TestATumblingWindowCarriesItsStateToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Batch: 2, Stream: &mapping.Stream{Tumble: 10 * time.Second, Retries: -1}}, func(_ int, records []int, event map[string]json.RawMessage) daruma.Outcome {
			var state struct{ Sum int }
			_ = json.Unmarshal(event["state"], &state)
			for _, n := range records {
				state.Sum += n
			}
			return answered(fmt.Sprintf(`{"state":{"Sum":%d}}`, state.Sum))
		})
		for range 3 {
			w.tape.add("k", "x")
		}
		pass(t, 11*time.Second)
		w.tape.add("k", "y")
		pass(t, 20*time.Second)
		w.saw("1 2", "3", "", "4", "")
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, want := range []string{`{}`, `{"Sum":3}`, `{"Sum":6}`, `{}`, `{"Sum":4}`} {
			if got, final := string(w.with[i]["state"]), string(w.with[i]["isFinalInvokeForWindow"]); got != want || final != fmt.Sprint(i == 2 || i == 4) {
				t.Errorf("run %d had the state %s, final %s; want %s", i, got, final, want)
			}
		}
		if got, want := string(w.with[0]["window"]), `{"start":"2000-01-01T00:00:00Z","end":"2000-01-01T00:00:10Z"}`; got != want {
			t.Errorf("the window is %s, want %s", got, want)
		}
		if string(w.with[0]["shardId"]) != `"tape"` || string(w.with[0]["eventSourceARN"]) != `"arn:tape"` {
			t.Errorf("got %v", w.with[0])
		}
	})
}
