package topic

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Limits of archives.
const (
	KeepMin = 24 * time.Hour
	KeepMax = 365 * 24 * time.Hour

	pruneMax      = 1_000   // messages that one step takes out
	pruneBytesMax = 4 << 20 // that it reads for that, and one message more
	pruneEvery    = time.Minute
	pruneSoon     = 100 * time.Millisecond // when there is more than one step takes
)

// An archive is the messages of a FIFO topic from one number to its last,
// without a gap: everything that is published while there is one is in it, in
// the step that publishes, and what is too old goes from its beginning. Version
// 1 of a message in it is its time in nanoseconds, eight bytes, and its JSON and
// body as [cell.Join] has them.
const archivedVersion = 1

// archive keeps a message that has its number and its time.
func (w *work) archive(t *Topic, b *book, m *Message) error {
	head, err := json.Marshal(m)
	if err != nil {
		return daruma.InvalidAt(t.Name, "a message cannot be written: %w", err)
	}
	at := binary.BigEndian.AppendUint64(nil, uint64(m.At.UnixNano()))
	key, record := archiveKey(t.Name, m.Number), cell.Seal(archivedVersion, append(at, cell.Join(head, m.Body)...))
	w.tx.Set(key, record)
	if b.Archived == 0 {
		w.tx.Schedule(m.At.Add(t.Keep), under(spaceArchive, t.Name))
	}
	b.Archived++
	b.ArchivedBytes += int64(len(key) + len(record))
	return nil
}

// first is the number of the first message in the archive; one more than that of
// the topic's last one when there is none.
func (b *book) first() uint64 { return b.number + 1 - uint64(b.Archived) }

// archivedAt returns when an archived message was published, and what follows.
func archivedAt(record []byte) (at time.Time, rest []byte, err error) {
	version, body, err := cell.Unseal(record)
	switch {
	case err != nil:
		return time.Time{}, nil, err
	case version != archivedVersion || len(body) < 8:
		return time.Time{}, nil, corrupt("archived message", cell.ErrCut)
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(body))).UTC(), body[8:], nil
}

func archived(record []byte) (*Message, error) {
	_, rest, err := archivedAt(record)
	if err != nil {
		return nil, err
	}
	m := &Message{}
	if m.Body, err = cell.Split(rest, m); err != nil {
		return nil, corrupt("archived message", err)
	}
	return m, nil
}

// numberFrom returns the number of the first message in the archive that was
// published at a time or later; one more than that of the last when none was.
// Times are in the order of numbers as long as the cell's clock does not go back.
func (w *work) numberFrom(t *Topic, b *book, at time.Time) (n uint64, err error) {
	first := b.first()
	i := sort.Search(int(b.Archived), func(i int) bool {
		if err != nil {
			return true
		}
		record, ok := w.tx.Get(archiveKey(t.Name, first+uint64(i)))
		if !ok {
			err = corrupt("archive of "+t.Name, errors.New("a message is missing"))
			return true
		}
		var when time.Time
		when, _, err = archivedAt(record)
		return err != nil || !when.Before(at)
	})
	return first + uint64(i), err
}

// keep begins, ends or changes the archive of a topic that was as was says, and
// returns its subscriptions as they are then.
func (w *work) keep(t *Topic, was *known) ([]*subscribed, error) {
	t.Since = was.topic.Since
	switch {
	case t.Keep == was.topic.Keep:
	case t.Keep == 0:
		return w.endArchive(t, was.subs)
	case was.topic.Keep == 0:
		t.Since = w.tx.Now().Truncate(time.Millisecond)
	default:
		w.tx.Schedule(w.tx.Now(), under(spaceArchive, t.Name))
	}
	return was.subs, nil
}

// endArchive drops an archive. What was being replayed out of it has failed.
func (w *work) endArchive(t *Topic, subs []*subscribed) ([]*subscribed, error) {
	b, err := w.book(t.Name)
	if err != nil {
		return nil, err
	}
	t.Since, b.Archived, b.ArchivedBytes = time.Time{}, 0, 0
	w.tx.DeleteRange(cell.Prefix(under(spaceArchive, t.Name)))
	w.tx.Cancel(under(spaceArchive, t.Name))
	subs = slices.Clone(subs)
	for i, s := range subs {
		if s.replay.runs() {
			in := *s
			in.replay = w.keepReplay(s.Topic, s.ID, s.replay.failed())
			subs[i] = &in
		}
	}
	return subs, nil
}

// prune takes out of an archive what is too old, some at once.
func (w *work) prune(name string) error {
	k, err := w.topic(name)
	if err != nil || k.topic.Keep == 0 {
		return nil // it is gone
	}
	b, err := w.book(name)
	if err != nil {
		return err
	}
	now, timer, all := w.tx.Now(), under(spaceArchive, name), cell.Prefix(under(spaceArchive, name)).Upper
	done, bytes := uint64(0), int64(0)
	for key, record := range w.tx.Scan(cell.Range{Lower: archiveKey(name, b.first()), Upper: all}) {
		at, _, err := archivedAt(record)
		if err != nil {
			return err
		}
		if until := at.Add(k.topic.Keep); until.After(now) {
			w.tx.Schedule(later(until, now.Add(pruneEvery)), timer)
			break
		}
		if done == pruneMax || bytes > pruneBytesMax {
			w.tx.Schedule(now.Add(pruneSoon), timer)
			break
		}
		done++
		bytes += int64(len(key) + len(record))
	}
	w.tx.DeleteRange(cell.Range{Lower: archiveKey(name, b.first()), Upper: archiveKey(name, b.first()+done)})
	b.Archived -= int64(done)
	b.ArchivedBytes -= bytes
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Archive returns from when on what was published to a topic can be replayed,
// and the time it is now; two zero times when it keeps no archive.
func (t *Topics) Archive(is *Topic) (begins, now time.Time) {
	if is.Keep == 0 {
		return time.Time{}, time.Time{}
	}
	now = t.clock.Now().UTC()
	return later(is.Since, now.Add(-is.Keep)), now
}
