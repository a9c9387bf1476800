package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Settings is what is configured of a queue. The zero values of Keep and
// BytesMax stand for four days and MessageBytesMax.
type Settings struct {
	FIFO         bool          `json:"fifo,omitempty"`         // never changes
	OnceByBody   bool          `json:"onceByBody,omitempty"`   // FIFO: a message without Once is known by the hash of its body
	OncePerGroup bool          `json:"oncePerGroup,omitempty"` // FIFO: what is known is known in a group, not in the whole queue
	Delay        time.Duration `json:"delayNs,omitempty"`      // before a message is visible for the first time
	Keep         time.Duration `json:"keepNs,omitempty"`       // after being sent; then it is gone
	Hide         time.Duration `json:"hideNs,omitempty"`       // what a receive hides messages for
	Wait         time.Duration `json:"waitNs,omitempty"`       // what a receive waits for, for who asks
	BytesMax     int           `json:"bytesMax,omitempty"`     // of a message
	DeadLetter   *DeadLetter   `json:"deadLetter,omitempty"`
	Allow        *Allow        `json:"allow,omitempty"` // nil: every queue

	Labels map[string]string `json:"labels,omitempty"` // what a door keeps with it
	Tags   map[string]string `json:"tags,omitempty"`
}

// A DeadLetter says where messages go that are received too often.
type DeadLetter struct {
	Queue string `json:"queue"`
	After int    `json:"after"` // receives; the next one moves the message
}

// An Allow says whose dead letters a queue takes.
type Allow struct {
	None   bool     `json:"none,omitempty"`
	Queues []string `json:"queues,omitempty"`
}

// admits says whether dead letters of a queue are taken.
func (a *Allow) admits(name string) bool {
	return a == nil || !a.None && slices.Contains(a.Queues, name)
}

// A Queue is one queue as it is configured.
type Queue struct {
	Settings
	Name      string    `json:"name"`
	ID        uint32    `json:"id"` // never given twice
	Created   time.Time `json:"created"`
	Changed   time.Time `json:"changed"`
	Revision  uint64    `json:"revision"`            // one more with each change
	LogicalID string    `json:"logicalId,omitempty"` // of the template that declares it; "" when it was made by hand
	Declared  *Settings `json:"declared,omitempty"`  // what the template said last
	Retain    bool      `json:"retain,omitempty"`    // it stays when the template says nothing of it any more
}

// How queues are written. Version 1 is the first.
func queues() cell.Format[Queue] { return cell.Format[Queue]{Kind: "queue", Version: 1} }

func (s *Settings) keep() time.Duration { return cmp.Or(s.Keep, 4*24*time.Hour) }
func (s *Settings) bytesMax() int       { return cmp.Or(s.BytesMax, MessageBytesMax) }

func (s *Settings) validate(name string) error {
	switch {
	case name == "" || len(name) > NameBytesMax || hasZero(name):
		return daruma.InvalidAt(name, "a queue's name has from 1 to %d characters", NameBytesMax)
	case s.Delay < 0 || s.Delay > DelayMax:
		return daruma.InvalidAt(name, "a delay of %v: up to %v", s.Delay, DelayMax)
	case s.Keep < 0 || s.Keep > KeepMax:
		return daruma.InvalidAt(name, "messages kept for %v: up to %v", s.Keep, KeepMax)
	case s.Hide < 0 || s.Hide > HideMax:
		return daruma.InvalidAt(name, "messages hidden for %v: up to %v", s.Hide, HideMax)
	case s.Wait < 0 || s.BytesMax < 0 || s.BytesMax > MessageBytesMax:
		return daruma.InvalidAt(name, "a wait of %v and messages of %d bytes", s.Wait, s.BytesMax)
	case !s.FIFO && (s.OnceByBody || s.OncePerGroup):
		return daruma.InvalidAt(name, "only a FIFO queue knows what was sent already")
	case s.DeadLetter != nil && s.DeadLetter.After < 1:
		return daruma.InvalidAt(name, "dead letters after %d receives: at least 1", s.DeadLetter.After)
	}
	return nil
}

// What is wrong with a dead-letter queue. Match with errors.Is.
var (
	ErrNoDeadLetter   = fmt.Errorf("the dead-letter queue does not exist")
	ErrDeadLetterKind = fmt.Errorf("a queue and its dead-letter queue are both FIFO, or neither is")
	ErrNotAllowed     = fmt.Errorf("the dead-letter queue does not take dead letters of this queue")
)

