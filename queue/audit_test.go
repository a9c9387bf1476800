package queue

import (
	"context"
	"fmt"

	"github.com/daruma-io/daruma/cell"
)

// Audit says what does not fit together in what is stored of the queues.
func (q *Queues) Audit(ctx context.Context) error {
	return q.view(ctx, "audit", "", func(r *cell.Reader) error {
		for _, is := range queues().All(r, cell.Prefix([]byte{spaceQueue})) {
			if err := audit(r, is); err != nil {
				return fmt.Errorf("%s: %w", is.Name, err)
			}
		}
		return nil
	})
}

func count(r *cell.Reader, space byte, id uint32) (n int64) {
	for range r.Scan(cell.Prefix(of(space, id, 0))) {
		n++
	}
	return n
}

func audit(r *cell.Reader, is *Queue) error {
	b, err := readBook(r, is.ID)
	if err != nil {
		return err
	}
	var delayed, inFlight, visible, plain, placed, bytes int64
	groups := map[string]int64{}
	hidden := map[string]int64{}
	for key, raw := range r.Scan(cell.Prefix(of(spaceMessage, is.ID, 0))) {
		n := int64(last(key))
		rec, err := decodeRecord(raw)
		if err != nil {
			return err
		}
		bytes += int64(rec.size)
		if n < b.oldest {
			return fmt.Errorf("message %d is older than the oldest, %d", n, b.oldest)
		}
		raw, ok := r.Get(at(spaceState, is.ID, uint64(n)))
		if rec.sent+int64(is.keep()) < b.expires && !ok { // what was received may have been in flight when it was looked at
			return fmt.Errorf("message %d expires before %d", n, b.expires)
		}
		s := rec.state()
		if ok {
			if s, err = decodeState(raw); err != nil {
				return err
			}
		}
		switch {
		case s.is(flagInFlight):
			inFlight++
		case s.is(flagDelayed):
			delayed++
		default:
			visible++
		}
		if _, is := r.Get(timed(spaceDue, is.ID, s.due, uint64(n))); is != (s.due != 0) || (s.due != 0) != (s.is(flagInFlight) || s.is(flagDelayed)) {
			return fmt.Errorf("message %d with %+v: hidden %v", n, s, is)
		}
		if s.due != 0 && s.due < b.due {
			return fmt.Errorf("message %d is due before %d", n, b.due)
		}
		_, stands := r.Get(placeKey(is.ID, rec.group, uint64(n)))
		inPlain := !ok && b.head <= n && n < b.end && b.plain > 0 && !is.FIFO && rec.group == ""
		if inPlain {
			plain++
		}
		want := !inPlain && (is.FIFO || s.due == 0)
		if stands != want {
			return fmt.Errorf("message %d with %+v: stands in line %v, want %v", n, s, stands, want)
		}
		if stands {
			placed++
			groups[rec.group]++
			if s.is(flagInFlight) {
				hidden[rec.group]++
			}
		}
	}
	ring := int64(0)
	for g, n := range groups {
		raw, ok := r.Get(lineKey(is.ID, g))
		if !ok {
			return fmt.Errorf("the group %q with %d messages has no line", g, n)
		}
		l, err := decodeLine(raw)
		if err != nil {
			return err
		}
		if l.count != n || is.FIFO && l.hidden != hidden[g] {
			return fmt.Errorf("the line of %q is %+v: it has %d messages, %d hidden", g, l, n, hidden[g])
		}
		for key := range r.Scan(cell.Prefix(places(is.ID, g))) {
			if int64(last(key)) < l.head {
				return fmt.Errorf("the line of %q begins at %d, and has %d", g, l.head, last(key))
			}
			break
		}
		switch {
		case l.turn != 0:
			ring++
			if raw, ok := r.Get(at(spaceRing, is.ID, uint64(l.turn))); !ok || string(raw) != g || l.turn < b.turn {
				return fmt.Errorf("the turn %d of %q is that of %q; the ring begins at %d", l.turn, g, raw, b.turn)
			}
		case !is.FIFO:
			return fmt.Errorf("the line of %q is not in the ring", g)
		case l.hidden == 0: // then its first message is delayed
			for key := range r.Scan(cell.Prefix(places(is.ID, g))) {
				raw, ok := r.Get(at(spaceState, is.ID, last(key)))
				if s, err := decodeState(raw); !ok || err != nil || !s.is(flagDelayed) {
					return fmt.Errorf("the group %q is not in the ring, and its first message is %+v", g, s)
				}
				break
			}
		}
	}
	if count(r, spaceRing, is.ID) != ring || b.ring != ring || count(r, spaceLine, is.ID) != int64(len(groups)) || count(r, spaceGroup, is.ID) != placed {
		return fmt.Errorf("the ring has %d, %d and %d lines; %d and %d groups", ring, b.ring, count(r, spaceRing, is.ID), count(r, spaceLine, is.ID), len(groups))
	}
	if count(r, spaceDue, is.ID) != delayed+inFlight {
		return fmt.Errorf("%d messages are hidden, and %d are delayed or in flight", count(r, spaceDue, is.ID), delayed+inFlight)
	}
	if b.Visible != visible || b.Delayed != delayed || b.InFlight != inFlight || b.plain != plain || b.Bytes != bytes || !b.Closes() {
		return fmt.Errorf("the book is %+v: it has %d visible, %d delayed, %d in flight, %d in the plain line, %d bytes", b, visible, delayed, inFlight, plain, bytes)
	}
	if b.next() < b.timer {
		return fmt.Errorf("the timer is set for %d, and something is due at %d", b.timer, b.next())
	}
	return nil
}
