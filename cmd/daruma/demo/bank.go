package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
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
	broken  bool          // it breaks every connection on which it is asked to charge
	now     int           // orders that are being charged
	most    int           // of them at once
	waits   map[string]*hold
	notices []notice // what owners were told, oldest first
}

// noticesMax bounds what is remembered of what owners were told.
const noticesMax = 1000

// A notice is what an owner was told about a group of failures, or a repair.
type notice struct {
	got                          time.Time
	owner, function, group, text string
	repair                       bool
}

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
	b := &bank{port: l.Addr().(*net.TCPAddr).Port, charges: map[string]int{}, mails: map[string]int{}, waits: map[string]*hold{}}
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

// down has the bank break every connection on which it is asked to charge, or not any more.
func (b *bank) down(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = yes
}

// crowded is how many orders were being charged at once, at most, since it was asked last.
func (b *bank) crowded() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := b.most
	b.most = b.now
	return most
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
	slow, broken := b.slow, b.broken
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.now--
	}()
	if broken {
		panic(http.ErrAbortHandler) // the server breaks the connection, and says nothing
	}
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
		Owner   string
		Notices []struct {
			Occasion, Function string
			Group              *struct{ ID, ErrorType, Message string }
			Failure            *struct{ ID string }
			Repair             *struct{ ID, What, Why string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range m.Notices {
		told := notice{got: time.Now(), owner: m.Owner, function: n.Function}
		switch {
		case n.Group != nil && n.Failure != nil:
			told.group = n.Group.ID
			told.text = fmt.Sprintf("%s, %s, %s", n.Failure.ID, n.Occasion, strings.TrimPrefix(n.Group.ErrorType+": "+n.Group.Message, ": "))
		case n.Repair != nil: // as it begins, or when it was over sooner
			told.repair, told.text = true, fmt.Sprintf("%s, %s: %s", n.Repair.ID, n.Repair.What, n.Repair.Why)
		}
		if len(b.notices) < noticesMax {
			b.notices = append(b.notices, told)
		}
	}
}

// toldOf returns the first notice of a kind that owners were told.
func (b *bank) toldOf(of func(notice) bool) (notice, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.notices, of); i >= 0 {
		return b.notices[i], true
	}
	return notice{}, false
}

// count is how many orders were charged.
func (b *bank) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.charges)
}

// mailed is how many buyers were told.
func (b *bank) mailed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.mails)
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
