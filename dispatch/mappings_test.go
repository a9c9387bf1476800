package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
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
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/route"
)

// A mapped is one queue "Q" with a dead-letter queue "D", mapped to a function, in a bubble.
type mapped struct {
	*testing.T
	q       *queue.Queues
	m       *mapping.Mappings
	l       *ledger.Ledger
	source  *dispatch.Mappings
	strict  bool
	rule    *once.Rule                           // of the function; nil: it has none
	path    string                               // to what its events depend on
	answer  func(bodies []string) daruma.Outcome // what the function does
	refuse  func(daruma.Invocation) *daruma.Failure
	lasts   time.Duration
	looks   func()                      // is called when it is asked what waits, if given
	refuses func([]dispatch.Fate) error // why fates are not kept, if given

	g       *heal.Governor
	tallies *once.Records
	mu      sync.Mutex // guards the rest
	batches [][]string
	runs    []daruma.Invocation
	misread []dispatch.Misreport
	at      []time.Time
	now     int
	most    int
}

// Run runs the function.
func (x *mapped) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	var bodies []string
	if err := json.Unmarshal(inv.Payload, &bodies); err != nil {
		x.Error(err)
	}
	x.mu.Lock()
	x.batches, x.at, x.runs = append(x.batches, bodies), append(x.at, time.Now()), append(x.runs, inv)
	x.now++
	x.most = max(x.most, x.now)
	x.mu.Unlock()
	err := (daruma.SystemClock{}).Sleep(ctx, x.lasts)
	x.mu.Lock()
	x.now--
	x.mu.Unlock()
	if err != nil {
		return daruma.Outcome{Kind: daruma.Unknown}
	}
	return x.answer(bodies)
}

func (x *mapped) ran() [][]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.batches)
}

func (x *mapped) send(bodies ...string) {
	x.Helper()
	for _, b := range bodies {
		m := queue.Message{Body: []byte(b)}
		if x.q.Queue("Q").FIFO {
			m.Group, m.Once = strings.TrimRight(b, "0123456789"), b
		}
		if _, err := x.q.Send(x.Context(), "Q", m); err != nil {
			x.Fatal(err)
		}
	}
}

func (x *mapped) account() queue.Account {
	x.Helper()
	a, err := x.q.Account(x.Context(), "Q")
	if err != nil {
		x.Fatal(err)
	}
	return a
}

// change changes the mapping.
func (x *mapped) change(f func(*mapping.Settings)) {
	x.Helper()
	if _, err := x.m.Change(x.Context(), x.m.All()[0].UUID, func(s *mapping.Settings) error { f(s); return nil }); err != nil {
		x.Fatal(err)
	}
}

func done([]string) daruma.Outcome { return daruma.Outcome{Kind: daruma.Done} }

// failing fails for batches with a body that begins with "bad".
func failing(bodies []string) daruma.Outcome {
	if slices.ContainsFunc(bodies, func(b string) bool { return strings.HasPrefix(b, "bad") }) {
		return broken
	}
	return daruma.Outcome{Kind: daruma.Done}
}

