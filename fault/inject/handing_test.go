package inject_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma/fault/inject"
)

var jobs = inject.Receiving{Queue: "Jobs"}

// message is the n-th message of a queue, as it is received for the first time.
func message(n int) inject.Message {
	return inject.Message{ID: fmt.Sprintf("m%d", n), Number: uint64(n), Count: 1}
}

func TestAShareOfMessagesIsVisibleLaterAndIsDecidedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inject.New(inject.Config{})
		r := start(t, s, `{"kind":"queue-delay","target":{"queue":"Jobs"},"with":{"latency":"12s"},"dose":{"rate":0.3},"seed":5}`)
		const n = 2000
		var late []inject.Message
		for i := range n {
			if turns, _ := s.Hand(jobs, []inject.Message{message(i)}); turns[0].Later > 0 {
				if turns[0].Later != 5*time.Second {
					t.Fatalf("put aside for %s at a time, want 5s", turns[0].Later)
				}
				late = append(late, message(i))
			}
		}
		if want, spread := 0.3*n, 4*math.Sqrt(n*0.3*0.7); math.Abs(float64(len(late))-want) > spread {
			t.Errorf("%d of %d are late, want %g give or take %g", len(late), n, want, spread)
		}
		for _, want := range []time.Duration{5 * time.Second, 2 * time.Second, 0} {
			time.Sleep(5 * time.Second)
			for _, m := range late {
				if turns, _ := s.Hand(jobs, []inject.Message{m}); turns[0].Later != want {
					t.Fatalf("%s is put aside for %s, want %s", m.ID, turns[0].Later, want)
				}
			}
		}
		if got := r.State(); got.Seen != n || got.Met != uint64(len(late)) {
			t.Errorf("got %d met of %d, want %d of %d", got.Met, got.Seen, len(late), n)
		}
	})
}

func TestWhatWasReceivedBeforeOrIsInAnotherQueueIsNotMet(t *testing.T) {
	s := inject.New(inject.Config{})
	start(t, s, `{"kind":"queue-delay","target":{"queue":"Jobs","function":"Work"},"with":{"latency":"1s"}}`)
	for _, c := range []struct {
		to   inject.Receiving
		m    inject.Message
		want bool
	}{
		{inject.Receiving{Queue: "Jobs", Function: "Work"}, message(1), true},
		{inject.Receiving{Queue: "Jobs", Function: "Work", FIFO: true}, message(2), true},
		{inject.Receiving{Queue: "Jobs", Function: "Work"}, inject.Message{ID: "m3", Number: 3, Count: 2}, false},
		{inject.Receiving{Queue: "Jobs", Function: "Rest"}, message(4), false},
		{inject.Receiving{Queue: "Jobs"}, message(5), false},
		{inject.Receiving{Queue: "Other", Function: "Work"}, message(6), false},
	} {
		if turns, _ := s.Hand(c.to, []inject.Message{c.m}); turns[0].Later > 0 != c.want {
			t.Errorf("%+v of %+v: got %+v, want met %v", c.m, c.to, turns[0], c.want)
		}
	}
}

func TestAMessageIsOvertakenByTheNextOne(t *testing.T) {
	s := inject.New(inject.Config{})
	start(t, s, `{"kind":"queue-reorder","target":{"queue":"Jobs"}}`)
	turns, over := s.Hand(jobs, []inject.Message{message(1), message(2), message(3)})
	if turns[0].Later != time.Second || turns[1].Later != 0 || turns[2].Later != time.Second || !slices.Equal(over, []uint64{1}) {
		t.Fatalf("got %+v and %v, want the first and the third put aside, and the first to be seen again", turns, over)
	}
	if turns, over = s.Hand(jobs, []inject.Message{message(1)}); turns[0].Later != 0 || len(over) > 0 {
		t.Errorf("the one that was overtaken is put aside again: %+v %v", turns, over)
	}
	if turns, over = s.Hand(jobs, []inject.Message{message(3)}); turns[0].Later != 0 || len(over) > 0 {
		t.Errorf("the one that nobody overtook is put aside again: %+v %v", turns, over)
	}
	if turns, _ := s.Hand(inject.Receiving{Queue: "Jobs", FIFO: true}, []inject.Message{message(4)}); turns[0].Later != 0 {
		t.Error("messages of a FIFO queue are out of order")
	}
}

func TestAShareOfMessagesHasTwoReceivers(t *testing.T) {
	s := inject.New(inject.Config{})
	r := start(t, s, `{"kind":"duplicate","target":{"queue":"Jobs"},"dose":{"oneIn":5}}`)
	twice := 0
	for i := range 100 {
		if turns, _ := s.Hand(jobs, []inject.Message{message(i)}); turns[0].Twice {
			twice++
		}
	}
	if twice != 20 || r.State().Met != 20 {
		t.Errorf("got %d of 100, and %d counted, want 20", twice, r.State().Met)
	}
	r.Stop()
	if turns, _ := s.Hand(jobs, []inject.Message{message(200)}); turns[0].Twice || s.OnQueues() {
		t.Error("after its end a message has two receivers")
	}
}

func TestARunIsMarkedWithWhatMetItsMessages(t *testing.T) {
	s := inject.New(inject.Config{Records: lines})
	r := start(t, s, `{"kind":"duplicate","target":{"queue":"Jobs"}}`)
	s.Hand(jobs, []inject.Message{message(7)})
	r.Stop() // a message that was late is handed over after the fault
	if _, marks := handed(s, batch("Jobs", 6, 7)); !slices.Equal(marks, []string{"FT-1 duplicate"}) {
		t.Errorf("got %v, want the run marked", marks)
	}
	if _, marks := handed(s, batch("Jobs", 6)); len(marks) > 0 {
		t.Errorf("got %v for a message that was not met", marks)
	}
}
