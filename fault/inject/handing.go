package inject

import (
	"fmt"
	"time"

	"github.com/daruma-io/daruma/fault"
)

const (
	asideMax     = 5 * time.Second // a message is put aside for so long at a time: a platform that is killed leaves it there no longer
	overtakeWait = fault.Duration(time.Second)
)

// A Message is one that a receiver is about to be handed.
type Message struct {
	ID     string
	Number uint64 // those that were sent later have higher ones
	Count  int    // the how manyth time it is received
}

// A Turn is what becomes of a message.
type Turn struct {
	Later time.Duration // it is put aside, and is asked about again when it is received after that; 0: it is handed over
	Twice bool          // the next receiver is handed it, too
}

// A Receiving is a receiver at a queue.
type Receiving struct {
	Queue    string
	FIFO     bool
	Function string // which is handed the messages; "" for others
}

// OnQueues says whether some fault is on the messages of queues, so that Hand
// is worth asking.
func (s *Faults) OnQueues() bool {
	active := s.active.Load()
	return active != nil && len(active[fault.Messages]) > 0
}

// Hand says what becomes of messages that a receiver is about to be handed, by
// the app's clock, and which of those that were put aside are to be seen again
// behind them, by their numbers. Only what was never received before is met.
func (s *Faults) Hand(to Receiving, all []Message) (turns []Turn, over []uint64) {
	turns = make([]Turn, len(all))
	active := s.active.Load()
	if active == nil {
		return turns, nil
	}
	for _, f := range active[fault.Messages] {
		t := &f.fault.Target
		if !fault.Like(t.Queue, to.Queue) || !fault.Like(t.Function, to.Function) || to.FIFO && f.fault.Kind != fault.QueueDelay {
			continue
		}
		for i, m := range all {
			if m.Count > 1 || turns[i].Later > 0 {
				continue
			}
			switch f.fault.Kind {
			case fault.QueueDelay:
				turns[i].Later = s.delay(f, to, m)
			case fault.Reorder:
				later, free := s.reorder(f, to, m)
				turns[i].Later = later
				over = append(over, free...)
			case fault.Duplicate:
				if _, met := f.decide(m.ID); met {
					turns[i].Twice = true
					s.noteMessage(f, to, m, "is handed to two receivers")
				}
			}
		}
	}
	return turns, over
}

// delay says how much longer a message is not to be seen.
func (s *Faults) delay(f *Running, to Receiving, m Message) time.Duration {
	latency, met := f.decide(m.ID)
	if !met {
		return 0
	}
	until, first := f.choices.until(m.ID, s.cfg.Clock.Now().Add(latency))
	if first {
		s.noteMessage(f, to, m, fmt.Sprintf("is visible %s later", latency.Round(time.Microsecond)))
	}
	return min(max(until.Sub(s.cfg.Clock.Now()), 0), asideMax)
}

// reorder says how long a message waits to be overtaken, and which are behind
// it now, that were before it.
func (s *Faults) reorder(f *Running, to Receiving, m Message) (later time.Duration, over []uint64) {
	c := &f.choices
	c.mu.Lock()
	waits := c.waits[to.Queue]
	switch {
	case waits != nil && waits.ID == m.ID: // nobody came
		delete(c.waits, to.Queue)
		c.mu.Unlock()
		return 0, nil
	case waits != nil && waits.Number < m.Number:
		delete(c.waits, to.Queue)
		c.mu.Unlock()
		s.noteMessage(f, to, *waits, "is handed over behind one that was sent later")
		return 0, []uint64{waits.Number}
	}
	c.mu.Unlock()
	if waits != nil || f.choices.known(m.ID) { // it was before the one that waits, or has waited itself
		return 0, nil
	}
	if _, met := f.decide(m.ID); !met {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits == nil {
		c.waits = map[string]*Message{}
	}
	c.waits[to.Queue] = &m
	wait := f.fault.With.Latency
	if wait == 0 {
		wait = overtakeWait
	}
	return min(time.Duration(wait), asideMax), nil
}

// noteMessage marks a message, so that the runs that are handed it are.
func (s *Faults) noteMessage(r *Running, to Receiving, m Message, text string) {
	s.marks.addRecord(m.ID, r.mark())
	s.note(r, Who{Function: to.Function}, "the message "+m.ID+" "+text)
}
