package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/queue"
)

func TestWaitersGetOneMessageEach(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	const n = 20
	got := make(chan string, n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			m, err := w.q.Receive(t.Context(), "q", queue.Want{N: 1, Wait: time.Hour})
			if err != nil || len(m) != 1 {
				t.Errorf("got %v, %v", m, err)
				return
			}
			got <- string(m[0].Body)
		})
	}
	w.send("q", text("0"))
	batch := make([]queue.Message, n-1)
	for i := range batch {
		batch[i] = text("%d", i+1)
	}
	w.send("q", batch...)
	all.Wait()
	close(got)
	seen := map[string]bool{}
	for b := range got {
		seen[b] = true
	}
	if len(seen) != n {
		t.Errorf("got %v", seen)
	}
}

func TestWhoWaitsIsWokenByWhatBecomesVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create("q", queue.Settings{})
		w.send("q", queue.Message{Body: []byte("late"), Delay: new(10 * time.Second)})
		got, errs := make(chan []queue.Received, 1), make(chan error, 1)
		wait := func() {
			go func() {
				m, err := w.q.Receive(t.Context(), "q", queue.Want{N: 1, Wait: time.Hour})
				got <- m
				errs <- err
			}()
			synctest.Wait()
		}
		woken := func(after time.Duration) []queue.Received {
			t.Helper()
			w.clock.Advance(after - time.Second)
			synctest.Wait()
			if len(got) > 0 {
				t.Fatalf("got %v before its time", <-got)
			}
			w.clock.Advance(time.Second)
			synctest.Wait()
			if len(got) == 0 {
				t.Fatalf("still waits after %v", after)
			}
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
			return <-got
		}
		wait()
		if m := woken(10 * time.Second); len(m) != 1 || string(m[0].Body) != "late" {
			t.Fatalf("got %v", m)
		}
		wait()
		m := woken(30 * time.Second) // its visibility time-out
		if len(m) != 1 || m[0].Count != 2 {
			t.Fatalf("got %v", m)
		}
		w.delete("q", m...)
		wait()
		if m := woken(time.Hour); len(m) != 0 {
			t.Fatalf("got %v", m)
		}
	})
}

func TestAWaitEndsWithItsContextAndWithItsQueue(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	wait := func(ctx context.Context) {
		_, err := w.q.Receive(ctx, "q", queue.Want{N: 1, Wait: time.Hour})
		errs <- err
	}
	go wait(ctx)
	cancel()
	if err := <-errs; daruma.KindOf(err) != daruma.KindExpired {
		t.Errorf("got %v", err)
	}
	go wait(t.Context())
	if _, err := w.q.Remove(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, queue.ErrNoQueue) {
		t.Errorf("got %v", err)
	}
}

func TestAnEmptyReceiveWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	before, err := w.cell.Changed(t.Context(), "queue", 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		w.receive("q", 1)
	}
	if after, err := w.cell.Changed(t.Context(), "queue", 0); err != nil || after != before {
		t.Errorf("got %d, %v after %d", after, err, before)
	}
}

func TestMessagesExpireWhenTheyAreNotKeptAnyLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create("q", queue.Settings{Keep: time.Hour})
		for i := range 200 {
			w.send("q", text("%d", i))
		}
		w.send("q", queue.Message{Body: []byte("delayed"), Delay: new(queue.DelayMax)}, queue.Message{Body: []byte("grouped"), Group: "g"})
		held := w.receive("q", 3)
		if _, err := w.q.Hide(t.Context(), "q", queue.Hiding{Handle: held[0].Handle, For: 2 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Hour - time.Second)
		w.send("q", text("young"))
		w.audit()
		w.clock.Advance(2 * time.Second)
		if got := w.receive("q", 10); len(got) != 1 || string(got[0].Body) != "young" {
			t.Errorf("got %v", bodies(got))
		}
		synctest.Wait() // the timers have done their part
		if a := w.account("q"); a.Expired != 201 {
			t.Errorf("got %+v", a)
		}
		w.audit()
		// What is in flight stays until it is visible again.
		if a := w.account("q"); a.InFlight != 2 || !a.Closes() {
			t.Errorf("got %+v", a)
		}
		w.clock.Advance(2 * time.Hour)
		synctest.Wait()
		if a := w.account("q"); a.Messages() != 0 {
			t.Errorf("got %+v", a)
		}
		w.audit()
	})
}

