package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/outside"
)

// send makes a message of what waits for a lane and sends it. A sending
// without notices only tells the ledger what it could not be told before.
func (n *Notifier) send(ctx context.Context, s *sending) error {
	if len(s.notices) == 0 {
		return nil
	}
	n.mu.Lock()
	c := n.channels[s.lane.key.channel]
	n.mu.Unlock()
	if c == nil {
		return errors.New("there is no such channel any more")
	}
	m, err := n.compose(ctx, s.lane.key, s.notices)
	if err != nil {
		return err
	}
	_, err = c.send(ctx, m)
	return err
}

// settle notes what came of a sending: in the ledger when it was the last of
// its notices, otherwise in the lane, which waits and tries again.
func (n *Notifier) settle(ctx context.Context, s *sending) {
	n.mu.Lock()
	l, now := s.lane, n.cfg.Clock.Now()
	telling := l.untold
	if len(s.notices) > 0 {
		telling = n.outcome(s, now)
	}
	n.mu.Unlock()
	var err error
	if telling != nil {
		if err = n.cfg.Outbox.Told(ctx, *telling); err != nil {
			n.cfg.Log.Warn("what was told cannot be noted", "channel", telling.Channel, "error", err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l.busy, l.untold = false, nil
	if err != nil {
		l.untold = telling // it was sent: it must not be sent again while this process knows
		l.next = now.Add(errorPause)
	}
}

// outcome moves a lane on and returns what the ledger is to be told, nil for nothing yet. n.mu is held.
func (n *Notifier) outcome(s *sending, now time.Time) *ledger.Telling {
	l, c := s.lane, n.channels[s.lane.key.channel]
	last := s.notices[len(s.notices)-1].Number
	t := &ledger.Telling{Channel: l.key.channel}
	if s.err == nil {
		for _, one := range s.notices {
			t.Notices = append(t.Notices, one.Number)
		}
		l.tries, l.through = 0, 0
		l.tokens = l.fill(now, n.cfg) - 1
		l.next = now.Add(n.cfg.Collect)
		if l.tokens < 1 {
			l.next = now.Add(max(n.cfg.Collect, time.Duration((1-l.tokens)*float64(n.cfg.Pace))))
		}
		c.noted(func(s *counts) { s.messages++; s.told += int64(len(t.Notices)); s.failure = ""; s.at = now })
		return t
	}
	if l.tries++; l.tries == 1 {
		l.through = last
	}
	_, refused := errors.AsType[*outside.Refused](s.err)
	enough := refused || l.tries >= AttemptsMax
	for _, one := range s.notices {
		if enough && one.Number <= l.through || now.Sub(one.At) >= AgeMax {
			t.Notices = append(t.Notices, one.Number)
		}
	}
	text := s.err.Error()
	c.noted(func(s *counts) { s.failures++; s.givenUp += int64(len(t.Notices)); s.failure = text; s.at = now })
	l.next = now.Add(after(l.tries, s.err))
	if len(t.Notices) == 0 {
		n.cfg.Log.Info("an owner was not told; it is tried again", "channel", l.key.channel, "owner", l.key.owner, "attempt", l.tries, "error", text, "again", l.next)
		return nil
	}
	n.cfg.Log.Warn("an owner was not told, and this is given up", "channel", l.key.channel, "owner", l.key.owner, "notices", len(t.Notices), "error", text)
	if enough {
		l.tries = 0
	}
	t.GivenUp = true
	return t
}

// after is how long a lane waits after its failed attempts: anything up to a
// bound that doubles, and not less than the receiver asks for.
func after(tries int, err error) time.Duration {
	bound := min(backoffMax, backoffMin<<min(tries, 20))
	wait := rand.N(bound) + time.Millisecond
	if busy, ok := errors.AsType[*busy](err); ok {
		wait = max(wait, min(busy.after, afterMax))
	}
	return wait
}
