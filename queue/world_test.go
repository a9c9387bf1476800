package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/clocktest"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

// A world is queues in a cell in memory, by a clock that is set by hand.
type world struct {
	t      testing.TB
	clock  *clocktest.Clock
	medium *memory.Medium
	cell   *cell.Cell
	q      *queue.Queues
	ledger *ledger.Ledger
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, clock: clocktest.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), medium: &memory.Medium{}}
	w.open()
	t.Cleanup(func() { _ = w.cell.Close() })
	return w
}

func (w *world) open() {
	w.t.Helper()
	m := queue.NewMachine()
	c, err := cell.Open(context.Background(), cell.Config{Journal: w.medium, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, m}})
	if err != nil {
		w.t.Fatal(err)
	}
	q, err := queue.Open(context.Background(), c, m, w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	w.cell, w.q, w.ledger = c, q, ledger.New(c)
}

// crash loses what is not durable and opens the cell anew.
func (w *world) crash() {
	w.t.Helper()
	w.medium.Crash()
	_ = w.cell.Close()
	w.open()
}

func (w *world) create(name string, s queue.Settings) {
	w.t.Helper()
	if s.Hide == 0 {
		s.Hide = 30 * time.Second
	}
	if _, err := w.q.Create(w.t.Context(), name, s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) send(name string, m ...queue.Message) []queue.Sent {
	w.t.Helper()
	sent, err := w.q.Send(w.t.Context(), name, m...)
	if err != nil {
		w.t.Fatal(err)
	}
	return sent
}

func (w *world) receive(name string, n int) []queue.Received {
	w.t.Helper()
	got, err := w.q.Receive(w.t.Context(), name, queue.Want{N: n})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) delete(name string, m ...queue.Received) {
	w.t.Helper()
	for _, m := range m {
		each, err := w.q.Delete(w.t.Context(), name, m.Handle)
		if err != nil || each[0] != nil {
			w.t.Fatal(err, each)
		}
	}
}

func (w *world) account(name string) queue.Account {
	w.t.Helper()
	a, err := w.q.Account(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) audit() {
	w.t.Helper()
	if err := w.q.Audit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func text(format string, a ...any) queue.Message {
	return queue.Message{Body: fmt.Appendf(nil, format, a...)}
}

func in(group string, m queue.Message) queue.Message {
	m.Group = group
	if m.Once == "" {
		m.Once = string(m.Body)
	}
	return m
}

func bodies(got []queue.Received) (list []string) {
	for _, m := range got {
		list = append(list, string(m.Body))
	}
	return list
}
