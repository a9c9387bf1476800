package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

// A Queue is one queue with what is in it.
type Queue struct {
	Name         string        `json:"name"`
	LogicalID    string        `json:"logicalId,omitempty"`
	FIFO         bool          `json:"fifo,omitempty"`
	Account      queue.Account `json:"account"`
	UntriedFor   time.Duration `json:"untriedForNs,omitempty"` // since the oldest message was sent that was never received
	TriedFor     time.Duration `json:"triedForNs,omitempty"`   // since the oldest one was sent that was
	Held         string        `json:"held,omitempty"`         // why nothing is received from it for a function
	DeadLetter   string        `json:"deadLetter,omitempty"`   // where its dead letters go
	DeadLetterOf []string      `json:"deadLetterOf,omitempty"`
	Move         *queue.Move   `json:"move,omitempty"` // the last one
}

// A Message is one message as it lies in a queue.
type Message struct {
	ID       string    `json:"id"`
	Number   uint64    `json:"number"`
	State    string    `json:"state"`
	Group    string    `json:"group,omitempty"`
	Sent     time.Time `json:"sent"`
	Receives int       `json:"receives"`
	First    time.Time `json:"firstReceived,omitzero"`
	Until    time.Time `json:"until,omitzero"` // when it is visible
	From     string    `json:"deadLetterOf,omitempty"`
	Tried    string    `json:"lastTry,omitempty"`
	Trace    string    `json:"trace,omitempty"`
	Sender   string    `json:"sender,omitempty"`
	Body     string    `json:"body"`
}

// named returns the queue a request names, by its name or logical ID.
func (d *Door) named(r *http.Request) (*queue.Queue, error) {
	name := r.URL.Query().Get("queue")
	for _, q := range d.cfg.Queues.All() {
		if q.Name == name || q.LogicalID != "" && q.LogicalID == name {
			return q, nil
		}
	}
	return nil, &daruma.Error{Op: "find the queue", Ref: name, Kind: daruma.KindNotFound, Err: errors.New("there is no such queue"), Hint: "daruma queues lists them"}
}

func (d *Door) queues(w http.ResponseWriter, r *http.Request) {
	accounts, err := d.cfg.Queues.Accounts(r.Context())
	of := map[string]queue.Account{}
	for _, a := range accounts {
		of[a.Queue] = a
	}
	list := []Queue{}
	for _, q := range d.cfg.Queues.All() {
		if err != nil {
			break
		}
		var one Queue
		one, err = d.describe(r.Context(), q, of[q.Name])
		if daruma.KindOf(err) == daruma.KindNotFound { // it was removed meanwhile
			err = nil
			continue
		}
		list = append(list, one)
	}
	d.reply(w, list, err)
}

func (d *Door) describe(ctx context.Context, q *queue.Queue, a queue.Account) (Queue, error) {
	is := Queue{Name: q.Name, LogicalID: q.LogicalID, FIFO: q.FIFO, Account: a}
	ages, err := d.cfg.Queues.Ages(ctx, q.Name)
	if err != nil {
		return is, err
	}
	for _, age := range []struct {
		of    *time.Duration
		since time.Time
	}{{&is.UntriedFor, ages.Untried}, {&is.TriedFor, ages.Tried}} {
		if !age.since.IsZero() {
			*age.of = max(1, d.cfg.Now().Sub(age.since)) // 0 is said of nothing
		}
	}
	moves, err := d.cfg.Queues.Moves(ctx, q.Name)
	if len(moves) > 0 {
		is.Move = moves[0]
	}
	if q.DeadLetter != nil {
		is.DeadLetter = q.DeadLetter.Queue
	}
	for _, o := range d.cfg.Queues.DeadLetterSources(q.Name) {
		is.DeadLetterOf = append(is.DeadLetterOf, o.Name)
	}
	if d.cfg.QueueHeld != nil {
		is.Held = d.cfg.QueueHeld(q.Name)
	}
	return is, err
}

func (d *Door) peek(w http.ResponseWriter, r *http.Request) {
	q, err := d.named(r)
	if err != nil {
		d.reply(w, nil, err)
		return
	}
	v := r.URL.Query()
	n, after := 10, uint64(0)
	for _, f := range []struct {
		name string
		read func(string) error
	}{{"n", func(s string) (err error) { n, err = strconv.Atoi(s); return err }}, {"after", func(s string) (err error) { after, err = strconv.ParseUint(s, 10, 64); return err }}} {
		if s := v.Get(f.name); s != "" && f.read(s) != nil {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("%s: %q is not a number", f.name, s))
			return
		}
	}
	found, err := d.cfg.Queues.Peek(r.Context(), q.Name, after, n)
	list := make([]Message, len(found))
	for i, m := range found {
		list[i] = Message{ID: m.ID.String(), Number: m.Number, State: m.State, Group: m.Group, Sent: m.Sent, Receives: m.Count, First: m.First, Until: m.Until, From: m.From,
			Tried: m.Tried, Trace: m.Trace, Sender: m.Sender, Body: string(m.Body)}
	}
	d.reply(w, list, err)
}

// changed answers with what f did to the queue that a request names.
func (d *Door) changed(w http.ResponseWriter, r *http.Request, f func(q *queue.Queue) (any, error)) {
	q, err := d.named(r)
	var v any
	if err == nil {
		v, err = f(q)
	}
	d.reply(w, v, err)
}

func (d *Door) purge(w http.ResponseWriter, r *http.Request) {
	d.changed(w, r, func(q *queue.Queue) (any, error) {
		n, err := d.cfg.Queues.Purge(r.Context(), q.Name)
		return struct {
			Messages int64 `json:"messages"`
		}{n}, err
	})
}

// moveMessages begins to move the messages of a dead-letter queue.
func (d *Door) moveMessages(w http.ResponseWriter, r *http.Request) {
	d.changed(w, r, func(q *queue.Queue) (any, error) {
		v := r.URL.Query()
		rate, err := strconv.Atoi("0" + v.Get("rate"))
		if err != nil {
			return nil, &daruma.Error{Op: "move messages", Kind: daruma.KindInvalid, Err: err}
		}
		to := v.Get("to")
		for _, o := range d.cfg.Queues.All() {
			if to != "" && o.LogicalID == to {
				to = o.Name
			}
		}
		return d.cfg.Queues.Move(r.Context(), q.Name, to, rate)
	})
}

// sendMessage puts the request's body into a queue.
func (d *Door) sendMessage(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, queue.MessageBytesMax))
	if err != nil || len(body) == 0 {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("a message of 1 to %d bytes is needed", queue.MessageBytesMax))
		return
	}
	d.changed(w, r, func(q *queue.Queue) (any, error) {
		v := r.URL.Query()
		m := queue.Message{Body: body, Group: v.Get("group"), Once: v.Get("once"), Sender: "console"}
		if q.FIFO && m.Once == "" && !q.OnceByBody {
			m.Once = daruma.NewID()
		}
		sent, err := d.cfg.Queues.Send(r.Context(), q.Name, m)
		if err != nil {
			return nil, err
		}
		return struct {
			ID        string `json:"id"`
			Duplicate bool   `json:"duplicate,omitempty"`
		}{sent[0].ID.String(), sent[0].Duplicate}, nil
	})
}

// redriveMessage sends the message of a failure to the queue it was in.
func (d *Door) redriveMessage(ctx context.Context, id ledger.ID, body []byte) (any, error) {
	done, err := d.cfg.Queues.Redrive(ctx, id, body)
	return struct {
		Request, Queue string
		Already        bool
	}{done.ID.String(), done.Queue, done.Already}, err
}