// flow runs f with a queue and a mapping at work.
func flow(t *testing.T, q queue.Settings, s mapping.Settings, x *mapped, f func(x *mapped)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x.T = t
		clock := daruma.SystemClock{}
		queued, maps := queue.NewMachine(), mapping.NewMachine()
		c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, once.Machine{}, queued, maps}})
		if err != nil {
			t.Fatal(err)
		}
		if x.q, err = queue.Open(t.Context(), c, queued, clock); err != nil {
			t.Fatal(err)
		}
		x.m, x.l = mapping.Open(c, maps), ledger.New(c)
		if _, err := x.q.Create(t.Context(), "D", queue.Settings{FIFO: q.FIFO, Hide: time.Minute}); err != nil {
			t.Fatal(err)
		}
		if q.Hide == 0 {
			q.Hide = 30 * time.Second
		}
		if _, err := x.q.Create(t.Context(), "Q", q); err != nil {
			t.Fatal(err)
		}
		s.Function = "F"
		if _, err := x.m.Create(t.Context(), mapping.Source{Kind: dispatch.QueueKind, Name: "Q", ARN: "arn:Q"}, s, nil); err != nil {
			t.Fatal(err)
		}
		guard := dispatch.NewGuard(once.New(c), func(string) (once.Rule, bool) {
			if x.rule == nil {
				return once.Rule{}, false
			}
			return *x.rule, true
		}, clock)
		x.tallies = once.New(c)
		ctx, stop := context.WithCancel(t.Context())
		x.g = heal.New(heal.Config{Strict: x.strict, Most: 32, Clock: clock, Dependency: func(string) string { return x.path }})
		x.source = dispatch.NewMappings(x.config(guard, clock))
		var both sync.WaitGroup
		both.Go(func() { _ = x.source.Run(ctx) })
		both.Go(func() {
			_ = dispatch.New(dispatch.Config{Sources: []dispatch.Source{x.source}, Runner: x, Clock: clock, Total: 64, RampFrom: 64, Heal: x.g}).Run(ctx)
		})
		defer func() {
			stop()
			both.Wait()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(x)
	})
}

// config is what the source of the mapping needs.
func (x *mapped) config(guard *dispatch.Guard, clock daruma.Clock) dispatch.MappingsConfig {
	return dispatch.MappingsConfig{Store: x.m, Strict: x.strict, Refuse: x.refuse,
		Misread: func(m dispatch.Misreport) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.misread = append(x.misread, m)
		}, Guard: guard, Heal: x.g, Clock: clock, Facts: func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} },
		Kinds: map[string]dispatch.Kind{dispatch.QueueKind: {JSON: messageJSON, Origin: &bounded{Origin: dispatch.NewQueues(x.q, clock), mapped: x}, Encode: bodiesOf, View: viewOf, Report: reportOf}}}
}

// A bounded origin is taken from so often at one moment. Then it refuses, and
// time goes on: a loop that would never end fails its test.
type bounded struct {
	dispatch.Origin
	*mapped
	at    time.Time
	times int
}

func (o *bounded) Take(ctx context.Context, m *mapping.Mapping, n int, hold time.Duration) ([]dispatch.Record, error) {
	const most = 1000
	if now := time.Now(); !now.Equal(o.at) {
		o.at, o.times = now, 0
	}
	if o.times++; o.times > most {
		o.Errorf("records are taken more than %d times at one moment", most)
		return nil, errors.New("taken too often")
	}
	return o.Origin.Take(ctx, m, n, hold)
}

func (o *bounded) Waiting(ctx context.Context, m *mapping.Mapping) (int, error) {
	if o.looks != nil {
		o.looks()
	}
	return o.Origin.Waiting(ctx, m)
}

func (o *bounded) Settle(ctx context.Context, m *mapping.Mapping, fates []dispatch.Fate) error {
	if o.refuses != nil {
		if err := o.refuses(fates); err != nil {
			return err
		}
	}
	return o.Origin.Settle(ctx, m, fates)
}

// bodiesOf makes events that have room for two messages that are large, and for none that is huge.
func bodiesOf(_ *mapping.Mapping, records []dispatch.Record) ([]byte, int, error) {
	var bodies []string
	large := 0
	for _, r := range records {
		m := r.Body.(queue.Received)
		if strings.HasPrefix(string(m.Body), "large") {
			if large++; large > 2 {
				break
			}
		}
		if bodies = append(bodies, string(m.Body)); string(m.Body) == "huge" {
			return nil, 0, nil
		}
	}
	b, err := json.Marshal(bodies)
	return b, len(bodies), err
}

func viewOf(_ *mapping.Mapping, r dispatch.Record) pattern.Value {
	m := r.Body.(queue.Received)
	return pattern.Object(map[string]pattern.Value{"body": pattern.Payload(m.Body)})
}

