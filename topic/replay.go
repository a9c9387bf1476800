package topic

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Limits of replays.
const (
	ReplaysMax = 100 // on their way at once

	partMax      = 100     // messages that one step looks at
	partBytesMax = 1 << 20 // that it reads, unless one message has more
)

// A Replay asks for what the topic's archive has from one time to another to be
// handed to a subscription again, in its order, as far as its filter policy wants it.
//
//	pending ──► in progress ──► completed
//	                │
//	                └──► failed: the archive has ended
//
// Meanwhile the subscription gets nothing that is published. Without an end, a
// replay goes on with what was published since, and when it has caught up the
// subscription gets messages as before. With an end it gets no more until another
// replay is asked for, or none. What is replayed is known to a queue by another
// text than before, of this replay, so that its five minutes hinder nothing.
//
// Taken away before it has caught up, a replay without an end leaves to the
// subscription what was published meanwhile. One that begins earlier than the
// archive begins with the archive.
type Replay struct {
	ID    string    `json:"id"` // another one is another replay
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"` // not in the future; zero: it has no end
	Text  string    `json:"text,omitempty"` // how a door was told
}

// A ReplayState says how far a replay has come.
type ReplayState string

// The states there are.
const (
	ReplayPending   ReplayState = "Pending"
	ReplayRuns      ReplayState = "In progress"
	ReplayCompleted ReplayState = "Completed"
	ReplayFailed    ReplayState = "Failed"
)

// same says whether both ask for the same, or for nothing.
func (r *Replay) same(other *Replay) bool {
	if r == nil || other == nil {
		return r == other
	}
	return r.From.Equal(other.From) && r.Until.Equal(other.Until)
}

// A replay is how far one has come: all behind Next is still to be looked at.
// Version 1 is the first.
type replay struct {
	State   ReplayState `json:"state"`
	ID      string      `json:"id"`                // of the Replay
	Next    uint64      `json:"next"`              // the number of a message
	Last    uint64      `json:"last,omitempty"`    // the last one
	Ends    bool        `json:"ends,omitempty"`    // with Last, and nothing is handed on after it; else when it has caught up
	Head    uint64      `json:"head"`              // the last one that was published when it began; those behind it are new
	Stopped bool        `json:"stopped,omitempty"` // it only leaves to the subscription what was published meanwhile
}

func replays() cell.Format[replay] { return cell.Format[replay]{Kind: "replay", Version: 1} }

// runs says whether there is something left to do.
func (r *replay) runs() bool {
	return r != nil && (r.State == ReplayPending || r.State == ReplayRuns)
}

// holds says whether what is published is kept from the subscription.
func (r *replay) holds() bool { return r.runs() || r != nil && r.Ends && r.State == ReplayCompleted }

// owed is the first message that was published meanwhile and that the
// subscription still has to get; 0 when there is none.
func (r *replay) owed() uint64 {
	if !r.runs() || r.Ends {
		return 0
	}
	return max(r.Next, r.Head+1)
}

func (r *replay) failed() *replay {
	is := *r
	is.State = ReplayFailed
	return &is
}

// once is what a message is known by to a queue when it is replayed.
func (r *replay) once(m *Message) string {
	sum := sha256.Sum256([]byte(r.ID + " " + strconv.FormatUint(m.Number, 10)))
	return hex.EncodeToString(sum[:])
}

// keepReplay writes down how far a replay has come; nil: there is none.
func (w *work) keepReplay(topic, id string, r *replay) *replay {
	if r == nil {
		w.tx.Delete(replayKey(topic, id))
		return nil
	}
	replays().Put(w.tx, replayKey(topic, id), r)
	return r
}

// replayOf begins, ends or leaves alone the replay of a subscription that takes
// the place of the one with its ID.
func (w *work) replayOf(k *known, s *Subscription) (*replay, error) {
	var was *replay
	var asked *Replay
	if is := k.find(s.ID); is != nil {
		was, asked = is.replay, is.Replay
	}
	if s.Replay == asked || s.Replay != nil && asked != nil && s.Replay.ID == asked.ID {
		return was, nil
	}
	b, err := w.book(s.Topic)
	if err != nil {
		return nil, err
	}
	if s.Replay != nil {
		r, err := w.begin(k.topic, b, s.Replay, was)
		if err != nil {
			return nil, err
		}
		return w.keepReplay(s.Topic, s.ID, r), nil
	}
	var r *replay
	if n := was.owed(); n > 0 && n <= b.number {
		r = &replay{State: ReplayRuns, Next: n, Head: was.Head, Stopped: true}
	}
	return w.keepReplay(s.Topic, s.ID, r), nil
}

