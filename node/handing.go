package node

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma/door/egress"
	"github.com/daruma-io/daruma/fault/inject"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/queue"
)

const (
	asideMost  = 10_000                 // messages of a queue that faults put aside at once
	twiceMost  = 1_000                  // that wait for a second receiver
	handRounds = 100                    // receives in a row of which nothing is left
	handPoll   = 100 * time.Millisecond // how long a receiver waits before it looks again for what others were handed
	noLease    = 1 << 63                // added to the lease of a copy: it holds nothing
)

// A handing is where queues' messages meet faults, on their way to receivers.
// What it holds back is in the queue, and what it hands out twice in memory.
type handing struct {
	node *Node

	mu    sync.Mutex                   // guards the rest
	ends  int                          // faults that have ended
	aside map[string]map[string]uint64 // numbers of messages, by queue and ID
	twice map[string][]queue.Received  // by queue
}

func newHanding(n *Node) *handing {
	return &handing{node: n, aside: map[string]map[string]uint64{}, twice: map[string][]queue.Received{}}
}

// received is queue.Queues.Receive for clients.
func (h *handing) received(ctx context.Context, name string, w queue.Want) ([]queue.Received, error) {
	function := ""
	if ref, ok := egress.Caller(ctx); ok {
		function = ref.Function
	}
	return h.receive(ctx, name, function, w)
}

// mapped is queue.Queues.Receive for event source mappings.
func (h *handing) mapped(ctx context.Context, m *mapping.Mapping, w queue.Want) ([]queue.Received, error) {
	return h.receive(ctx, m.Source.Name, m.Function, w)
}

// ready says whether a queue may have something to receive for a mapping.
func (h *handing) ready(name string) bool {
	if h.node.queues.Ready(name) {
		return true
	}
	if !h.node.faults.OnQueues() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.twice[name]) > 0
}

// receive receives messages and has them meet faults, until some are left.
func (h *handing) receive(ctx context.Context, name, function string, w queue.Want) ([]queue.Received, error) {
	n := h.node
	until := n.clock.Now().Add(w.Wait)
	for round := 0; ; round++ {
		want := w
		if n.faults.OnQueues() {
			if copies := h.copies(name, w.N); len(copies) > 0 {
				return copies, nil
			}
			want.Wait = min(max(until.Sub(n.clock.Now()), 0), handPoll)
		}
		got, err := n.queues.Receive(ctx, name, want)
		if err != nil || !n.faults.OnQueues() {
			return got, err
		}
		if got, err = h.sort(ctx, name, function, got); err != nil || len(got) > 0 {
			return got, err
		}
		switch {
		case ctx.Err() != nil, w.Wait > 0 && !n.clock.Now().Before(until), w.Wait == 0 && (round == handRounds || !n.queues.Ready(name)):
			return nil, nil
		}
	}
}

// copies are messages that another receiver has been handed, and that are to
// have a second one.
func (h *handing) copies(name string, most int) (found []queue.Received) {
	now := h.node.clock.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	left := h.twice[name]
	for len(left) > 0 && len(found) < most {
		if left[0].Until.After(now) { // else it comes again by itself
			found = append(found, left[0])
		}
		left = left[1:]
	}
	if h.twice[name] = left; len(left) == 0 {
		delete(h.twice, name)
	}
	return found
}

// sort puts aside what is not to be seen yet, and returns what is handed over.
func (h *handing) sort(ctx context.Context, name, function string, got []queue.Received) ([]queue.Received, error) {
	n := h.node
	is := n.queues.Queue(name)
	if is == nil || len(got) == 0 {
		return got, nil
	}
	messages := make([]inject.Message, len(got))
	for i, m := range got {
		messages[i] = inject.Message{ID: m.ID.String(), Number: m.Number, Count: m.Count}
	}
	h.mu.Lock()
	ends := h.ends
	h.mu.Unlock()
	turns, over := n.faults.Hand(inject.Receiving{Queue: name, FIFO: is.FIFO, Function: function}, messages)
	var back []queue.Settlement
	var behind []uint64
	var kept []queue.Received
	blocked := map[string]bool{} // groups of a FIFO queue of which a message is put aside
	h.mu.Lock()
	aside := h.aside[name]
	if aside == nil {
		aside = map[string]uint64{}
		h.aside[name] = aside
	}
	for i, m := range got {
		s := queue.Settlement{Held: m.Held, Do: queue.Release}
		switch {
		case is.FIFO && blocked[m.Group]:
			back = append(back, s)
			continue
		case turns[i].Later > 0 && len(aside) < asideMost:
			s.Do, s.After = queue.Delay, turns[i].Later
			back, blocked[m.Group] = append(back, s), true
			aside[messages[i].ID] = m.Number
			behind = append(behind, m.Number)
			continue
		}
		delete(aside, messages[i].ID)
		kept = append(kept, m)
		if turns[i].Twice && len(h.twice[name]) < twiceMost {
			m.Lease |= noLease
			h.twice[name] = append(h.twice[name], m)
		}
	}
	h.mu.Unlock()
	if len(back) > 0 {
		if _, err := n.queues.Settle(ctx, name, back...); err != nil {
			return nil, err // all of them come back when their leases end
		}
	}
	h.mu.Lock()
	if h.ends != ends { // nobody else shows what a fault put aside that has ended meanwhile
		over = append(over, behind...)
	}
	h.mu.Unlock()
	h.show(name, over)
	return kept, nil
}

// ended shows all that is put aside: what another fault holds back is met again.
func (h *handing) ended() {
	h.mu.Lock()
	h.ends++
	clear(h.twice)
	names := slices.Collect(maps.Keys(h.aside))
	h.mu.Unlock()
	for _, name := range names {
		h.release(name)
	}
}

// release shows what of a queue is put aside.
func (h *handing) release(name string) {
	h.mu.Lock()
	numbers := slices.Sorted(maps.Values(h.aside[name]))
	delete(h.aside, name)
	h.mu.Unlock()
	h.show(name, numbers)
}

// show makes messages visible that were put aside.
func (h *handing) show(name string, numbers []uint64) {
	if len(numbers) == 0 || h.node.queues.Queue(name) == nil {
		return
	}
	if _, err := h.node.queues.Show(context.Background(), name, numbers...); err != nil {
		h.node.cfg.Log.Warn("messages that a fault held back come back when their time is over", "queue", name, "err", err)
	}
}