// reportOf reads positions: [1,2].
func reportOf(answer []byte, records []dispatch.Record) (failed []int, err error) {
	if len(answer) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(answer, &failed); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(failed, func(i int) bool { return i >= len(records) }) {
		return nil, errors.New("there is no such record")
	}
	return failed, nil
}

func TestMessagesAreHandedOutInBatchesAndDeletedWhenDone(t *testing.T) {
	flow(t, queue.Settings{}, mapping.Settings{Batch: 10, Disabled: true}, &mapped{answer: done}, func(x *mapped) {
		pass(x.T, time.Second)
		for i := range 25 {
			x.send(fmt.Sprint("m", i))
		}
		pass(x.T, time.Second)
		if len(x.ran()) != 0 || x.m.All()[0].State != mapping.Disabled {
			x.Fatalf("a mapping that is %s has handed out %v", x.m.All()[0].State, x.ran())
		}
		x.change(func(s *mapping.Settings) { s.Disabled = false })
		pass(x.T, time.Second)
		if a := x.account(); a.Deleted != 25 || len(x.ran()) != 3 || x.m.All()[0].State != mapping.Enabled {
			x.Fatalf("%d are deleted after %d batches, it is %s", a.Deleted, len(x.ran()), x.m.All()[0].State)
		}
		if r, ok := x.m.Result(x.m.All()[0].UUID); !ok || r.Text != "OK" {
			x.Errorf("the last result is %+v", r)
		}
	})
}

func TestAFailedBatchComesBackWhenItIsVisibleAgainAndNotSooner(t *testing.T) {
	flow(t, queue.Settings{Hide: 30 * time.Second, DeadLetter: &queue.DeadLetter{Queue: "D", After: 2}}, mapping.Settings{Batch: 10}, &mapped{answer: failing, lasts: 4 * time.Second}, func(x *mapped) {
		began := time.Now()
		x.send("bad")
		pass(x.T, 5*time.Minute)
		var at []time.Duration
		for _, when := range x.at {
			at = append(at, when.Sub(began))
		}
		if want := []time.Duration{0, 30 * time.Second}; !slices.Equal(at, want) {
			x.Fatalf("it ran after %v, want %v", at, want)
		}
		f, err := x.l.Find(x.Context(), ledger.Query{})
		if err != nil || len(f.Failures) != 1 || f.Failures[0].Message != "it broke" || len(f.Failures[0].Attempts) != 2 {
			x.Fatalf("the ledger has %+v, %v", f.Failures, err)
		}
	})
}

func TestABatchWaitsForItsWindowUnlessItIsFull(t *testing.T) {
	flow(t, queue.Settings{}, mapping.Settings{Batch: 4, Window: 20 * time.Second}, &mapped{answer: done}, func(x *mapped) {
		began := time.Now()
		x.send("a", "b")
		pass(x.T, 19*time.Second)
		if n := len(x.ran()); n != 0 {
			x.Fatalf("%d batches ran before the window was over", n)
		}
		pass(x.T, 2*time.Second)
		if got := x.ran(); len(got) != 1 || len(got[0]) != 2 || x.at[0].Sub(began) != 20*time.Second {
			x.Fatalf("%v ran at %v", got, x.at)
		}
		x.send("a", "b", "c", "d")
		pass(x.T, time.Millisecond)
		if got := x.ran(); len(got) != 2 || len(got[1]) != 4 {
			x.Fatalf("a full batch waits: %v", got)
		}
	})
}

func TestOnlyReportedMessagesComeBack(t *testing.T) {
	report := func(bodies []string) daruma.Outcome {
		failed := []int{}
		for i, b := range bodies {
			if b == "bad" {
				failed = append(failed, i)
			}
		}
		b, _ := json.Marshal(failed)
		return daruma.Outcome{Kind: daruma.Done, Payload: b}
	}
	for _, partial := range []bool{true, false} {
		flow(t, queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "D", After: 1}}, mapping.Settings{Batch: 10, Window: time.Second, Partial: partial}, &mapped{answer: report}, func(x *mapped) {
			x.send("a", "bad", "b")
			pass(x.T, 5*time.Minute)
			want := int64(1)
			if !partial {
				want = 0 // nobody reads the report
			}
			if a := x.account(); a.DeadLetters != want || a.Deleted != 3-want {
				x.Fatalf("partial %v: %d deleted, %d dead letters", partial, a.Deleted, a.DeadLetters)
			}
		})
	}
}

