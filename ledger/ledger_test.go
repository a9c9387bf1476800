package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/ledger"
)

// A clock shows the time it is set to; its timers are those of the machine.
type clock struct {
	daruma.SystemClock
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type world struct {
	t     *testing.T
	clock *clock
	l     *ledger.Ledger
	cell  *cell.Cell
}

func newWorld(t *testing.T, m ledger.Machine) *world {
	w := &world{t: t, clock: &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{m}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w.cell, w.l = c, ledger.New(c)
	return w
}

func failure(function string) ledger.Failure {
	return ledger.Failure{Hop: ledger.Async, Function: function, ErrorType: "Error", Message: "it broke", Request: "r-1", CodeSHA256: "a",
		Location: ledger.Location{File: "app.py", Line: 7, Function: "handler"}}
}

func (w *world) record(f ledger.Failure, event string) ledger.ID {
	w.t.Helper()
	id, err := w.l.Record(w.t.Context(), f, []byte(event))
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) group(id ledger.GroupID) *ledger.Group {
	w.t.Helper()
	g, err := w.l.Group(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (w *world) find(q ledger.Query) (ids []string) {
	w.t.Helper()
	for {
		p, err := w.l.Find(w.t.Context(), q)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range p.Failures {
			ids = append(ids, f.Number.String())
		}
		if q.Before = p.Next; p.Next == 0 {
			return ids
		}
	}
}

func TestAMistakeIsOneGroupWhetherSomebodyWaitedOrNot(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	waited, later, undelivered := failure("Orders"), failure("Orders"), failure("Orders")
	waited.Hop, undelivered.Hop = ledger.Call, ledger.Destination
	w.record(waited, "{}")
	w.record(later, "{}")
	w.record(undelivered, "{}")
	if g := w.group(1); g.Count != 2 {
		t.Errorf("got %d failures in the group of the mistake, want 2", g.Count)
	}
	if g := w.group(2); g.Count != 1 {
		t.Errorf("got %d failures in the group of what was not handed on, want 1", g.Count)
	}
}

func TestAFailureIsKeptWithItsEvent(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	f := failure("Orders")
	f.Attempts = []ledger.Attempt{{At: w.clock.Now(), Outcome: "crashed"}}
	f.Tags = map[string]string{"team": "shop"}
	id := w.record(f, `{"n":  1}`)
	got, event, err := w.l.Failure(t.Context(), id)
	if err != nil || id.String() != "F-1" || string(event) != `{"n":  1}` || got.State != ledger.Open || got.Group.String() != "G-1" || got.Next == "" {
		t.Fatalf("got %+v, %s, %v", got, event, err)
	}
	if d := cmp.Diff(f.Attempts, got.Attempts); d != "" {
		t.Error(d)
	}
	if _, _, err := w.l.Failure(t.Context(), 2); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want none found", err)
	}
}

func TestWhatIsTooMuchIsCutOrRefused(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	f := failure("Orders")
	f.Message = strings.Repeat("é", ledger.MessageBytesMax)
	for i := range 1000 {
		f.Log = append(f.Log, fmt.Sprint("line ", i))
		f.Attempts = append(f.Attempts, ledger.Attempt{Outcome: fmt.Sprint(i)})
	}
	got, _, err := w.l.Failure(t.Context(), w.record(f, `1`))
	if err != nil || len(got.Message) != ledger.MessageBytesMax || len(got.Log) != ledger.LogLinesMax || got.Log[ledger.LogLinesMax-1] != "line 999" {
		t.Fatalf("got %d bytes and %d lines, %v", len(got.Message), len(got.Log), err)
	}
	if len(got.Attempts) != ledger.AttemptsMax || got.Attempts[0].Outcome != "0" || got.Attempts[ledger.AttemptsMax-1].Outcome != "999" {
		t.Fatalf("got %+v, want the first and the last attempts", got.Attempts)
	}
	if _, err := w.l.Record(t.Context(), failure("Orders"), make([]byte, ledger.EventBytesMax+1)); daruma.KindOf(err) != daruma.KindTooLarge {
		t.Fatalf("got %v, want it too large", err)
	}
	if _, err := w.l.Record(t.Context(), ledger.Failure{}, nil); daruma.KindOf(err) != daruma.KindInvalid {
		t.Fatalf("got %v, want it refused", err)
	}
}

func TestSensitiveValuesAreNowhereInTheLedger(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	f := failure("Orders")
	f.Sensitive = []string{"$.items[*].card", "$['a b'].token", "$.none"}
	f.Correlate = []string{"$.order", "$.items[0].card"}
	f.Message, f.Log, f.Stack = "card 4111111111111111 was refused", []string{"token=s3cr3t-token"}, []string{"at pay (4111111111111111)"}
	f.Attempts = []ledger.Attempt{{Message: "card 4111111111111111"}}
	id := w.record(f, `{"order":7,"items":[{"card":"4111111111111111"},{"card":1234567}],"a b":{"token":["s3cr3t-token"]}}`)
	err := w.cell.View(t.Context(), "ledger", func(r *cell.Reader) error {
		for k, v := range r.Scan(cell.Range{}) {
			for _, secret := range []string{"4111111111111111", "s3cr3t", "1234567"} {
				if strings.Contains(string(k)+string(v), secret) {
					t.Errorf("%q holds %s", k, secret)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := w.l.Failure(t.Context(), id)
	if d := cmp.Diff([]string{"$.items[*].card", "$['a b'].token"}, got.Redacted); d != "" || err != nil || got.Correlations["$.order"] != "7" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestAnEventThatCannotBeLookedIntoIsNotKeptWhenItMayBeSensitive(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	f := failure("Orders")
	f.Sensitive = []string{"$.card"}
	_, event, err := w.l.Failure(t.Context(), w.record(f, `card=4111`))
	if err != nil || string(event) != `"[redacted]"` {
		t.Fatalf("got %s, %v", event, err)
	}
}

func TestFailuresAreFound(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	began := w.clock.Now()
	for i := range 30 {
		f := failure([]string{"A", "B", "C"}[i%3])
		f.Request, f.Trace = fmt.Sprintf("r-%d", i), fmt.Sprintf("1-%d", i/2)
		f.Correlate = []string{"$.order"}
		if i == 12 {
			f.Message = "The Needle"
		}
		w.record(f, fmt.Sprintf(`{"order":"O-%d"}`, i/10))
		w.clock.advance(time.Minute)
	}
	if err := w.l.Discard(t.Context(), 5, "a test"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		q    ledger.Query
		want string
	}{
		{"by request", ledger.Query{Request: "r-3"}, "F-4"},
		{"by trace", ledger.Query{Trace: "1-3"}, "F-8 F-7"},
		{"by correlation and function", ledger.Query{Correlation: "O-1", Function: "A"}, "F-19 F-16 F-13"},
		{"by function and state", ledger.Query{Function: "B", State: ledger.Discarded}, "F-5"},
		{"by text", ledger.Query{Text: "needle"}, "F-13"},
		{"by time", ledger.Query{From: began.Add(3 * time.Minute), To: began.Add(5 * time.Minute)}, "F-5 F-4"},
		{"by group", ledger.Query{Group: 2, To: began.Add(6 * time.Minute)}, "F-5 F-2"},
		{"by a request that is only the beginning of another", ledger.Query{Request: "r-"}, ""},
	} {
		if got := strings.Join(w.find(c.q), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if all := w.find(ledger.Query{Max: 7}); len(all) != 30 || all[0] != "F-30" || all[29] != "F-1" {
		t.Errorf("got %v, want all of them over pages, newest first", all)
	}
}

func TestFailuresAlikeAreOneGroup(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	f := failure("Orders")
	w.record(f, `1`)
	f.Location.Line, f.Message = 9, "it broke again" // an edit above it
	w.record(f, `1`)
	f.Location.Function = "other"
	w.record(f, `1`)
	f = failure("Orders")
	f.ErrorType = "ValueError"
	w.record(f, `1`)
	groups, err := w.l.Groups(t.Context(), 0, 10)
	if err != nil || len(groups) != 3 {
		t.Fatalf("got %d groups, %v, want 3", len(groups), err)
	}
	if g := groups[2]; g.Count != 2 || g.Open != 2 || g.LastID != 2 || g.Message != "it broke again" || g.Location.Line != 9 {
		t.Fatalf("got %+v", g)
	}
}

func TestAGroupIsNewThenSteadyThenGrowingThenQuiet(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	status := func(want ledger.Status) {
		t.Helper()
		if got := w.group(1).Status(w.clock.Now()); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	w.record(failure("Orders"), `1`)
	status(ledger.StatusNew)
	for range 30 {
		w.clock.advance(5 * time.Minute)
		w.record(failure("Orders"), `1`)
	}
	status(ledger.StatusSteady)
	for range 10 {
		w.record(failure("Orders"), `1`)
	}
	status(ledger.StatusGrowing)
	w.clock.advance(59 * time.Minute)
	status(ledger.StatusSteady)
	w.clock.advance(time.Minute)
	status(ledger.StatusQuiet)
}

func TestAGroupThatComesBackInOtherCodeHasRegressed(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	w.record(failure("Orders"), `1`)
	if left, err := w.l.ResolveGroup(t.Context(), 1, "fixed"); err != nil || left != 0 {
		t.Fatal(left, err)
	}
	if got := w.group(1).Status(w.clock.Now()); got != ledger.StatusResolved {
		t.Fatalf("got %s, want resolved", got)
	}
	w.record(failure("Orders"), `1`) // the old code still runs somewhere
	if got := w.group(1).Status(w.clock.Now()); got != ledger.StatusNew {
		t.Fatalf("got %s, want it new: the code is the same", got)
	}
	if _, err := w.l.ResolveGroup(t.Context(), 1, "fixed"); err != nil {
		t.Fatal(err)
	}
	f := failure("Orders")
	f.CodeSHA256 = "b"
	w.record(f, `1`)
	if got := w.group(1).Status(w.clock.Now()); got != ledger.StatusRegressed {
		t.Fatalf("got %s, want regressed", got)
	}
}

func TestStatesChangeAsTheyMay(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	for range 3 {
		w.record(failure("Orders"), `1`)
	}
	ctx := t.Context()
	for i, c := range []struct {
		do   func() error
		kind daruma.Kind
		ok   bool
	}{
		{func() error { return w.l.Discard(ctx, 1, "") }, daruma.KindInvalid, false},
		{func() error { return w.l.Discard(ctx, 1, "a test") }, 0, true},
		{func() error { return w.l.Discard(ctx, 1, "again") }, 0, true},
		{func() error { return w.l.Resolve(ctx, 1, "why") }, daruma.KindConflict, false},
		{func() error { return w.l.Resolve(ctx, 2, "why") }, 0, true},
		{func() error { return w.l.Resolve(ctx, 2, "why") }, 0, true},
		{func() error { return w.l.Discard(ctx, 2, "why") }, daruma.KindConflict, false},
		{func() error { return w.l.Resolve(ctx, 9, "why") }, daruma.KindNotFound, false},
	} {
		if err := c.do(); (err == nil) != c.ok || !c.ok && daruma.KindOf(err) != c.kind {
			t.Errorf("step %d: got %v", i, err)
		}
	}
	if u, err := w.l.Usage(ctx); err != nil || u.Open != 1 || u.Failures != 3 {
		t.Errorf("got %+v, %v", u, err)
	}
	if g := w.group(1); g.Open != 1 {
		t.Errorf("got %+v", g)
	}
}

func TestTheLedgerKeepsWithinItsCountClosedOnesFirst(t *testing.T) {
	w := newWorld(t, ledger.Machine{KeepMax: 10})
	for i := range 10 {
		w.record(failure(fmt.Sprint("F", i)), `1`)
	}
	for _, id := range []ledger.ID{7, 3} {
		if err := w.l.Discard(t.Context(), id, "a test"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		w.record(failure(fmt.Sprint("F", 10+i)), `1`)
	}
	if got := strings.Join(w.find(ledger.Query{}), " "); got != "F-14 F-13 F-12 F-11 F-10 F-9 F-8 F-6 F-5 F-4" {
		t.Fatalf("got %s, want the closed ones gone first, then the oldest", got)
	}
	u, err := w.l.Usage(t.Context())
	if err != nil || u.Failures != 10 || u.Recorded != 14 || u.DroppedClosed != 2 || u.DroppedOpen != 2 || u.Open != 10 || u.KeepMax != 10 {
		t.Fatalf("got %+v, %v", u, err)
	}
	if _, err := w.l.Group(t.Context(), 1); daruma.KindOf(err) != daruma.KindNotFound {
		t.Fatalf("got %v, want the group gone with its last failure", err)
	}
}

func TestTheLedgerKeepsWithinItsBytes(t *testing.T) {
	w := newWorld(t, ledger.Machine{KeepBytes: 100_000})
	for range 100 {
		w.record(failure("Orders"), `"`+strings.Repeat("x", 5000)+`"`)
	}
	u, err := w.l.Usage(t.Context())
	if err != nil || u.Bytes > 100_000 || u.Failures < 10 || u.Failures+u.DroppedOpen != 100 {
		t.Fatalf("got %+v, %v", u, err)
	}
	stored := int64(0)
	err = w.cell.View(t.Context(), "ledger", func(r *cell.Reader) error {
		for k, v := range r.Scan(cell.Range{}) {
			switch k[0] {
			case 'f':
				stored += int64(len(v))
			case 'e':
				stored += int64(len(v)) - 5 // the seal
			}
		}
		return nil
	})
	if err != nil || stored != u.Bytes {
		t.Fatalf("got %d bytes stored, %d accounted for, %v", stored, u.Bytes, err)
	}
}

func TestOldFailuresGo(t *testing.T) {
	w := newWorld(t, ledger.Machine{KeepAge: 24 * time.Hour})
	for range 300 {
		w.record(failure("Orders"), `1`)
	}
	w.clock.advance(25 * time.Hour)
	w.record(failure("Orders"), `1`)
	for range 3 { // a bounded number at once
		if _, err := w.cell.Do(context.Background(), cell.Command{Machine: "ledger", Name: "retain"}); err != nil {
			t.Fatal(err)
		}
	}
	u, err := w.l.Usage(t.Context())
	if err != nil || u.Failures != 1 || u.DroppedOld != 300 || u.Open != 1 {
		t.Fatalf("got %+v, %v", u, err)
	}
	left := 0
	err = w.cell.View(t.Context(), "ledger", func(r *cell.Reader) error {
		for range r.Scan(cell.Range{}) {
			left++
		}
		return nil
	})
	if err != nil || left > 15 {
		t.Fatalf("%d keys are left, %v", left, err)
	}
}

func TestARepairIsWrittenDownBeforeItIsMade(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	if _, err := w.l.Begin(t.Context(), ledger.Repair{What: "hold Orders", Why: "its database is down"}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Fatalf("got %v, want a repair without a way back refused", err)
	}
	id, err := w.l.Begin(t.Context(), ledger.Repair{What: "hold Orders", Why: "its database is down", Undo: "daruma release Orders", Evidence: strings.Repeat("x", 1<<20)})
	if err != nil || id.String() != "H-1" {
		t.Fatal(id, err)
	}
	list, err := w.l.Repairs(t.Context(), 0, "", 10)
	if err != nil || len(list) != 1 || list[0].Outcome != "" || len(list[0].Evidence) != ledger.EvidenceBytesMax {
		t.Fatalf("got %+v, %v", list, err)
	}
	if err := w.l.Complete(t.Context(), id, "held"); err != nil {
		t.Fatal(err)
	}
	if err := w.l.Complete(t.Context(), id, "held"); daruma.KindOf(err) != daruma.KindConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
	if list, _ = w.l.Repairs(t.Context(), 0, "", 10); list[0].Outcome != "held" || list[0].Completed.IsZero() {
		t.Fatalf("got %+v", list[0])
	}
}

func TestTheFirstOwnFrameIsFound(t *testing.T) {
	for _, c := range []struct{ name, payload, want string }{
		{"Node.js", `{"errorType":"TypeError","errorMessage":"x","trace":["TypeError: x","    at Object.parse (node:internal/json:1:2)","    at pay (/var/task/node_modules/pay/i.js:1:2)","    at charge (/var/task/src/app.js:12:5)","    at handler (/var/task/app.js:3:1)"]}`, "src/app.js:12 charge"},
		{"Node.js, no name", `{"trace":["Error","    at file:///var/task/app.mjs:7:11"]}`, "app.mjs:7"},
		{"Python", `{"errorType":"KeyError","stackTrace":["  File \"/var/task/app.py\", line 4, in handler\n    f()\n","  File \"/var/task/lib/pay.py\", line 9, in charge\n    boto()\n","  File \"/var/task/site-packages/boto3/x.py\", line 1, in y\n"]}`, "lib/pay.py:9 charge"},
		{"Java", `{"errorType":"java.lang.NullPointerException","stackTrace":["java.base/java.util.Objects.requireNonNull(Unknown Source)","com.example.Pay.charge(Pay.java:17)","com.example.App.handleRequest(App.java:5)"]}`, "Pay.java:17 com.example.Pay.charge"},
		{"Go", `{"errorType":"errorString","stackTrace":[{"path":"github.com/aws/aws-lambda-go@v1/lambda/errors.go","line":39,"label":"lambdaPanicResponse"},{"path":"runtime/panic.go","line":1,"label":"gopanic"},{"path":"main.go","line":12,"label":"handler"}]}`, "main.go:12 handler"},
		{"no stack", `{"errorType":"Sandbox.Timedout","errorMessage":"x"}`, ""},
		{"no JSON", `oops`, ""},
	} {
		if _, at := ledger.Trace([]byte(c.payload)); at.String() != c.want {
			t.Errorf("%s: got %q, want %q", c.name, at, c.want)
		}
	}
}

func TestAStackIsTheLinesThatItsRuntimeReported(t *testing.T) {
	for _, c := range []struct {
		name, payload string
		want          []string
	}{
		{"Node.js", `{"trace":["Error: x","    at f (/var/task/app.js:1:2)"]}`, []string{"Error: x", "    at f (/var/task/app.js:1:2)"}},
		{"texts", `{"stackTrace":["a","b"]}`, []string{"a", "b"}},
		{"one text", `{"stackTrace":"a\nb"}`, []string{"a", "b"}},
		{"Go", `{"stackTrace":[{"path":"runtime/panic.go","line":1,"label":"gopanic"},{"path":"main.go","line":12,"label":"handler"}]}`,
			[]string{"at gopanic (runtime/panic.go:1:0)", "at handler (main.go:12:0)"}},
		{"none", `{"stackTrace":[]}`, nil},
		{"neither", `{"stackTrace":[1,"a"]}`, nil},
	} {
		if got, _ := ledger.Trace([]byte(c.payload)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestIDsAreReadAsTheyAreWritten(t *testing.T) {
	var id ledger.ID
	if err := id.UnmarshalText([]byte("f-17")); err != nil || id.String() != "F-17" {
		t.Fatal(id, err)
	}
	for _, bad := range []string{"", "17", "G-17", "F-", "F-x", "F--1"} {
		if err := id.UnmarshalText([]byte(bad)); daruma.KindOf(err) != daruma.KindInvalid || err == nil {
			t.Errorf("%q: got %v, want it refused", bad, err)
		}
	}
}

func TestPathsThatAreNotSupportedAreRefused(t *testing.T) {
	for _, bad := range []string{"", "$", "$..a", "$.a[", "$.a[?(@.b)]", "$.a[-1]", "$." + strings.Repeat("a.", 40) + "b"} {
		if ledger.CheckPath(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, good := range []string{"$.a", "a.b[0].c", "$['x y'].z[*]", "$.*.token"} {
		if err := ledger.CheckPath(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func FuzzMachine(f *testing.F) {
	f.Add("record", []byte{2, '{', '}', '1'})
	f.Add("redrive", []byte(`{"id":"F-1"}`))
	f.Add("resolve-group", []byte(`{"id":"G-1"}`))
	f.Add("complete-repair", []byte(`{"id":"H-1","outcome":"x"}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		w := newWorld(t, ledger.Machine{KeepMax: 3})
		w.record(failure("Orders"), `{"a":1}`)
		_, err := w.cell.Do(t.Context(), cell.Command{Machine: "ledger", Name: name, Body: body})
		if daruma.KindOf(err) == daruma.KindInternal && err != nil {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzTrace(f *testing.F) {
	f.Add([]byte(`{"trace":["at a (b:1:2)"]}`))
	f.Add([]byte(`{"stackTrace":[{"path":"x","line":1,"label":"y"}]}`))
	f.Fuzz(func(_ *testing.T, payload []byte) { ledger.Trace(payload) })
}

func FuzzPath(f *testing.F) {
	f.Add("$.a[*]['b']", []byte(`{"a":[{"b":1}]}`))
	f.Fuzz(func(t *testing.T, path string, event []byte) {
		w := newWorld(t, ledger.Machine{})
		x := failure("Orders")
		x.Sensitive, x.Correlate = []string{path}, []string{path}
		if _, err := w.l.Record(t.Context(), x, event); err != nil && daruma.KindOf(err) == daruma.KindInternal {
			t.Fatal(err)
		}
	})
}

func TestAnEventIsFoundByWhatIsDeclaredAndNotSensitive(t *testing.T) {
	event := []byte(`{"order":{"id":"4711"},"n":7,"same":"4711","card":"secret"}`)
	if got, want := ledger.Keys(event, []string{"$.card"}, []string{"$.order.id", "$.n", "$.same", "$.card", "$.none", "$.order"}), []string{"4711", "7"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := ledger.Keys([]byte("not JSON"), nil, []string{"$.a"}); len(got) != 0 {
		t.Errorf("got %v of an event that is not JSON", got)
	}
}