func TestAPurgeLeavesNothingAndIsPossibleOnceAMinute(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	w.send("q", text("a"), text("b"), queue.Message{Body: []byte("c"), Group: "g"}, queue.Message{Body: []byte("d"), Delay: new(time.Minute)})
	held := w.receive("q", 1)
	if n, err := w.q.Purge(t.Context(), "q"); err != nil || n != 4 {
		t.Fatal(n, err)
	}
	if _, err := w.q.Purge(t.Context(), "q"); !errors.Is(err, queue.ErrPurged) {
		t.Errorf("got %v", err)
	}
	w.delete("q", held...) // is gone, and no error
	w.clock.Advance(time.Minute)
	if _, err := w.q.Purge(t.Context(), "q"); err != nil {
		t.Errorf("after a minute: %v", err)
	}
	w.send("q", text("e"))
	if got := bodies(w.receive("q", 10)); !slices.Equal(got, []string{"e"}) {
		t.Errorf("got %v", got)
	}
	if a := w.account("q"); a.Purged != 4 || !a.Closes() {
		t.Errorf("got %+v", a)
	}
	w.audit()
}

func TestAPurgeForgetsWhatWasSent(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{FIFO: true})
	first := w.send("q", in("g", text("a")))[0]
	if again := w.send("q", in("g", text("a")))[0]; !again.Duplicate || again.ID != first.ID {
		t.Fatalf("got %+v", again)
	}
	if _, err := w.q.Purge(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	if again := w.send("q", in("g", text("a")))[0]; again.Duplicate {
		t.Errorf("got %+v", again)
	}
	if got := bodies(w.receive("q", 10)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
	w.clock.Advance(time.Hour) // what is known is forgotten, once
	w.send("q", in("g", text("b")))
	w.audit()
}

func TestANameCanBeUsedAgainAMinuteAfterItsQueueWasRemoved(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	w.send("q", text("old"))
	old := w.receive("q", 1)[0]
	if n, err := w.q.Remove(t.Context(), "q"); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if _, err := w.q.Create(t.Context(), "q", queue.Settings{}); !errors.Is(err, queue.ErrRemoved) {
		t.Errorf("got %v", err)
	}
	if _, err := w.q.Send(t.Context(), "q", text("x")); !errors.Is(err, queue.ErrNoQueue) {
		t.Errorf("got %v", err)
	}
	w.clock.Advance(time.Minute)
	w.create("q", queue.Settings{})
	w.send("q", text("new"))
	w.receive("q", 1)
	// The handle names a message by the same number, in another queue.
	if each, err := w.q.Delete(t.Context(), "q", old.Handle); err != nil || !errors.Is(each[0], queue.ErrHandle) {
		t.Errorf("got %v, %v", each, err)
	}
	w.crash()
	if a := w.account("q"); a.InFlight != 1 || a.Sent != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestAHandleIsGoodAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	w.send("q", text("x"))
	got := w.receive("q", 1)
	w.crash()
	w.delete("q", got...)
	if a := w.account("q"); a.Deleted != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestWhatWasAnsweredSurvivesACrashAtEveryCommand(t *testing.T) {
	w := newWorld(t)
	w.create("dead", queue.Settings{})
	w.create("q", queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "dead", After: 2}})
	have := map[string]bool{}
	for i := range 120 {
		switch i % 4 {
		case 0, 1:
			w.send("q", text("%d", i))
			have[fmt.Sprint(i)] = true
		case 2:
			for _, m := range w.receive("q", 1) {
				w.delete("q", m)
				delete(have, string(m.Body))
			}
		case 3:
			w.receive("q", 2)
			w.clock.Advance(31 * time.Second)
		}
		// What is on its way to the disk is lost with the process.
		w.medium.Hold()
		ctx, cancel := context.WithCancel(t.Context())
		lost := make(chan struct{})
		before := w.q
		go func() { _, _ = before.Send(ctx, "q", text("lost")); close(lost) }()
		w.crash()
		cancel()
		<-lost
		w.audit()
	}
	for _, name := range []string{"q", "dead"} {
		list, err := w.q.Peek(t.Context(), name, 0, queue.PeekMax)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if !have[string(p.Body)] {
				t.Errorf("%s is in %s twice, or was deleted", p.Body, name)
			}
			delete(have, string(p.Body))
		}
	}
	if len(have) > 0 {
		t.Errorf("lost: %v", have)
	}
	if a := w.account("q"); a.DeadLetters == 0 || !a.Closes() || !w.accountCloses("dead") {
		t.Errorf("got %+v", a)
	}
}

func (w *world) accountCloses(name string) bool { a := w.account(name); return a.Closes() }