func TestAReportThatMakesNoSenseMeansThatAllFailed(t *testing.T) {
	nonsense := func([]string) daruma.Outcome { return daruma.Outcome{Kind: daruma.Done, Payload: []byte(`[7]`)} }
	flow(t, queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "D", After: 1}}, mapping.Settings{Batch: 10, Window: time.Second, Partial: true}, &mapped{answer: nonsense}, func(x *mapped) {
		x.send("a", "b")
		pass(x.T, 5*time.Second)
		x.mu.Lock()
		told := x.misread
		x.mu.Unlock()
		if len(told) != 1 || told[0].Records != 2 || told[0].Request != x.runs[0].ID || told[0].Mapping.Function != "F" || !strings.Contains(told[0].Err.Error(), "there is no such record") {
			x.Fatalf("it was told at once: %+v", told)
		}
		pass(x.T, 5*time.Minute)
		if a := x.account(); a.Deleted != 0 || a.DeadLetters != 2 {
			x.Fatalf("%d deleted, %d dead letters", a.Deleted, a.DeadLetters)
		}
		f, err := x.l.Find(x.Context(), ledger.Query{})
		if err != nil || len(f.Failures) != 2 || f.Failures[0].ErrorType != "ReportBatchItemFailures" || !strings.Contains(f.Failures[0].Message, "there is no such record") {
			x.Fatalf("the ledger has %+v, %v", f.Failures, err)
		}
		if r, _ := x.m.Result(x.m.All()[0].UUID); !strings.HasPrefix(r.Text, "PROBLEM: Function call failed: ReportBatchItemFailures") {
			x.Errorf("the last result is %q", r.Text)
		}
	})
}

func TestWhatAFilterDoesNotWantIsDeleted(t *testing.T) {
	flow(t, queue.Settings{}, mapping.Settings{Batch: 10, Filters: []string{`{"body":{"n":[{"numeric":[">",5]}]}}`}}, &mapped{answer: done}, func(x *mapped) {
		x.send(`{"n":1}`, `{"n":9}`, `text`, `{"n":"9"}`)
		pass(x.T, time.Minute)
		if a := x.account(); a.Deleted != 4 {
			x.Fatalf("%d are deleted", a.Deleted)
		}
		if got := fmt.Sprint(x.ran()); got != `[[{"n":9}]]` {
			x.Fatalf("handed out: %s", got)
		}
	})
}

func TestWhatRunsAsItWasBegunDoesNotBringTheFiltersOfThenBack(t *testing.T) {
	var changed atomic.Bool
	x := &mapped{answer: done, lasts: 10 * time.Second, looks: func() {
		if changed.Load() {
			time.Sleep(20 * time.Second) // meanwhile the batch of before ends
		}
	}}
	flow(t, queue.Settings{}, mapping.Settings{Batch: 1, Filters: []string{`{"body":{"n":[{"numeric":[">",5]}]}}`}}, x, func(x *mapped) {
		x.send(`{"n":9}`)
		pass(x.T, time.Second)
		changed.Store(true)
		x.change(func(s *mapping.Settings) { s.Filters = []string{`{"body":{"n":[{"numeric":["<",5]}]}}`} })
		x.send(`{"n":1}`)
		pass(x.T, 5*time.Minute)
		if got := fmt.Sprint(x.ran()); got != `[[{"n":9}] [{"n":1}]]` {
			x.Fatalf("handed out: %s", got)
		}
	})
}