// A creation, a change and a removal are the arguments of their commands.
type (
	creation struct {
		Name     string   `json:"name"`
		Settings Settings `json:"settings"`
	}
	change struct {
		Name     string   `json:"name"`
		Revision uint64   `json:"revision"` // of what it is a change of
		Settings Settings `json:"settings"`
	}
	named struct {
		Name string `json:"name"`
	}
)

// Create makes a queue.
//
// Errors: KindExists, KindConflict ([ErrRemoved]), KindInvalid, KindThrottled
// when there are too many, and those of the cell.
func (q *Queues) Create(ctx context.Context, name string, s Settings) (*Queue, error) {
	got, err := q.do(ctx, commandCreate, creation{name, s}, false)
	if err != nil {
		return nil, daruma.Wrap("create queue", name, err)
	}
	return got.(*Queue), nil
}

// Change has f change what is configured of a queue. f may be called again
// when somebody else changes it meanwhile.
func (q *Queues) Change(ctx context.Context, name string, f func(*Settings) error) (*Queue, error) {
	for {
		is := q.Queue(name)
		if is == nil {
			return nil, daruma.Wrap("change queue", name, noQueue(name))
		}
		s := is.clone()
		if err := f(&s); err != nil {
			return nil, err
		}
		got, err := q.do(ctx, commandChange, change{name, is.Revision, s}, false)
		if daruma.KindOf(err) == daruma.KindConflict && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return nil, daruma.Wrap("change queue", name, err)
		}
		return got.(*Queue), nil
	}
}

// clone copies settings, so that they can be changed.
func (s *Settings) clone() Settings {
	raw, err := json.Marshal(s)
	var c Settings
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return *s // texts and numbers cannot fail
	}
	return c
}

// Remove removes a queue with all of its messages, and says how many there were.
func (q *Queues) Remove(ctx context.Context, name string) (messages int64, err error) {
	got, err := q.do(ctx, commandRemove, named{name}, true)
	if err != nil {
		return 0, daruma.Wrap("remove queue", name, err)
	}
	return got.(int64), nil
}

// Queue returns what is configured of a queue, or nil. It must not be changed.
func (q *Queues) Queue(name string) *Queue {
	q.machine.mu.RLock()
	defer q.machine.mu.RUnlock()
	if k := q.machine.known[name]; k != nil {
		return k.queue
	}
	return nil
}

// All returns all queues, by name. They must not be changed.
func (q *Queues) All() []*Queue {
	q.machine.mu.RLock()
	defer q.machine.mu.RUnlock()
	all := make([]*Queue, 0, len(q.machine.known))
	for _, k := range q.machine.known {
		all = append(all, k.queue)
	}
	slices.SortFunc(all, func(a, b *Queue) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// A Wish is a queue as a template declares it.
type Wish struct {
	Name      string   `json:"name"`
	LogicalID string   `json:"logicalId"`
	Retain    bool     `json:"retain,omitempty"` // it stays when it is not declared any more
	Settings  Settings `json:"settings"`
}

// Changes is what [Queues.Deploy] changed, by name.
type Changes struct {
	Created, Updated []string
	Removed          []Removed
	Kept             []string // no longer declared, and kept because that was asked for
}

// A Removed is a queue that is gone with its messages.
type Removed struct {
	Name     string
	Messages int64
}

type deployment struct {
	Wishes []Wish `json:"wishes"`
}

// Deploy makes the declared queues those of wishes, in one step: what is new is
// created, what is there changed, and what was declared before and is not any
// more removed, unless it was to be retained. Queues made by hand are left
// alone, and so is what was changed by hand of a declared one, until the
// template says something else. A queue whose FIFO changes is made anew.
func (q *Queues) Deploy(ctx context.Context, wishes []Wish) (Changes, error) {
	got, err := q.do(ctx, commandDeploy, deployment{wishes}, false)
	if err != nil {
		return Changes{}, daruma.Wrap("deploy queues", "", err)
	}
	return got.(Changes), nil
}

func (q *Queues) do(ctx context.Context, name string, arguments any, frees bool) (any, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, &daruma.Error{Op: name, Kind: daruma.KindInvalid, Err: err}
	}
	return q.cell.Do(ctx, cell.Command{Machine: machineName, Name: name, Body: body, Frees: frees})
}
