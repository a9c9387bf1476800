package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// conditionReceives is why a message is a dead letter that was received too often.
const conditionReceives = "MaximumReceivesExceeded"

// A buried is what the ledger keeps of a dead letter, to send it again.
type buried struct {
	Queue      string      `json:"queue"`                // where it was
	DeadLetter string      `json:"deadLetter,omitempty"` // where it is
	Number     int64       `json:"number,omitempty"`     // there
	Group      string      `json:"group,omitempty"`
	Attributes []Attribute `json:"attributes,omitempty"`

	// As it was received last, for who hands it over as it was.
	Once     string    `json:"once,omitempty"`
	Sequence int64     `json:"sequence,omitempty"` // in its queue
	First    time.Time `json:"first,omitzero"`     // received
	From     string    `json:"from,omitempty"`     // the queue it was a dead letter of already
}

// letter makes a message that stands nowhere any more a dead letter, in its
// queue and in the ledger. It returns false when there is no queue that takes
// it; nothing has happened then.
func (w *work) letter(q *live, n int64, r *record, s *state, report *Report) (bool, error) {
	to, err := w.deadLetters(q)
	if err != nil || to == nil {
		return false, err
	}
	_, err = w.fail(q, to, n, r, s, report)
	return err == nil, err
}

// deadLetters returns the queue that takes a queue's dead letters, or nil.
func (w *work) deadLetters(q *live) (*live, error) {
	if q.is.DeadLetter == nil {
		return nil, nil
	}
	to, err := w.queue(q.is.DeadLetter.Queue)
	if errors.Is(err, ErrNoQueue) {
		return nil, nil
	}
	if err != nil || to.is.FIFO != q.is.FIFO || to == q || !to.is.Allow.admits(q.is.Name) {
		return nil, err
	}
	return to, nil
}

// bury gives up a message that is in flight.
func (w *work) bury(q *live, n int64, s *state, report *Report) (ledger.ID, error) {
	r, err := w.record(q, n)
	if err != nil {
		return 0, err
	}
	if r == nil {
		return 0, corrupt("message", cell.ErrCut)
	}
	to, err := w.deadLetters(q)
	if err != nil {
		return 0, err
	}
	if err := w.withdraw(q, n, s, false); err != nil {
		return 0, err
	}
	return w.fail(q, to, n, r, s, report)
}

// fail keeps a message in the ledger and puts it into to, if there is one.
func (w *work) fail(q, to *live, n int64, r *record, s *state, report *Report) (ledger.ID, error) {
	m, err := r.message()
	if err != nil {
		return 0, err
	}
	is := buried{Queue: q.is.Name, Group: m.Group, Attributes: m.Attributes, Once: m.Once, Sequence: n, First: moment(s.first), From: r.from}
	did := "kept it here"
	if to != nil {
		is.DeadLetter, is.Number = to.is.Name, to.Sent+1
		did = "moved it to the dead-letter queue " + to.is.Name + ", and kept it here"
	}
	f := failure(q, &m, r, s, report)
	f.Did, f.Handover = did, nil
	if f.Handover, err = json.Marshal(is); err != nil {
		return 0, err
	}
	id, err := ledger.Record(w.tx, f, m.Body)
	if err != nil {
		return 0, err
	}
	w.drop(q, n, s)
	q.DeadLetters++
	if to == nil || plantedCopiedAfter() { // a crash comes before the copy
		return id, nil
	}
	moved := *r
	moved.count, moved.first, moved.failure, moved.from, moved.indexed = s.count, s.first, uint64(id), q.is.Name, true
	if to.is.FIFO {
		moved.sent, moved.indexed = w.now, false
	}
	to.Letters++
	_, err = w.enqueue(to, &moved, 0)
	return id, err
}

// failure is what is known of a message that is given up.
func failure(q *live, m *Message, r *record, s *state, report *Report) ledger.Failure {
	f := ledger.Failure{Hop: ledger.Queued, Function: s.tries.Function, Condition: conditionReceives, Attempts: s.tries.Each, Runs: s.count, Accepted: moment(r.sent),
		Request: r.id.String(), Trace: daruma.TraceRoot(m.TraceHeader()), TraceHeader: cmp.Or(m.Trace, m.TraceHeader()), Source: "queue " + q.is.Name, Client: m.Sender, From: ledger.ID(r.failure)}
	if f.Function == "" {
		f.Function = q.is.Name
	}
	f.ErrorType, f.Message = conditionReceives, fmt.Sprintf("it was received %d times and never deleted", s.count)
	if k := len(s.tries.Each); k > 0 {
		last := s.tries.Each[k-1]
		f.Outcome, f.ErrorType, f.Message, f.Version, f.Duration = last.Outcome, last.ErrorType, last.Message, last.Version, last.Duration
	}
	for _, a := range s.tries.Each {
		for _, met := range a.Faults {
			if !slices.Contains(f.Faults, met) {
				f.Faults = append(f.Faults, met)
			}
		}
	}
	if report == nil {
		report = s.tries.Last
	}
	if report == nil {
		return f
	}
	f.Qualifier, f.CodeSHA256, f.Revision, f.Owner, f.Tags = report.Qualifier, report.CodeSHA256, report.Revision, report.Owner, report.Tags
	f.Sensitive, f.Correlate, f.Stack, f.Location, f.Log = report.Sensitive, report.Correlate, report.Stack, report.Location, report.Log
	f.Recording = report.Recording
	f.Message = report.Message // the one above is cut
	if report.Condition != "" {
		f.Condition = report.Condition
	}
	return f
}