func TestWhatCameOfABatchAndCannotBeKeptDoesNotHinderOthers(t *testing.T) {
	refuses := func(fates []dispatch.Fate) error {
		if strings.HasPrefix(string(fates[0].Body.(queue.Received).Body), "bad") {
			return &daruma.Error{Kind: daruma.KindTooLarge, Err: errors.New("it is too much")}
		}
		return nil
	}
	flow(t, queue.Settings{Hide: time.Hour}, mapping.Settings{Batch: 1, AtOnce: 2}, &mapped{answer: done, refuses: refuses}, func(x *mapped) {
		x.send("bad1", "bad2", "bad3", "a")
		pass(x.T, 10*time.Minute)
		if got := len(x.ran()); got != 4 {
			x.Fatalf("%d batches ran, want 4", got)
		}
		if f := x.source.Flow(x.m.All()[0]); f.Batches != 0 || f.Records != 0 {
			x.Fatalf("batches are out that do not run any more: %+v", f)
		}
	})
}

func TestWhatIsKnownOfABatchIsKeptHoweverMuchItIs(t *testing.T) {
	stack, err := json.Marshal(map[string]any{"errorType": "Error", "stackTrace": []string{strings.Repeat("s", 20<<10)}})
	if err != nil {
		t.Fatal(err)
	}
	fails := func([]string) daruma.Outcome {
		return daruma.Outcome{Kind: daruma.FunctionError, Payload: stack, Failure: &daruma.Failure{Type: "Error", Message: strings.Repeat("m", 20<<10)}}
	}
	const all = 800
	x := &mapped{strict: true, answer: fails}
	flow(t, queue.Settings{Hide: time.Hour}, mapping.Settings{Batch: all, Window: time.Second}, x, func(x *mapped) {
		messages := make([]queue.Message, all)
		for i := range messages {
			messages[i].Body = fmt.Appendf(nil, "%d", i)
		}
		if _, err := x.q.Send(x.Context(), "Q", messages...); err != nil {
			x.Fatal(err)
		}
		pass(x.T, time.Minute)
		list, err := x.q.Peek(x.Context(), "Q", 0, all)
		if err != nil || len(list) != all {
			x.Fatalf("%d messages, %v", len(list), err)
		}
		for _, m := range list {
			if !strings.HasPrefix(m.Tried, "Error: mmm") {
				x.Fatalf("of message %d it is known that %q", m.Number, m.Tried)
			}
		}
	})
}

func TestAMessageThatIsTooLargeForAFunctionIsSetAside(t *testing.T) {
	flow(t, queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "D", After: 1}}, mapping.Settings{Batch: 1}, &mapped{answer: done}, func(x *mapped) {
		x.send("huge", "a")
		pass(x.T, time.Minute)
		f, err := x.l.Find(x.Context(), ledger.Query{})
		if a := x.account(); a.Deleted != 1 || a.DeadLetters != 1 || err != nil || f.Failures[0].ErrorType != "RequestTooLargeException" {
			x.Fatalf("%+v, %v, %v", a, f.Failures, err)
		}
	})
}

func TestABatchEndsWhereItsEventWouldBeTooLarge(t *testing.T) {
	dead := &queue.DeadLetter{Queue: "D", After: 1} // of what is received twice
	flow(t, queue.Settings{DeadLetter: dead}, mapping.Settings{Batch: 10, Disabled: true}, &mapped{answer: done}, func(x *mapped) {
		for i := range 5 {
			x.send(fmt.Sprint("large", i))
		}
		x.change(func(s *mapping.Settings) { s.Disabled = false })
		pass(x.T, time.Minute)
		if a := x.account(); a.Deleted != 5 || a.DeadLetters != 0 {
			x.Fatalf("got %+v", a)
		}
		if len(x.ran()) != 3 || slices.ContainsFunc(x.ran(), func(bodies []string) bool { return len(bodies) > 2 }) {
			x.Errorf("handed out: %v", x.ran())
		}
	})
}

