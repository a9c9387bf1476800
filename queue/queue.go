// Package queue holds queues of messages, with order (FIFO) and without.
//
//	send ─► delayed ─► visible ──receive──► in flight ──delete──► gone
//	                      ▲                     │
//	                      └─ time-out, return ◄─┤
//	                                            └─ received too often ─► the dead-letter queue, and the ledger
//
// A message is in exactly one of these states, and the account of a queue
// closes at any moment: sent = visible + delayed + in flight + deleted +
// expired + purged + dead letters + moved. What one command does is one atomic
// step, so that a dead letter is in its queue and in the ledger and no longer
// where it was, or none of it.
//
// It promises that an accepted message is received at least once or ends in one
// of the ways above; that a message is not received again before it is visible
// again; that only who holds the last lease of a message can delete or hide it;
// and in a FIFO queue that a message of a group is received only when none of
// the group is in flight, in the order in which they were taken. A queue
// without order gives groups their turns, so that one with a million messages
// does not keep another waiting. It does not promise that a message is received
// once only. The rules are those of the Amazon Simple Queue Service Developer
// Guide.
//
// Two kinds of callers receive messages. Who is outside uses handles, which are
// sealed. What is part of the platform uses leases ([Held]) and settles them, a
// batch in one step; it can give a message back that it could not even try, and
// then nothing is counted.
//
// In memory there is what is configured, and for each queue whether it may have
// something to receive and who waits for it: messages cost nothing there. The
// methods of [Queues] may be called from any goroutine.
package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// Limits of queues.
const (
	NameBytesMax    = 256
	QueuesMax       = 10_000
	MessageBytesMax = 1 << 20          // body and attributes
	SendMax         = 10_000           // messages in one command
	ReceiveMax      = 10_000           // messages in one command
	SettleMax       = 10_000           // messages in one command
	GroupBytesMax   = 128              // of a group's name and of what a message is known by
	InFlightMax     = 120_000          // messages of a queue that are in flight
	HideMax         = 12 * time.Hour   // how long a receive may hide a message
	DelayMax        = 15 * time.Minute // before a message is visible for the first time
	KeepMax         = 14 * 24 * time.Hour
	OnceFor         = 5 * time.Minute // how long it is known what was sent already
	textBytesMax    = 4 << 10         // any other text of a message
	removedFor      = time.Minute     // before a name can be used again
	purgeEvery      = time.Minute
)

// What a queue refuses, beside what is wrong with a request. Match with errors.Is.
var (
	ErrNoQueue     = errors.New("there is no such queue")
	ErrRemoved     = errors.New("a queue of this name was removed less than a minute ago")
	ErrPurged      = errors.New("it was purged less than a minute ago")
	ErrInFlight    = errors.New("too many of its messages are in flight")
	ErrHandle      = errors.New("the handle is none of this queue")
	ErrStale       = errors.New("the lease has ended, or somebody else has the message")
	ErrNotInFlight = errors.New("the message is not in flight")
)

// A Message is what is sent.
type Message struct {
	ID         ID // a new one when zero
	Body       []byte
	Attributes []Attribute
	Group      string         // required in a FIFO queue; in others whose turn it is
	Once       string         // FIFO: another message with the same text is not taken for five minutes
	Delay      *time.Duration // instead of the queue's; not in FIFO queues
	Trace      string         // X-Amzn-Trace-Id, handed on with the message
	Sender     string         // who sent it: an access key, an ARN, a name
}

// An Attribute goes with a message.
type Attribute struct {
	Name  string
	Type  string // "String", "Number", "Binary", with a further word behind a dot
	Value []byte
}

// Size is how many bytes of a message count.
func (m *Message) Size() int {
	n := len(m.Body)
	for i := range m.Attributes {
		a := &m.Attributes[i]
		n += len(a.Name) + len(a.Type) + len(a.Value)
	}
	return n
}

// A Sent says what became of a message that was sent.
type Sent struct {
	ID        ID     // that of the first one when it was sent before
	Number    uint64 // the how manyth of its queue's messages it is
	Duplicate bool   // it was sent before, and was not taken again
}

// Queues is the queues of one cell.
type Queues struct {
	cell    *cell.Cell
	machine *Machine
	clock   daruma.Clock
	seal    sealer
}