func TestNoMoreThanSoManyMessagesAreInFlight(t *testing.T) {
	if race || testing.Short() {
		t.Skip("has 120,000 messages in flight: not with -race or -short")
	}
	w := newWorld(t)
	w.create("q", queue.Settings{})
	w.create("q.fifo", queue.Settings{FIFO: true})
	for i := range queue.InFlightMax/queue.SendMax + 1 {
		batch, grouped := make([]queue.Message, queue.SendMax), make([]queue.Message, queue.SendMax)
		for k := range batch {
			batch[k] = text("x")
			grouped[k] = in(fmt.Sprint(k), text("%d.%d", i, k))
		}
		w.send("q", batch...)
		if i == 0 {
			w.send("q.fifo", grouped...)
		}
	}
	held := 0
	for {
		got, err := w.q.Receive(t.Context(), "q", queue.Want{N: queue.ReceiveMax})
		if errors.Is(err, queue.ErrInFlight) {
			break
		}
		if err != nil || len(got) == 0 {
			t.Fatal(len(got), err)
		}
		held += len(got)
	}
	if held != queue.InFlightMax {
		t.Errorf("got %d, want %d", held, queue.InFlightMax)
	}
}

func TestPeekTouchesNothing(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	w.send("q", queue.Message{Body: []byte("a"), Trace: "Root=1-a", Attributes: []queue.Attribute{{Name: "k", Type: "String", Value: []byte("v")}}}, text("b"))
	w.receive("q", 1)
	list, err := w.q.Peek(t.Context(), "q", 0, 10)
	if err != nil || len(list) != 2 || list[0].State != queue.StateInFlight || list[0].Count != 1 || list[1].State != queue.StateVisible || list[1].Count != 0 || list[0].Trace != "Root=1-a" || string(list[0].Attributes[0].Value) != "v" {
		t.Fatalf("got %+v, %v", list, err)
	}
	if next, err := w.q.Peek(t.Context(), "q", list[0].Number, 10); err != nil || len(next) != 1 || string(next[0].Body) != "b" {
		t.Errorf("got %+v, %v", next, err)
	}
	w.clock.Advance(time.Minute)
	ages, err := w.q.Ages(t.Context(), "q")
	if err != nil || ages.Tried.IsZero() || ages.Untried.IsZero() || w.clock.Now().Sub(ages.Untried) != time.Minute {
		t.Errorf("got %+v, %v", ages, err)
	}
}

func TestTheOldestMessageIsFound(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	if at, err := w.q.Oldest(t.Context(), "q"); err != nil || !at.IsZero() {
		t.Errorf("of none: got %v, %v", at, err)
	}
	sent := w.clock.Now()
	w.send("q", text("a"))
	w.clock.Advance(time.Minute)
	w.send("q", text("b"))
	w.receive("q", 1) // it is in flight, and still the oldest
	if at, err := w.q.Oldest(t.Context(), "q"); err != nil || !at.Equal(sent) {
		t.Errorf("got %v, %v; want %v", at, err, sent)
	}
	if _, err := w.q.Oldest(t.Context(), "none"); !errors.Is(err, queue.ErrNoQueue) {
		t.Errorf("got %v", err)
	}
}