func TestNoMoreBatchesRunAtOnceThanTheMappingSays(t *testing.T) {
	flow(t, queue.Settings{}, mapping.Settings{Batch: 1, AtOnce: 2}, &mapped{answer: done, lasts: time.Second}, func(x *mapped) {
		for i := range 20 {
			x.send(fmt.Sprint("m", i))
		}
		pass(x.T, 15*time.Second)
		if a := x.account(); a.Deleted != 20 || x.most != 2 {
			x.Fatalf("%d are done, %d ran at once", a.Deleted, x.most)
		}
	})
}

func TestOneBatchOfAGroupRunsAtATimeAndAFailedGroupIsBlocked(t *testing.T) {
	first := true
	var mu sync.Mutex
	answer := func(bodies []string) daruma.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if slices.Contains(bodies, "a1") && first {
			first = false
			return broken
		}
		return daruma.Outcome{Kind: daruma.Done}
	}
	flow(t, queue.Settings{FIFO: true, Hide: 30 * time.Second}, mapping.Settings{Batch: 1}, &mapped{answer: answer, lasts: time.Second}, func(x *mapped) {
		x.send("a1", "a2", "b1", "b2", "a3")
		pass(x.T, 10*time.Second)
		if got := fmt.Sprint(x.ran()); strings.Contains(got, "a2") || !strings.Contains(got, "b2") {
			x.Fatalf("with a1 failed, %s ran", got)
		}
		pass(x.T, 30*time.Second)
		got := strings.Join(strings.Fields(fmt.Sprint(x.ran())), " ")
		if i := strings.LastIndex(got, "a1"); i < 0 || i > strings.Index(got, "a2") || strings.Index(got, "a2") > strings.Index(got, "a3") {
			x.Fatalf("they ran as %s", got)
		}
	})
}

func TestInOrderWhatFollowsAReportedFailureIsNotDone(t *testing.T) {
	for _, strict := range []bool{false, true} {
		tries := 0
		var mu sync.Mutex
		answer := func(bodies []string) daruma.Outcome {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries == 1 {
				return daruma.Outcome{Kind: daruma.Done, Payload: []byte(`[0]`)}
			}
			return daruma.Outcome{Kind: daruma.Done}
		}
		flow(t, queue.Settings{FIFO: true, Hide: 10 * time.Second}, mapping.Settings{Batch: 10, Partial: true, Disabled: true}, &mapped{strict: strict, answer: answer}, func(x *mapped) {
			pass(x.T, time.Second)
			x.send("a1", "a2", "b1")
			x.change(func(s *mapping.Settings) { s.Disabled = false })
			pass(x.T, time.Minute)
			want := `[[a1 a2 b1] [a1 a2]]`
			if strict {
				want = `[[a1 a2 b1] [a1]]` // as on AWS, where the function has to report what follows
			}
			if got := fmt.Sprint(x.ran()); got != want {
				x.Fatalf("strict %v: they ran as %s, want %s", strict, got, want)
			}
		})
	}
}

func TestAThrottleSpendsNoReceiveUnlessSemanticsAreStrict(t *testing.T) {
	for _, strict := range []bool{false, true} {
		throttled := func([]string) daruma.Outcome {
			return daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Type: "TooManyRequestsException"}}
		}
		flow(t, queue.Settings{Hide: 30 * time.Second, DeadLetter: &queue.DeadLetter{Queue: "D", After: 2}}, mapping.Settings{Batch: 10}, &mapped{strict: strict, answer: throttled}, func(x *mapped) {
			x.send("a")
			pass(x.T, 10*time.Minute)
			a := x.account()
			switch {
			case !strict && (a.DeadLetters != 0 || a.Messages() != 1):
				x.Fatalf("it is a dead letter after throttles only: %+v", a)
			case strict && a.DeadLetters != 1:
				x.Fatalf("as on AWS it is a dead letter once it was received too often: %+v", a)
			}
		})
	}
}

