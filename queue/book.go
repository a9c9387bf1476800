package queue

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// An Account counts what became of a queue's messages. It closes at any moment:
// Sent = Visible + Delayed + InFlight + Deleted + Expired + Purged + DeadLetters + Moved.
type Account struct {
	Queue string `json:"queue"`

	Sent     int64 `json:"sent"` // taken in, those that came as dead letters or were moved here included
	Visible  int64 `json:"visible"`
	Delayed  int64 `json:"delayed"`
	InFlight int64 `json:"inFlight"`

	Deleted     int64 `json:"deleted"`
	Expired     int64 `json:"expired"` // older than messages are kept
	Purged      int64 `json:"purged"`
	DeadLetters int64 `json:"deadLetters"` // given to the dead-letter queue; each is in the ledger
	Moved       int64 `json:"moved"`       // by a move, or by a redrive from the ledger

	Received   int64 `json:"received"`   // receives of messages, each counted
	Returned   int64 `json:"returned"`   // of these, messages that came back: by time-out or given back
	Released   int64 `json:"released"`   // of these, without having been tried; not in Received any more
	Duplicates int64 `json:"duplicates"` // sends of what was sent before; not in Sent
	Letters    int64 `json:"letters"`    // of Sent: dead letters of other queues
	Bytes      int64 `json:"bytes"`      // of the messages that are here
}

// Messages is how many there are.
func (a Account) Messages() int64 { return a.Visible + a.Delayed + a.InFlight }

// Closes says whether every message that was taken is somewhere.
func (a Account) Closes() bool {
	return a.Sent == a.Messages()+a.Deleted+a.Expired+a.Purged+a.DeadLetters+a.Moved
}

// never is a time that does not come.
const never = math.MaxInt64

// A book is a queue's account and where its lines begin. It is written with
// every command, so that a restart need not look for anything.
type book struct {
	Account
	lease  int64 // the last lease number given
	oldest int64 // no message has a lower number

	// The plain line: messages from head up to end are there, are visible and
	// were never received, but for those that have expired. end is never while
	// messages are added to it.
	head, end int64
	plain     int64 // messages in it

	turn, turns int64 // the first turn there may be in the ring, the last given
	ring        int64 // groups in the ring

	due     int64 // nothing is hidden until before that; never: nothing is
	forget  int64 // nothing is forgotten before that; never: nothing is known
	expires int64 // no message expires before that; never: there is none
	timer   int64 // when the queue's timer is set for; never: it is not
	purged  int64 // when it was purged last
	moving  int64 // when the next messages of a move are due; never: there is no move
	moves   int64 // the number of the last move
}

func newBook() *book {
	return &book{oldest: 1, head: 1, end: never, due: never, forget: never, expires: never, timer: never, moving: never}
}

// numbers are those of a book in the order in which they are written. It is an
// array, since a book is read and written with every command.
func (b *book) numbers() [30]*int64 {
	return [...]*int64{&b.Sent, &b.Visible, &b.Delayed, &b.InFlight, &b.Deleted, &b.Expired, &b.Purged, &b.DeadLetters, &b.Moved,
		&b.Received, &b.Returned, &b.Released, &b.Duplicates, &b.Letters, &b.Bytes,
		&b.lease, &b.oldest, &b.head, &b.end, &b.plain, &b.turn, &b.turns, &b.ring,
		&b.due, &b.forget, &b.expires, &b.timer, &b.purged, &b.moving, &b.moves}
}

// next is when the queue has something to do by itself.
func (b *book) next() int64 { return min(b.due, b.forget, b.expires, b.moving) }

// ready says whether something may be received, or is to be refused because
// too much is in flight: a FIFO queue is silent then.
func (b *book) ready(fifo bool) bool {
	return (b.plain > 0 || b.ring > 0) && (b.InFlight < InFlightMax || !fifo)
}

func (b *book) encode() []byte {
	out := make([]byte, 1, 160)
	out[0] = bookVersion
	for _, n := range b.numbers() {
		if *n == never {
			out = append(out, 0)
		} else {
			out = binary.AppendUvarint(out, uint64(*n)+1)
		}
	}
	return cell.SealAll(out)
}

func decodeBook(raw []byte) (*book, error) {
	body, err := unseal("book of a queue", bookVersion, raw)
	if err != nil {
		return nil, err
	}
	b := new(book)
	c := reading(body)
	for _, n := range b.numbers() {
		if v := c.Signed(); v == 0 {
			*n = never
		} else {
			*n = v - 1
		}
	}
	if c.Err != nil {
		return nil, corrupt("book of a queue", c.Err)
	}
	return b, nil
}

// Accounts returns the account of every queue, by name. All are of one moment.
func (q *Queues) Accounts(ctx context.Context) (each []Account, err error) {
	err = q.view(ctx, "read accounts", "", func(r *cell.Reader) error {
		for key, is := range queues().All(r, cell.Prefix([]byte{spaceQueue})) {
			b, err := readBook(r, is.ID)
			if err != nil {
				return err
			}
			b.Queue = string(key[1:])
			each = append(each, b.Account)
		}
		return nil
	})
	return each, err
}

// Account returns the account of one queue.
func (q *Queues) Account(ctx context.Context, name string) (a Account, err error) {
	err = q.view(ctx, "read account", name, func(r *cell.Reader) error {
		is := queues().Get(r, queueKey(name))
		if is == nil {
			return noQueue(name)
		}
		b, err := readBook(r, is.ID)
		if err == nil {
			a = b.Account
			a.Queue = name
		}
		return err
	})
	return a, err
}

func readBook(s cell.State, id uint32) (*book, error) {
	raw, ok := s.Get(of(spaceBook, id, 0))
	if !ok {
		return newBook(), nil
	}
	return decodeBook(raw)
}

func (q *Queues) view(ctx context.Context, op, name string, f func(r *cell.Reader) error) error {
	return daruma.Wrap(op, name, q.cell.View(ctx, machineName, f))
}