// begin is a replay that begins in the place of another.
func (w *work) begin(t *Topic, b *book, asked *Replay, was *replay) (*replay, error) {
	switch {
	case t.Keep == 0:
		return nil, &daruma.Error{Kind: daruma.KindInvalid, Ref: t.Name, Err: ErrNoArchive}
	case asked.ID == "" || asked.From.IsZero() || !asked.Until.IsZero() && (asked.Until.Before(asked.From) || asked.Until.After(w.tx.Now())):
		return nil, daruma.InvalidAt(t.Name, "a replay has a beginning, and an end that is not before it and not in the future")
	}
	if !was.runs() {
		w.begun++
	}
	if len(w.m.running)+w.begun > ReplaysMax {
		return nil, &daruma.Error{Kind: daruma.KindThrottled, Ref: t.Name, Err: ErrReplays}
	}
	next, err := w.numberFrom(t, b, asked.From)
	if err != nil {
		return nil, err
	}
	r := &replay{State: ReplayPending, ID: asked.ID, Next: next, Head: b.number}
	if asked.Until.IsZero() {
		if n := was.owed(); n > 0 {
			r.Next = min(r.Next, n)
		}
		return r, nil
	}
	behind, err := w.numberFrom(t, b, asked.Until.Add(1))
	r.Last, r.Ends = behind-1, true
	return r, err
}

// replayPart hands a part of the archive on, and says whether there is more.
func (w *work) replayPart(n named) (any, error) {
	k, err := w.topic(n.Topic)
	if err != nil {
		return false, nil
	}
	s := k.find(n.ID)
	if s == nil || !s.replay.runs() {
		return false, nil
	}
	b, err := w.book(n.Topic)
	if err != nil {
		return nil, err
	}
	r := *s.replay
	r.State, r.Next = ReplayRuns, max(r.Next, b.first())
	end := b.number
	if r.Ends {
		end = r.Last
	}
	messages, bytes := 0, 0
	for _, record := range w.tx.Scan(cell.Range{Lower: archiveKey(n.Topic, r.Next), Upper: archiveKey(n.Topic, max(r.Next, end+1))}) {
		if bytes += len(record); messages == partMax || messages > 0 && bytes > partBytesMax {
			break
		}
		messages++
		m, err := archived(record)
		if err != nil {
			return nil, err
		}
		if err := w.again(k, b, s, &r, m); err != nil {
			return nil, err
		}
		r.Next = m.Number + 1
	}
	more := r.Next <= end
	if more && messages == 0 {
		return nil, corrupt("archive of "+n.Topic, errors.New("a message is missing"))
	}
	next := &r
	switch {
	case more:
	case r.Stopped:
		next = nil
	default:
		r.State = ReplayCompleted
	}
	in := *s
	in.replay = w.keepReplay(n.Topic, n.ID, next)
	with := k.without(n.ID)
	with.subs = append(with.subs, &in)
	with.sort()
	w.remember(n.Topic, with)
	return more, nil
}

// again hands a message of the archive to a subscription that wants it.
func (w *work) again(k *known, b *book, s *subscribed, r *replay, m *Message) error {
	var looks looks
	if !looks.wanted(s, m) {
		b.Filtered++
		return nil
	}
	b.Matched++
	if m.Number <= r.Head {
		b.Replayed++
		m.Replayed, m.Once = true, r.once(m)
	}
	_, err := w.hand(k, b, s, m, 0)
	return err
}

// A Turn names a replay that is on its way.
type Turn struct{ Topic, Subscription string }

// note keeps in mind which replays of a topic are on their way. m.mu is held.
func (m *Machine) note(name string, k *known) {
	for t := range m.running {
		if t.Topic == name {
			delete(m.running, t)
		}
	}
	if k == nil {
		return
	}
	for _, s := range k.subs {
		if s.replay.runs() {
			m.running[Turn{name, s.ID}] = true
		}
	}
}

// Replays returns the replays that are on their way.
func (t *Topics) Replays() []Turn {
	t.machine.mu.RLock()
	defer t.machine.mu.RUnlock()
	all := make([]Turn, 0, len(t.machine.running))
	for turn := range t.machine.running {
		all = append(all, turn)
	}
	slices.SortFunc(all, func(a, b Turn) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Subscription, b.Subscription))
	})
	return all
}

// Replay hands the next part of the archive to a subscription, in one step with
// how far it has come, and says whether there is more. What is not on its way is
// no error.
func (t *Topics) Replay(ctx context.Context, turn Turn) (more bool, err error) {
	got, err := t.do(ctx, commandReplay, named{Topic: turn.Topic, ID: turn.Subscription}, false)
	if err != nil {
		return false, daruma.Wrap("replay", turn.Topic, err)
	}
	return got.(bool), nil
}

// ReplayState returns how far the replay has come that a subscription was asked
// for; "" when it was asked for none.
func (t *Topics) ReplayState(topic, id string) ReplayState {
	if k := t.machine.get(topic); k != nil {
		if s := k.find(id); s != nil && s.replay != nil && !s.replay.Stopped {
			return s.replay.State
		}
	}
	return ""
}