func TestNothingIsReceivedForAFunctionThatIsHeld(t *testing.T) {
	flow(t, queue.Settings{Hide: time.Second, DeadLetter: &queue.DeadLetter{Queue: "D", After: 3}}, mapping.Settings{Batch: 1}, &mapped{answer: func([]string) daruma.Outcome { return broken }}, func(x *mapped) {
		for i := range 40 {
			x.send(fmt.Sprint("m", i))
		}
		pass(x.T, time.Minute)
		before, ran := x.account(), len(x.ran())
		pass(x.T, 20*time.Second)
		a, probes := x.account(), len(x.ran())-ran
		x.Logf("%+v, %d", a, probes)
		if a.DeadLetters != 0 || probes < 1 || probes > 40 {
			x.Errorf("%d probes in 20 s and %d dead letters, want 2 a second at most and none", probes, a.DeadLetters)
		}
		if n := a.Received - before.Received; n > int64(probes) {
			x.Errorf("%d receives are spent, %d were tried", n, probes)
		}
		if n := a.Released - before.Released; n > 40*int64(probes) {
			x.Errorf("%d messages are received and released for %d probes", n, probes)
		}
	})
}

func TestAMappingThatIsDeletedLetsWhatRunsEnd(t *testing.T) {
	flow(t, queue.Settings{}, mapping.Settings{Batch: 1}, &mapped{answer: done, lasts: 10 * time.Second}, func(x *mapped) {
		x.send("a")
		pass(x.T, time.Second)
		uuid := x.m.All()[0].UUID
		if _, err := x.m.Delete(x.Context(), uuid); err != nil {
			x.Fatal(err)
		}
		x.send("b")
		pass(x.T, time.Second)
		if m := x.m.Mapping(uuid); m == nil || m.State != mapping.Deleting {
			x.Fatalf("it is %+v while its batch runs", m)
		}
		pass(x.T, 10*time.Second)
		if a := x.account(); x.m.Mapping(uuid) != nil || a.Deleted != 1 || a.Visible != 1 {
			x.Fatalf("%+v, %+v", x.m.Mapping(uuid), a)
		}
	})
}

func TestLongRunsKeepTheirMessages(t *testing.T) {
	flow(t, queue.Settings{Hide: 10 * time.Second}, mapping.Settings{Batch: 1}, &mapped{answer: done, lasts: 14 * time.Minute}, func(x *mapped) {
		x.send("a")
		pass(x.T, 20*time.Minute)
		if a := x.account(); len(x.ran()) != 1 || a.Deleted != 1 {
			x.Fatalf("it ran %d times, %+v", len(x.ran()), a)
		}
	})
}

func TestASourceThatIsGoneIsAProblemAndNoEnd(t *testing.T) {
	flow(t, queue.Settings{}, mapping.Settings{Batch: 1}, &mapped{answer: done}, func(x *mapped) {
		pass(x.T, time.Second)
		if _, err := x.q.Remove(x.Context(), "Q"); err != nil {
			x.Fatal(err)
		}
		pass(x.T, time.Minute)
		x.change(func(s *mapping.Settings) { s.Batch = 2 })
		pass(x.T, time.Minute)
		if r, _ := x.m.Result(x.m.All()[0].UUID); !strings.HasPrefix(r.Text, "PROBLEM: ") {
			x.Errorf("the last result is %q", r.Text)
		}
		if _, err := x.q.Create(x.Context(), "Q", queue.Settings{Hide: 30 * time.Second}); err != nil {
			x.Fatal(err)
		}
		x.send("a")
		pass(x.T, time.Minute)
		if a := x.account(); a.Deleted != 1 {
			x.Fatalf("%+v", a)
		}
	})
}

func TestMessagesThatWereHeldByAProcessThatIsGoneComeBack(t *testing.T) {
	flow(t, queue.Settings{Hide: time.Hour}, mapping.Settings{Batch: 1, Disabled: true}, &mapped{answer: done}, func(x *mapped) {
		x.send("a")
		if got, err := x.q.Receive(x.Context(), "Q", queue.Want{N: 1, Internal: true}); err != nil || len(got) != 1 {
			x.Fatal(err)
		}
		again := dispatch.NewMappings(dispatch.MappingsConfig{Store: x.m, Kinds: map[string]dispatch.Kind{dispatch.QueueKind: {JSON: messageJSON, Origin: dispatch.NewQueues(x.q, daruma.SystemClock{})}}})
		if _, err := again.Lease(x.Context(), dispatch.Want{}); err != nil {
			x.Fatal(err)
		}
		if a := x.account(); a.Visible != 1 || a.InFlight != 0 {
			x.Fatalf("%+v", a)
		}
	})
}