// Open returns the queues that lie in c, of which m is one of the machines;
// clock, which may be nil, is what waiting goes by. It starts nothing.
func Open(ctx context.Context, c *cell.Cell, m *Machine, clock daruma.Clock) (*Queues, error) {
	if clock == nil {
		clock = daruma.SystemClock{}
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	kept, err := c.Do(ctx, cell.Command{Machine: machineName, Name: commandOpen, Body: secret})
	if err != nil {
		return nil, daruma.Wrap("open queues", "", err)
	}
	return &Queues{cell: c, machine: m, clock: clock, seal: newSealer(kept.([]byte))}, nil
}

// Send puts messages into a queue, all or none. When it returns without an
// error they are on the disk. Repeated after KindDoubtful it may take them in
// twice, unless the queue is FIFO.
//
// Errors: KindNotFound ([ErrNoQueue]), KindInvalid, KindTooLarge, and those of the cell.
func (q *Queues) Send(ctx context.Context, name string, messages ...Message) ([]Sent, error) {
	for i := range messages {
		if messages[i].ID == (ID{}) {
			messages[i].ID = NewID()
		}
		if n := messages[i].Size(); n > MessageBytesMax {
			return nil, daruma.Wrap("send", name, tooLarge("a message of %d bytes: at most %d are taken", n, MessageBytesMax))
		}
	}
	cmd, err := SendCommand(name, messages...)
	if err != nil {
		return nil, daruma.Wrap("send", name, err)
	}
	got, err := q.cell.Do(ctx, cmd)
	if err != nil {
		return nil, daruma.Wrap("send", name, err)
	}
	return got.([]Sent), nil
}

// NewID returns a new random ID.
func NewID() (id ID) {
	rand.Read(id[:])
	return id.stamped()
}

// SendCommand is the command of [Queues.Send], for machines that put messages
// into a queue inside a step of their own ([cell.Tx.Do]). It answers []Sent.
// Messages without an ID are given one when the command is applied, which
// refuses those that are larger than the queue takes (KindTooLarge).
func SendCommand(name string, messages ...Message) (cell.Command, error) {
	if len(messages) == 0 || len(messages) > SendMax {
		return cell.Command{}, daruma.InvalidAt(name, "%d messages at once: from 1 to %d are taken", len(messages), SendMax)
	}
	size := len(name) + 8
	for i := range messages {
		if err := messages[i].validate(); err != nil {
			return cell.Command{}, err
		}
		size += messages[i].Size() + len(messages[i].Group) + len(messages[i].Once) + len(messages[i].Trace) + len(messages[i].Sender) + 64 + 8*len(messages[i].Attributes)
	}
	b := cell.AppendText(make([]byte, 0, size), name)
	var scratch []byte
	for i := range messages {
		m := &messages[i]
		delay := uint64(0)
		if m.Delay != nil {
			delay = uint64(*m.Delay/time.Millisecond) + 1
		}
		scratch = appendMessage(scratch[:0], m)
		b = cell.AppendText(appendNumber(b, delay), scratch)
	}
	return cell.Command{Machine: machineName, Name: commandSend, Body: b}, nil
}

func (m *Message) validate() error {
	switch {
	case len(m.Group) > GroupBytesMax || len(m.Once) > GroupBytesMax || hasZero(m.Group) || hasZero(m.Once):
		return daruma.InvalidAt("", "a group, or what a message is known by, has up to %d characters", GroupBytesMax)
	case max(len(m.Trace), len(m.Sender)) > textBytesMax:
		return daruma.InvalidAt("", "a trace or a sender of more than %d bytes", textBytesMax)
	case m.Delay != nil && (*m.Delay < 0 || *m.Delay > DelayMax):
		return daruma.InvalidAt("", "a delay of %v: up to %v", *m.Delay, DelayMax)
	}
	return nil
}

// A Want says what to receive.
type Want struct {
	N    int            // messages at most
	Hide *time.Duration // how long they are hidden from others; nil: as the queue is configured
	Wait time.Duration  // how long to wait for the first one
	// Again, in a FIFO queue, names this receive: repeated within five minutes
	// it answers the same messages, as long as nobody has touched them.
	Again string
	// Internal marks the leases as those of the platform itself; see [Queues.Reclaim].
	Internal bool
}

// A Received is a message somebody holds.
type Received struct {
	Message
	Held
	Handle string    // names the lease to those outside
	Sent   time.Time // of a dead letter without order: when it was sent at first
	Count  int       // receives, this one included
	First  time.Time // of the first receive
	Before time.Time // of the receive before this one; zero for none
	Until  time.Time // when the message is visible again
	From   string    // the queue it is a dead letter of; "" when it is none

	Failure ledger.ID // of a dead letter, or of one that was sent back; 0 for others
	Alone   bool      // it has failed while most others went well
}

// TraceHeader is the trace a message belongs to: its sender's, or the one that
// follows from its ID.
func (m *Message) TraceHeader() string {
	if _, ok := daruma.ParseTrace(m.Trace); ok {
		return m.Trace
	}
	return TraceOfID(m.ID)
}

// TraceOfID is the trace header of a message that nobody names a trace for.
func TraceOfID(id ID) string { return daruma.TraceOfMessage(id).String() }

// A Held names a lease of a message.
type Held struct {
	Number uint64 // of the message
	Lease  uint64 // the fencing number
}

// Receive takes visible messages, hides them and counts the receive. It
// returns as soon as there is one, and nothing when Want.Wait ends first.
//
// Errors: KindNotFound ([ErrNoQueue]), KindThrottled ([ErrInFlight]),
// KindInvalid, and those of the cell.
func (q *Queues) Receive(ctx context.Context, name string, w Want) ([]Received, error) {
	got, err := q.receive(ctx, name, w)
	return got, daruma.Wrap("receive", name, err)
}

func (q *Queues) receive(ctx context.Context, name string, w Want) ([]Received, error) {
	s := q.machine.signal(name)
	if s == nil {
		return nil, noQueue(name)
	}
	if w.N < 1 || w.N > ReceiveMax || w.Wait < 0 || w.Hide != nil && (*w.Hide < 0 || *w.Hide > HideMax) {
		return nil, daruma.InvalidAt(name, "%d messages, hidden for %v: from 1 to %d, up to %v", w.N, w.Hide, ReceiveMax, HideMax)
	}
	cmd := cell.Command{Machine: machineName, Name: commandReceive, Body: w.encode(name), Frees: true}
	var wait *waiter
	for {
		if s.mayHave(nanos(q.clock.Now())) || w.Again != "" {
			got, err := q.cell.Do(ctx, cmd)
			if err != nil {
				return nil, err
			}
			a := got.(received)
			if len(a.messages) > 0 || a.replayed {
				return q.sealed(a)
			}
			if a.more {
				continue // what was looked at is gone: this ends
			}
			w.Again = ""
		}
		if w.Wait <= 0 || s.gone() {
			return nil, s.err(name)
		}
		if wait == nil {
			wait = q.newWaiter(w.Wait)
			defer wait.stop()
		}
		if more, err := s.await(ctx, wait); !more {
			return nil, err
		}
	}
}

// sealed completes what a receive answered.
func (q *Queues) sealed(a received) ([]Received, error) {
	for i := range a.messages {
		m := &a.messages[i]
		c := reading(a.parts[i])
		m.Message = c.message()
		if c.Err != nil {
			return nil, corrupt("message", c.Err)
		}
		m.Handle = q.seal.handle(a.queue, m.Held)
	}
	return a.messages, nil
}

// Wake holds a token when some queue may have got something to receive since
// it was last received from. It is for one reader; [Queues.Ready] says which.
func (q *Queues) Wake() <-chan struct{} { return q.machine.wake }

// Ready says whether a queue may have something to receive. It is cheap.
func (q *Queues) Ready(name string) bool {
	s := q.machine.signal(name)
	return s != nil && s.mayHave(nanos(q.clock.Now()))
}

// Visible says how many messages of a queue are visible since its last command:
// those that have become so by themselves are not counted yet. It is cheap, and
// unlike [Queues.Account], which reads what is durable, it knows of all that Wake
// has told of.
func (q *Queues) Visible(name string) int {
	s := q.machine.signal(name)
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.visible)
}

func hasZero(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
}