func TestDeployMakesTheDeclaredQueuesThoseThatAreWishedFor(t *testing.T) {
	w := newWorld(t)
	w.create("by hand", queue.Settings{})
	deploy := func(wishes ...queue.Wish) queue.Changes {
		t.Helper()
		c, err := w.q.Deploy(t.Context(), wishes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	q := queue.Wish{Name: "q", LogicalID: "Q", Settings: queue.Settings{Hide: time.Minute, DeadLetter: &queue.DeadLetter{Queue: "dead", After: 3}}}
	dead := queue.Wish{Name: "dead", LogicalID: "Dead", Retain: true}
	if c := deploy(q, dead); !slices.Equal(c.Created, []string{"dead", "q"}) {
		t.Errorf("got %+v", c)
	}
	if _, err := w.q.Change(t.Context(), "q", func(s *queue.Settings) error { s.Hide = time.Hour; return nil }); err != nil {
		t.Fatal(err)
	}
	if c := deploy(q, dead); len(c.Created)+len(c.Updated)+len(c.Removed) > 0 || w.q.Queue("q").Hide != time.Hour {
		t.Errorf("the same again: got %+v, %v", c, w.q.Queue("q").Hide)
	}
	q.Settings.Delay = time.Second
	if c := deploy(q, dead); !slices.Equal(c.Updated, []string{"q"}) || w.q.Queue("q").Hide != time.Minute {
		t.Errorf("got %+v", c)
	}
	w.send("q", text("x"))
	w.crash()
	c := deploy()
	if len(c.Removed) != 1 || c.Removed[0] != (queue.Removed{Name: "q", Messages: 1}) || !slices.Equal(c.Kept, []string{"dead"}) {
		t.Errorf("got %+v", c)
	}
	if w.q.Queue("q") != nil || w.q.Queue("dead") == nil || w.q.Queue("by hand") == nil {
		t.Error("the wrong queues are left")
	}
	if c := deploy(q, dead); !slices.Equal(c.Created, []string{"q"}) { // at once: no minute to wait
		t.Errorf("got %+v", c)
	}
	if _, err := w.q.Deploy(t.Context(), []queue.Wish{{Name: "q", LogicalID: "Q", Settings: queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "nowhere", After: 1}}}}); !errors.Is(err, queue.ErrNoDeadLetter) {
		t.Errorf("got %v", err)
	}
	w.audit()
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	w := newWorld(t)
	w.create("dead", queue.Settings{Allow: &queue.Allow{Queues: []string{"friend"}}})
	w.create("dead.fifo", queue.Settings{FIFO: true})
	for name, s := range map[string]queue.Settings{
		"a": {Delay: -1}, "b": {Keep: queue.KeepMax + 1}, "c": {Hide: queue.HideMax + 1}, "d": {BytesMax: queue.MessageBytesMax + 1}, "e": {OnceByBody: true},
		"f": {DeadLetter: &queue.DeadLetter{Queue: "dead.fifo", After: 1}}, "g": {DeadLetter: &queue.DeadLetter{Queue: "dead", After: 0}}, "h": {DeadLetter: &queue.DeadLetter{Queue: "h", After: 1}},
		"i": {DeadLetter: &queue.DeadLetter{Queue: "dead", After: 1}}, "": {}, "x\x00y": {},
	} {
		if _, err := w.q.Create(t.Context(), name, s); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%q: got %v", name, err)
		}
	}
	w.create("friend", queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "dead", After: 1}})
	if _, err := w.q.Send(t.Context(), "friend", queue.Message{Body: make([]byte, queue.MessageBytesMax+1)}); daruma.KindOf(err) != daruma.KindTooLarge {
		t.Errorf("got %v", err)
	}
}

func TestAMessageThatIsPutAsideIsDelayedAndWasNeverReceived(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprint("fifo ", fifo), func(t *testing.T) {
			w := newWorld(t)
			w.create("q", queue.Settings{FIFO: fifo, OnceByBody: fifo})
			for _, body := range []string{"a", "b"} {
				w.send("q", queue.Message{Body: []byte(body), Group: "g"})
			}
			first := w.receive("q", 1)[0]
			if got, err := w.q.Settle(t.Context(), "q", queue.Settlement{Held: first.Held, Do: queue.Delay, After: time.Minute}); err != nil || got[0].Err != nil {
				t.Fatal(err, got)
			}
			if a := w.account("q"); a.Delayed != 1 || a.InFlight != 0 || a.Received != 0 || !a.Closes() {
				t.Errorf("got %+v, want one delayed, and none received", a)
			}
			rest := w.receive("q", 10)
			if want := map[bool]int{false: 1, true: 0}[fifo]; len(rest) != want {
				t.Errorf("got %d of what is behind it, want %d", len(rest), want)
			}
			if n, err := w.q.Show(t.Context(), "q", first.Number, first.Number+1, 99); err != nil || n != 1 {
				t.Errorf("got %d shown and %v, want 1", n, err)
			}
			again := w.receive("q", 1)
			if len(again) != 1 || again[0].ID != first.ID || again[0].Count != 1 || !again[0].First.Equal(w.clock.Now()) {
				t.Errorf("got %+v, want the first one, received for the first time", again)
			}
			w.delete("q", again...)
		})
	}
}

func TestAMessageIsCountedWhenWakeTellsOfIt(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	<-w.q.Wake() // of the beginning
	w.medium.Hold()
	sent := make(chan error)
	go func() {
		_, err := w.q.Send(t.Context(), "q", queue.Message{Body: []byte("a")})
		sent <- err
	}()
	<-w.q.Wake()
	if n := w.q.Visible("q"); n != 1 || !w.q.Ready("q") {
		t.Errorf("%d messages are visible and ready is %v, want 1", n, w.q.Ready("q"))
	}
	w.medium.Release()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	w.crash()
	if n := w.q.Visible("q"); n != 1 {
		t.Errorf("after a crash %d messages are visible, want 1", n)
	}
}