func TestASecondMappingOfAQueueLeavesWhatRunsForTheFirst(t *testing.T) {
	flow(t, queue.Settings{}, mapping.Settings{Batch: 1}, &mapped{answer: done, lasts: 10 * time.Second}, func(x *mapped) {
		x.send("a")
		pass(x.T, time.Second)
		if _, err := x.m.Create(x.Context(), mapping.Source{Kind: dispatch.QueueKind, Name: "Q", ARN: "arn:Q"}, mapping.Settings{Function: "G", Batch: 1}, nil); err != nil {
			x.Fatal(err)
		}
		pass(x.T, time.Minute)
		if got := fmt.Sprint(x.ran()); got != "[[a]]" {
			x.Errorf("handed out: %s, want it once", got)
		}
		if a := x.account(); a.Deleted != 1 || a.Received != 1 {
			x.Errorf("got %+v", a)
		}
	})
}

func TestARunTellsOfEveryMessageOfItsBatch(t *testing.T) {
	const one, other = "1-5759e988-000000000000000000000001", "1-5759e988-000000000000000000000002"
	flow(t, queue.Settings{Hide: time.Minute}, mapping.Settings{Batch: 3, Window: time.Second}, &mapped{answer: failing}, func(x *mapped) {
		began := time.Now()
		var ids []string
		for _, trace := range []string{"Root=" + one + ";Parent=00000000000000aa;Sampled=1", "Root=" + one + ";Parent=00000000000000bb", "Root=" + other + ";Parent=00000000000000cc"} {
			sent, err := x.q.Send(x.Context(), "Q", queue.Message{Body: []byte("a"), Trace: trace})
			if err != nil {
				x.Fatal(err)
			}
			ids = append(ids, sent[0].ID.String())
		}
		pass(x.T, 2*time.Second)
		if len(x.runs) != 1 {
			x.Fatalf("%d runs", len(x.runs))
		}
		inv := x.runs[0]
		want := []daruma.Link{{Message: ids[0], Receives: 1}, {Message: ids[1], Receives: 1}, {Message: ids[2], Receives: 1, Trace: other, Span: "00000000000000cc"}}
		if !slices.Equal(inv.Links, want) || !strings.HasPrefix(inv.Trace, "Root="+one+";Parent=00000000000000aa;Sampled=1;Lineage=") || daruma.Chain(inv.Trace, "F") != 1 || !inv.Since.Equal(began) || inv.Attempt != 0 || inv.Source != "queue Q" {
			x.Errorf("got %+v, want links %+v", inv, want)
		}

		// Of one message alone it is known how often it was tried, and since when it waited for this try.
		sent, err := x.q.Send(x.Context(), "Q", queue.Message{Body: []byte("bad")})
		if err != nil {
			x.Fatal(err)
		}
		pass(x.T, 3*time.Minute)
		if len(x.runs) < 3 {
			x.Fatalf("%d runs", len(x.runs))
		}
		first, second := x.runs[1], x.runs[2]
		if trace, _ := daruma.Chained(daruma.TraceOfMessage(sent[0].ID).String(), "F"); first.Trace != trace || second.Trace != trace {
			x.Errorf("got %s and %s, want the trace of its ID: %s", first.Trace, second.Trace, trace)
		}
		if first.Attempt != 1 || second.Attempt != 2 || second.Links[0].Receives != 2 || !second.Since.Equal(x.at[1]) {
			x.Errorf("got attempts %d and %d, waiting since %v, tried before at %v", first.Attempt, second.Attempt, second.Since, x.at[1])
		}
	})
}
