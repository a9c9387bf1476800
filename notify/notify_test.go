package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/outside"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a channel's other side.
type receiver struct {
	mu       sync.Mutex
	messages []Message
	at       []time.Time
	answer   func(n int) error // to the nth message, from 1; nil: always taken
}

func (r *receiver) send(_ context.Context, m Message) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages, r.at = append(r.messages, m), append(r.at, time.Now())
	if r.answer != nil {
		return "", r.answer(len(r.messages))
	}
	return "", nil
}

func (r *receiver) got() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.messages...)
}

// world is a ledger and who tells of it, in a bubble of virtual time.
type world struct {
	t       *testing.T
	l       *ledger.Ledger
	cell    *cell.Cell
	n       *Notifier
	ops     *receiver
	stop    func()
	subject Subject
}

func open(t *testing.T, medium *memory.Medium) (*ledger.Ledger, *cell.Cell) {
	c, err := cell.Open(t.Context(), cell.Config{Journal: medium, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	return ledger.New(c), c
}

// begin starts telling what is in medium through the channel ops.
func begin(t *testing.T, medium *memory.Medium, ops *receiver, wrap func(Outbox) Outbox) *world {
	w := &world{t: t, ops: ops, subject: Subject{Channels: []string{"ops"}}}
	w.l, w.cell = open(t, medium)
	outbox := Outbox(w.l)
	if wrap != nil {
		outbox = wrap(outbox)
	}
	w.n = New(Config{App: "shop", Outbox: outbox, Record: w.l, Subject: func(string) Subject { return w.subject }})
	w.n.Use(outside.New(outside.Config{}), []Channel{{Name: "ops", Kind: KindWebhook}})
	w.n.channels["ops"].via = ops
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.n.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.cell.Close()
	})
	return w
}

func (w *world) fail(function, kind string) {
	w.t.Helper()
	f := ledger.Failure{Hop: ledger.Async, Function: function, ErrorType: kind, Message: "it broke", Request: "r", Trace: "1-2-3", Owner: "me", Faults: []string{"FT-3 error"}}
	if _, err := w.l.Record(w.t.Context(), f, []byte(`{"a":1}`)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tally() ledger.Tally {
	w.t.Helper()
	_, tally, err := w.l.Notices(w.t.Context(), 1)
	if err != nil {
		w.t.Fatal(err)
	}
	return tally
}

// pass lets d go by and waits until nothing moves any more.
func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestAnOwnerIsToldWithEverythingThatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, &memory.Medium{}, &receiver{}, nil)
		defer w.stop()
		w.fail("Orders", "TypeError")
		id, err := w.l.Begin(t.Context(), ledger.Repair{What: "replace it", Why: "it crashed", Undo: "nothing", Owner: "me", Function: "Orders"})
		if err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		got := w.ops.got()
		if len(got) != 1 || len(got[0].Notices) != 2 {
			t.Fatalf("got %+v, want one message of two notices", got)
		}
		m := got[0]
		if want := "shop: G-1 new in Orders: TypeError: it broke, 1 so far (and 1 more)"; m.Summary != want || m.Owner != "me" || m.ID != 1 {
			t.Errorf("got %q for %s, want %q", m.Summary, m.Owner, want)
		}
		n := m.Notices[0]
		if len(n.Failure.Faults) != 1 || n.Failure.Faults[0] != "FT-3 error" || n.Failure.Trace != "1-2-3" || string(n.Failure.Event) != `{"a":1}` || fmt.Sprint(n.Commands) != "[daruma failures show F-1 daruma reproduce F-1 daruma failures redrive F-1]" {
			t.Errorf("got %+v %v", n.Failure, n.Commands)
		}
		if r := m.Notices[1].Repair; r == nil || r.ID != id || r.Outcome != "" {
			t.Errorf("got %+v", r)
		}
		if got := w.tally(); got != (ledger.Tally{Told: 2}) {
			t.Errorf("got %+v, want both told and nothing waiting", got)
		}
		if err := w.l.Complete(t.Context(), id, "replaced"); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		if got := w.ops.got(); len(got) != 2 || got[1].Notices[0].Repair.Outcome != "replaced" {
			t.Errorf("got %+v, want the repair's end", got)
		}
	})
}

func TestAStormOfOneGroupIsAFewMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, &memory.Medium{}, &receiver{}, nil)
		defer w.stop()
		for range 1000 {
			w.fail("Orders", "TypeError")
			time.Sleep(20 * time.Millisecond)
		}
		pass(5 * time.Second)
		got := w.ops.got()
		if len(got) < 2 || len(got) > 5 {
			t.Errorf("got %d messages of 1,000 failures, want 2 to 5", len(got))
		}
		if last := got[len(got)-1].Notices; last[0].Group.Count < 900 {
			t.Errorf("the last one tells of %d failures", last[0].Group.Count)
		}
	})
}

func TestAStormOfManyGroupsKeepsThePaceAndSumsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, &memory.Medium{}, &receiver{}, nil)
		defer w.stop()
		const groups = 600
		for i := range groups {
			w.fail("Orders", fmt.Sprint("Error", i))
			time.Sleep(time.Second)
		}
		pass(5 * time.Minute)
		got := w.ops.got()
		// The burst, then one a minute.
		if most := 5 + 10 + 5; len(got) > most {
			t.Errorf("got %d messages in ten minutes, want %d at most", len(got), most)
		}
		told := 0
		for _, m := range got {
			told += len(m.Notices) + m.More
			if len(m.Notices) > detailedMax {
				t.Errorf("a message has %d notices", len(m.Notices))
			}
		}
		if tally := w.tally(); told != groups || tally.Told != groups || tally.Waiting != 0 {
			t.Errorf("%d were told, and the ledger says %+v; want %d", told, tally, groups)
		}
	})
}

func TestOwnersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, &memory.Medium{}, &receiver{}, nil)
		defer w.stop()
		for i := range 120 {
			w.fail("Orders", fmt.Sprint("Error", i))
			time.Sleep(time.Second)
		}
		f := ledger.Failure{Hop: ledger.Async, Function: "Other", Owner: "you"}
		if _, err := w.l.Record(t.Context(), f, nil); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		pass(3 * time.Second)
		for i, m := range w.ops.got() {
			if m.Owner == "you" {
				if took := w.ops.at[i].Sub(began); took > 3*time.Second {
					t.Errorf("it took %v", took)
				}
				return
			}
		}
		t.Error("the second owner was not told")
	})
}

func TestWhatFailsIsTriedAgainAndGivenUpInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(int) error { return errors.New("no") }}
		w := begin(t, &memory.Medium{}, r, nil)
		defer w.stop()
		w.fail("Orders", "TypeError")
		pass(2 * time.Hour)
		if n := len(r.got()); n != AttemptsMax {
			t.Errorf("got %d attempts, want %d", n, AttemptsMax)
		}
		if got := w.tally(); got != (ledger.Tally{GivenUp: 1}) {
			t.Errorf("got %+v, want it given up", got)
		}
		for _, s := range w.n.Status() {
			if s.Name == "ops" && (s.GivenUp != 1 || s.Failures != AttemptsMax || s.Failure != "tell: no") {
				t.Errorf("the status is %+v", s)
			}
		}
		for i := 1; i < len(r.at); i++ {
			if wait, bound := r.at[i].Sub(r.at[i-1]), min(backoffMax, backoffMin<<i)+2*time.Second; wait > bound {
				t.Errorf("attempt %d came after %v, more than %v", i+1, wait, bound)
			}
		}
	})
}

func TestAReceiverThatAsksForTimeGetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(n int) error {
			if n == 1 {
				return &busy{10 * time.Minute, errors.New("later")}
			}
			return nil
		}}
		w := begin(t, &memory.Medium{}, r, nil)
		defer w.stop()
		w.fail("Orders", "TypeError")
		pass(time.Hour)
		if len(r.at) != 2 || r.at[1].Sub(r.at[0]) < 10*time.Minute {
			t.Errorf("got messages at %v", r.at)
		}
	})
}

func TestAnAddressInsideIsGivenUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(int) error { return &outside.Refused{Host: "h", Why: "inside"} }}
		w := begin(t, &memory.Medium{}, r, nil)
		defer w.stop()
		w.fail("Orders", "TypeError")
		pass(time.Hour)
		if n := len(r.got()); n != 1 || w.tally().GivenUp != 1 {
			t.Errorf("got %d attempts and %+v", n, w.tally())
		}
	})
}

// forgetful loses what it is told, as if the process ended before it was durable.
type forgetful struct {
	Outbox
	lose func() bool
}

func (f forgetful) Told(ctx context.Context, t ledger.Telling) error {
	if f.lose() {
		return &daruma.Error{Kind: daruma.KindUnavailable, Err: errors.New("gone")}
	}
	return f.Outbox.Told(ctx, t)
}

func TestACrashBetweenSendingAndNotingTellsTheSameNoticeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		medium, r := &memory.Medium{}, &receiver{}
		w := begin(t, medium, r, func(o Outbox) Outbox { return forgetful{o, func() bool { return true }} })
		w.fail("Orders", "TypeError")
		pass(10 * time.Minute)
		if n := len(r.got()); n != 1 {
			t.Errorf("got %d messages while the process knew it was sent, want 1", n)
		}
		w.stop()
		w = begin(t, medium, r, nil)
		pass(time.Minute)
		got := r.got()
		if len(got) != 2 || got[0].Notices[0].ID != got[1].Notices[0].ID {
			t.Errorf("got %d messages, want the same notice twice", len(got))
		}
		w.stop()
		w = begin(t, medium, r, nil)
		pass(time.Hour)
		w.stop()
		if n := len(r.got()); n != 2 {
			t.Errorf("got %d messages after the third start, want 2", n)
		}
	})
}

func TestWhatTheLedgerCannotNoteIsNotedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		w := begin(t, &memory.Medium{}, &receiver{}, func(o Outbox) Outbox { return forgetful{o, func() bool { tries++; return tries < 4 }} })
		defer w.stop()
		w.fail("Orders", "TypeError")
		pass(time.Minute)
		if got := w.tally(); len(w.ops.got()) != 1 || got != (ledger.Tally{Told: 1}) {
			t.Errorf("got %d messages and %+v", len(w.ops.got()), got)
		}
	})
}

func TestNoticesThatNobodyIsToldAreFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, &memory.Medium{}, &receiver{}, nil)
		defer w.stop()
		w.subject = Subject{}
		w.fail("Orders", "TypeError")
		pass(time.Minute)
		if got := w.tally(); got != (ledger.Tally{}) || len(w.ops.got()) != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestLanesThatHaveNothingToSayAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, &memory.Medium{}, &receiver{}, nil)
		defer w.stop()
		w.fail("Orders", "TypeError")
		pass(time.Hour)
		w.n.wake.Ring()
		synctest.Wait()
		w.n.mu.Lock()
		defer w.n.mu.Unlock()
		if len(w.n.lanes) != 0 {
			t.Errorf("%d lanes are left", len(w.n.lanes))
		}
	})
}
