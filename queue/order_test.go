package queue_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/queue"
)

func TestTheOrderOfAGroupIsNeverInvertedIn50000Messages(t *testing.T) {
	w := newWorld(t)
	w.create("q.fifo", queue.Settings{FIFO: true, Keep: 24 * time.Hour})
	const groups = 100
	each := 500
	if race || testing.Short() {
		each = 20 // all of them run without the race detector
	}
	for i := range each {
		batch := make([]queue.Message, groups)
		for g := range batch {
			batch[g] = in(fmt.Sprint("g", g), text("%d.%d", g, i))
		}
		w.send("q.fifo", batch...)
	}
	// Consumers delete, give back, or are never heard of again; the platform falls.
	random := rand.New(rand.NewPCG(1, 2))
	done := [groups]int{}
	for left, rounds := groups*each, 0; left > 0; rounds++ {
		if rounds > 100_000 {
			t.Fatalf("%d messages are left", left)
		}
		got := w.receive("q.fifo", 1+random.IntN(200))
		var settle []queue.Settlement
		stopped := map[string]bool{}
		for _, m := range got {
			group, number, _ := strings.Cut(string(m.Body), ".")
			g, _ := strconv.Atoi(group)
			n, _ := strconv.Atoi(number)
			if stopped[group] {
				settle = append(settle, queue.Settlement{Held: m.Held, Do: queue.Release})
				continue
			}
			if n != done[g] {
				t.Fatalf("group %d: got %d, want %d", g, n, done[g])
			}
			switch random.IntN(50) {
			case 0:
				stopped[group] = true // and no word of it: its time runs out
			case 1:
				stopped[group] = true
				settle = append(settle, queue.Settlement{Held: m.Held, Do: queue.Return})
			default:
				done[g]++
				left--
				settle = append(settle, queue.Settlement{Held: m.Held, Do: queue.Done})
			}
		}
		if len(settle) > 0 {
			results, err := w.q.Settle(t.Context(), "q.fifo", settle...)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
		}
		if len(got) == 0 {
			w.clock.Advance(31 * time.Second)
		}
		if random.IntN(200) == 0 {
			w.crash()
		}
	}
	if a := w.account("q.fifo"); a.Messages() != 0 || a.Deleted != int64(groups*each) || !a.Closes() {
		t.Errorf("got %+v", a)
	}
	w.audit()
}

func TestAGroupWithManyMessagesDoesNotKeepAnotherWaiting(t *testing.T) {
	batches := 50
	if race || testing.Short() {
		batches = 5
	}
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprint("fifo ", fifo), func(t *testing.T) {
			w := newWorld(t)
			w.create("q", queue.Settings{FIFO: fifo})
			for i := range batches {
				batch := make([]queue.Message, 1000)
				for k := range batch {
					batch[k] = in("loud", text("loud %d", i*1000+k))
					if !fifo {
						batch[k].Once = ""
					}
				}
				w.send("q", batch...)
			}
			for i := range 10 {
				for _, tenant := range []string{"a", "b"} {
					m := in(tenant, text("%s %d", tenant, i))
					if !fifo {
						m.Once = ""
					}
					w.send("q", m)
				}
			}
			quiet := map[string]int{}
			for range 10 {
				got := w.receive("q", 3)
				for _, m := range got {
					quiet[m.Group]++
				}
				w.delete("q", got...)
			}
			want := map[string]int{"a": 10, "b": 10, "loud": 10}
			if fifo { // each receive is one group's turn
				want = map[string]int{"a": 9, "b": 9, "loud": 12}
			}
			if !maps.Equal(quiet, want) {
				t.Errorf("got %v, want %v", quiet, want)
			}
		})
	}
}

func TestAReceiveTakesAsManyOfAGroupAsThereAre(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{FIFO: true})
	w.send("q", in("a", text("a1")), in("b", text("b1")), in("a", text("a2")), in("b", text("b2")), in("a", text("a3")))
	for _, want := range []string{"[a1 a2]", "[b1 b2]", "[]"} {
		if got := fmt.Sprint(bodies(w.receive("q", 2))); got != want {
			t.Errorf("of two got %s, want %s", got, want)
		}
	}
	w.clock.Advance(time.Hour)
	if got := fmt.Sprint(bodies(w.receive("q", 4))); got != "[a1 a2 a3 b1]" && got != "[b1 b2 a1 a2]" {
		t.Errorf("of four got %s", got)
	}
}

// What has failed before stands in line with the rest of its group.
func TestWhatComesBackDoesNotKeepOtherGroupsWaiting(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	for i := range 300 {
		w.send("q", queue.Message{Body: fmt.Appendf(nil, "loud %d", i), Group: "loud"})
	}
	if got := w.receive("q", 300); len(got) != 300 {
		t.Fatalf("got %d", len(got))
	}
	w.clock.Advance(31 * time.Second) // all of them come back at once
	w.send("q", queue.Message{Body: []byte("quiet"), Group: "quiet"})
	for range 2 {
		if got := w.receive("q", 1); string(got[0].Body) == "quiet" {
			return
		}
	}
	t.Error("the quiet group was not served within two receives")
}

func TestMessagesWithoutAGroupTakeTurnsWithThoseThatHaveOne(t *testing.T) {
	w := newWorld(t)
	w.create("q", queue.Settings{})
	for i := range 1000 {
		w.send("q", text("plain %d", i))
	}
	for i := range 20 {
		w.send("q", queue.Message{Body: fmt.Appendf(nil, "grouped %d", i), Group: "g"})
	}
	grouped := 0
	for range 20 {
		for _, m := range w.receive("q", 4) {
			if m.Group == "g" {
				grouped++
			}
		}
	}
	if grouped != 20 {
		t.Errorf("got %d of 20 in 80 messages", grouped)
	}
	w.audit()
}

func TestWhatIsSentInABatchComesBackInOneReceive(t *testing.T) {
	w := newWorld(t)
	w.create("q.fifo", queue.Settings{FIFO: true, OnceByBody: true})
	for i := range 5 {
		w.send("q.fifo", queue.Message{Body: fmt.Append(nil, i), Group: "g"})
	}
	if got := bodies(w.receive("q.fifo", 10)); strings.Join(got, "") != "01234" {
		t.Errorf("got %v, want all of the group, in order", got)
	}
}

func TestWhatIsKnownInAGroupIsKnownThereOnly(t *testing.T) {
	w := newWorld(t)
	w.create("q.fifo", queue.Settings{FIFO: true, OncePerGroup: true})
	send := func(group string) queue.Sent {
		return w.send("q.fifo", queue.Message{Body: []byte("x"), Group: group, Once: "same"})[0]
	}
	a, b, again := send("a"), send("b"), send("a")
	if a.Duplicate || b.Duplicate || !again.Duplicate || again.ID != a.ID || again.Number != a.Number {
		t.Errorf("got %+v, %+v, %+v", a, b, again)
	}
	w.delete("q.fifo", w.receive("q.fifo", 10)...)
	w.crash()
	if got := send("a"); !got.Duplicate {
		t.Error("what was deleted is not known any more after a restart")
	}
	w.clock.Advance(queue.OnceFor)
	if got := send("a"); got.Duplicate {
		t.Error("it is known after five minutes")
	}
}
