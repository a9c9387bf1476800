package queue_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

func TestManyLargeDeadLettersAtOnceDoNotStopTheirQueue(t *testing.T) {
	w := letters(t, 1)
	body := bytes.Repeat([]byte("x"), 1_000_000)
	for range 24 {
		w.send("q", queue.Message{Body: body})
	}
	for got := 0; got < 24; {
		n := len(w.receive("q", 10))
		if n == 0 {
			t.Fatalf("received %d messages, want 24", got)
		}
		got += n
	}
	w.clock.Advance(31 * time.Second)
	w.send("q", text("behind"))
	if got := w.receive("q", 10); len(got) != 1 || string(got[0].Body) != "behind" {
		t.Fatalf("got %d messages, want the one that is no dead letter", len(got))
	}
	if got := w.receive("q", 10); len(got) != 0 {
		t.Fatalf("got %d messages more", len(got))
	}
	if a := w.account("q"); a.DeadLetters != 24 {
		t.Errorf("%d are dead letters, want 24", a.DeadLetters)
	}
	w.audit()
}

func TestManyMessagesOfWhichMuchIsKnownAreReceivedInParts(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	const all = 2_700
	some := make([]queue.Message, all)
	for i := range some {
		some[i] = text("%d", i)
	}
	w.send("q", some...)
	report := &queue.Report{Attempt: ledger.Attempt{Outcome: "function error", Message: strings.Repeat("m", 4<<10)}, Stack: []string{strings.Repeat("s", 4<<10)}, Log: []string{strings.Repeat("l", 4<<10)}}
	for got := range slices.Chunk(w.receive("q", all), 100) {
		each := make([]queue.Settlement, len(got))
		for i := range got {
			each[i] = queue.Settlement{Held: got[i].Held, Do: queue.Return, Report: report}
		}
		if _, err := w.q.Settle(t.Context(), "q", each...); err != nil {
			t.Fatal(err)
		}
	}
	for left := all; left > 0; {
		n := len(w.receive("q", all))
		if n == 0 {
			t.Fatalf("%d messages are not received", left)
		}
		left -= n
	}
}