// Buried returns the message of a failure of this hop as it was received last,
// with a body, and the queue it was in, as it is or would be. Nobody holds it:
// its handle is one that has ended.
func (q *Queues) Buried(f *ledger.Failure, body []byte) (*Queue, Received, error) {
	var is buried
	if f.Hop != ledger.Queued || json.Unmarshal(f.Handover, &is) != nil || is.Queue == "" {
		return nil, Received{}, &daruma.Error{Op: "read dead letter", Ref: f.Number.String(), Kind: daruma.KindUnsupported, Err: errors.New("it is no message of a queue, or how it was sent was too much to be kept")}
	}
	in := q.Queue(is.Queue)
	if in == nil {
		in = &Queue{Name: is.Queue}
		in.FIFO = strings.HasSuffix(is.Queue, ".fifo")
	}
	id, _ := ParseID(f.Request)
	r := Received{Message: Message{ID: id, Body: body, Attributes: is.Attributes, Group: is.Group, Once: is.Once, Trace: f.TraceHeader, Sender: f.Client},
		Held: Held{Number: uint64(is.Sequence)}, Sent: f.Accepted, Count: f.Runs, First: is.First, From: is.From}
	if f.TraceHeader == TraceOfID(id) {
		r.Trace = "" // it showed none
	}
	r.Handle = q.seal.handle(in.ID, r.Held)
	return in, r, nil
}

type redriving struct {
	ID     ledger.ID `json:"id"`
	Body   []byte    `json:"body,omitempty"`
	Edited bool      `json:"edited,omitempty"`
}

// A Redriven says what came of a redrive.
type Redriven struct {
	Queue   string // where the message is again
	ID      ID
	Already bool // it was redriven before; nothing happened
}

// Redrive sends the message of a failure of this hop ([ledger.Queued]) to the
// queue it was in, under an ID of its own, and takes it out of the dead-letter
// queue if it is still there. A body that is not nil takes the place of the
// message's. Doing it twice is harmless.
//
// Errors: KindNotFound when the ledger has no such failure or the queue is
// gone, KindConflict when it is resolved or somebody has the dead letter in
// flight, KindInvalid when sensitive fields were not kept, the dead letter is
// gone and no body is given.
func (q *Queues) Redrive(ctx context.Context, id ledger.ID, body []byte) (Redriven, error) {
	got, err := q.do(ctx, commandRedrive, redriving{id, body, body != nil}, false)
	if err != nil {
		return Redriven{}, daruma.Wrap("redrive", id.String(), err)
	}
	return got.(Redriven), nil
}

func (w *work) redrive(c redriving) (any, error) {
	f, event, already, err := ledger.Redrive(w.tx, c.ID)
	if err != nil {
		return nil, err
	}
	var is buried
	if f.Hop != ledger.Queued || json.Unmarshal(f.Handover, &is) != nil {
		return nil, &daruma.Error{Kind: daruma.KindUnsupported, Err: errors.New("it is no message of a queue, or how it was sent was too much to be kept")}
	}
	if already {
		return Redriven{Queue: is.Queue, Already: true}, nil
	}
	q, err := w.queue(is.Queue)
	if err != nil {
		return nil, err
	}
	m := Message{Group: is.Group, Attributes: is.Attributes, Trace: f.TraceHeader, Sender: f.Client}
	kept, err := w.unbury(&is, c.ID)
	switch {
	case err != nil:
		return nil, err
	case c.Edited:
		m.Body = c.Body
	case kept != nil:
		m = *kept
	case len(f.Redacted) > 0:
		return nil, &daruma.Error{Kind: daruma.KindInvalid, Err: errors.New("its event is not whole: " + strings.Join(f.Redacted, ", ") + " were not kept"), Hint: "give the whole event to redrive"}
	default:
		m.Body = event
	}
	m.ID, m.Once, m.Trace = w.newID(), "", daruma.Unchained(m.Trace)
	r := &record{sent: w.now, failure: uint64(c.ID)}
	if err := r.readHead(appendMessage(nil, &m)); err != nil {
		return nil, err
	}
	if r.size > q.is.bytesMax() {
		return nil, tooLarge("a message of %d bytes: %s takes up to %d", r.size, q.is.Name, q.is.bytesMax())
	}
	_, err = w.enqueue(q, r, 0)
	return Redriven{Queue: is.Queue, ID: m.ID}, err
}

// unbury takes a dead letter out of its queue and returns it, or nil when it is not there any more.
func (w *work) unbury(is *buried, id ledger.ID) (*Message, error) {
	if is.DeadLetter == "" {
		return nil, nil
	}
	q, err := w.queue(is.DeadLetter)
	if err != nil {
		if errors.Is(err, ErrNoQueue) {
			return nil, nil
		}
		return nil, err
	}
	r, err := w.record(q, is.Number)
	if err != nil || r == nil || r.failure != uint64(id) {
		return nil, err
	}
	s, err := w.state(q, is.Number)
	if err != nil {
		return nil, err
	}
	fresh := s == nil
	if fresh {
		s = r.state()
	}
	if s.is(flagInFlight) {
		return nil, &daruma.Error{Kind: daruma.KindConflict, Err: fmt.Errorf("somebody has received it from %s", q.is.Name), Hint: "wait until " + moment(s.due).Format(time.RFC3339) + ", when it is visible again"}
	}
	m, err := r.message()
	if err != nil {
		return nil, err
	}
	if err := w.withdraw(q, is.Number, s, fresh); err != nil {
		return nil, err
	}
	q.Moved++
	w.drop(q, is.Number, s)
	return &m, nil
}
