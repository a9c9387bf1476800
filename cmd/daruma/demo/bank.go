package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// A bank is the world outside: it charges orders, and takes mail to buyers and
// messages to owners. It is where effects are counted.
type bank struct {
	server *http.Server
	port   int

	mu      sync.Mutex
	charges map[string]int // times an order was charged, of which the bank takes the first
	mails   map[string]int
	repeats int
	slow    time.Duration // before the bank answers
	waits   map[string]*hold
	told    map[string]notice // what owners were told, by group
}

// A notice is what an owner was told about a group of failures.
type notice struct{ owner, summary string }

// A hold keeps the first request of an order without an answer.
type hold struct {
	arrived, left chan struct{} // closed when its request has come, and when whoever asked has gone
	again         chan struct{} // closed when it came again
	times         int
}

func openBank() (*bank, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &bank{port: l.Addr().(*net.TCPAddr).Port, charges: map[string]int{}, mails: map[string]int{}, waits: map[string]*hold{}, told: map[string]notice{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charge", b.charge)
	mux.HandleFunc("POST /mail", b.mail)
	mux.HandleFunc("POST /told", b.owner)
	b.server = &http.Server{Handler: mux}
	go func() { _ = b.server.Serve(l) }() // until close
	return b, nil
}

func (b *bank) close() { b.server.Close() }

// hold has the bank not answer the first request of an order.
func (b *bank) hold(order string) *hold {
	h := &hold{arrived: make(chan struct{}), left: make(chan struct{}), again: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits[order] = h
	return h
}

// answerAfter has the bank take its time from now on.
func (b *bank) answerAfter(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slow = d
}

func orderOf(r *http.Request) (string, error) {
	var body struct {
		Order string `json:"order"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	if err == nil && body.Order == "" {
		err = fmt.Errorf("no order is named")
	}
	return body.Order, err
}

func (b *bank) charge(w http.ResponseWriter, r *http.Request) {
	order, err := orderOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !b.pass(r.Context(), order) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.charges[order]++; b.charges[order] > 1 {
		b.repeats++
	}
	w.WriteHeader(http.StatusOK)
}

// pass returns false when the request was held until whoever asked had gone.
func (b *bank) pass(ctx context.Context, order string) bool {
	b.mu.Lock()
	h := b.waits[order]
	if h != nil {
		h.times++
		if h.times == 2 {
			close(h.again)
		}
	}
	first := h != nil && h.times == 1
	slow := b.slow
	b.mu.Unlock()
	if !first {
		select {
		case <-time.After(slow):
			return true
		case <-ctx.Done():
			return false
		}
	}
	close(h.arrived)
	<-ctx.Done()
	close(h.left)
	return false
}

func (b *bank) mail(w http.ResponseWriter, r *http.Request) {
	order, err := orderOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails[order]++
	w.WriteHeader(http.StatusOK)
}

// owner takes a message to an owner: docs/notifications.md has its form.
func (b *bank) owner(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Owner, Summary string
		Notices        []struct {
			Group struct{ ID string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range m.Notices {
		b.told[n.Group.ID] = notice{m.Owner, m.Summary}
	}
}

// toldOf returns what an owner was told about a group.
func (b *bank) toldOf(group string) (notice, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, ok := b.told[group]
	return n, ok
}

// charged is how many orders were charged.
func (b *bank) charged() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.charges)
}

// done says whether an order was charged and its buyer told.
func (b *bank) done(order string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.charges[order] > 0 && b.mails[order] > 0
}

// repeated is how many requests the bank had seen before.
func (b *bank) repeated() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.repeats
}
