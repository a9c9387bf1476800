package queue

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/ledger"
)

// openMemory opens queues in a memory cell, with a message in flight and a dead letter.
func openMemory(t testing.TB) (*cell.Cell, *Queues) {
	m := NewMachine()
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{m, ledger.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	q, err := Open(t.Context(), c, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Settings{"d": {}, "f": {FIFO: true, OnceByBody: true}} {
		if _, err := q.Create(t.Context(), name, s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Create(t.Context(), "q", Settings{Hide: time.Minute, DeadLetter: &DeadLetter{Queue: "d", After: 3}}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []Message{{Body: []byte("a")}, {Body: []byte("b"), Group: "g"}, {Body: []byte("c"), Delay: new(time.Minute)}} {
		if _, err := q.Send(t.Context(), "q", m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := q.Receive(t.Context(), "q", Want{N: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Settle(t.Context(), "q", Settlement{Held: got[0].Held, Do: Bury}); err != nil {
		t.Fatal(err)
	}
	return c, q
}

// FuzzMachine applies commands nobody would write.
func FuzzMachine(f *testing.F) {
	send, err := SendCommand("q", Message{ID: ID{1}, Body: []byte("x"), Attributes: []Attribute{{Name: "a", Type: "String", Value: []byte("v")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(commandSend, send.Body)
	f.Add(commandReceive, (&Want{N: 3, Again: "x"}).encode("f"))
	f.Add(commandDelete, append(cell.AppendText(nil, "q"), 1, 1, 0))
	f.Add(commandHide, append(cell.AppendText(nil, "q"), 2, 1, 7))
	for name, arguments := range map[string]any{
		commandSettle: settlements{"q", []Settlement{{Held: Held{2, 1}, Do: Return, After: 1}}}, commandReclaim: reclamation{"q", true, 3}, commandShow: showing{"q", []uint64{1, 2}}, commandCreate: creation{"n", Settings{FIFO: true}},
		commandChange: change{"q", 1, Settings{}}, commandRemove: named{"q"}, commandDeploy: deployment{[]Wish{{Name: "x", LogicalID: "X"}}}, commandPurge: named{"q"},
		commandMove: moving{"d", "q", 3}, commandCancel: cancelling{"d", 1}, commandRedrive: redriving{ID: 1}, commandOpen: 1,
	} {
		body, err := json.Marshal(arguments)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, body)
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		c, q := openMemory(t)
		_, err := c.Do(t.Context(), cell.Command{Machine: machineName, Name: name, Body: body})
		if k := daruma.KindOf(err); err != nil && (k == daruma.KindInternal || k == daruma.KindCorrupt) {
			t.Fatal(err)
		}
		if err := q.Audit(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"q", "d", "f"} {
			if q.Queue(name) != nil {
				if _, err := q.Receive(t.Context(), name, Want{N: 10}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// FuzzRecords has every decoder of stored records read anything.
func FuzzRecords(f *testing.F) {
	m := Message{ID: ID{1}, Body: []byte("x"), Group: "g", Attributes: []Attribute{{Name: "a", Type: "String", Value: []byte("v")}}}
	r := &record{sent: 1, from: "q"}
	if err := r.readHead(appendMessage(nil, &m)); err != nil {
		f.Fatal(err)
	}
	for _, raw := range [][]byte{r.encode(), (&state{count: 1, group: "g", tries: tries{Each: []ledger.Attempt{{Outcome: "x"}}}}).encode(), newBook().encode(), (&line{turn: 1}).encode()} {
		f.Add(raw[0], raw[1:len(raw)-4])
	}
	f.Fuzz(func(_ *testing.T, version byte, body []byte) {
		raw := cell.Seal(version, body)
		if r, err := decodeRecord(raw); err == nil {
			_, _ = r.message()
		}
		_, _ = decodeState(raw)
		_, _ = decodeBook(raw)
		_, _ = decodeLine(raw)
	})
}

// FuzzHandle has forged handles opened.
func FuzzHandle(f *testing.F) {
	s := newSealer(make([]byte, secretBytes))
	good := s.handle(7, Held{3, 4})
	f.Add(good)
	f.Add(good[:10])
	f.Fuzz(func(t *testing.T, handle string) {
		if held, err := s.open(7, handle); err == nil && (handle != good || held != (Held{3, 4})) {
			t.Fatalf("%q opens as %v", handle, held)
		}
	})
}
