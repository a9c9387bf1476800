// Package notify tells owners what the ledger says they should know: groups of
// failures that are new, growing or back, and every repair. It takes notices
// out of the ledger, makes few messages of many, and sends them through the
// channels that are declared: a webhook, a Slack-compatible webhook, mail, a
// command, the terminal.
//
//	ledger.Notice ──► lane (one owner, one channel) ──► message ──► sent ──► Told
//	                        ▲    waits: grouped, paced      │
//	                        └──── backs off, jittered ◄─────┘ failed: given up in the end, and counted
//
// It promises that a notice is told at least once through each channel, with
// the same ID if it is told again, or that it is given up and counted; that a
// lane sends few messages however many notices there are; and that no secret
// of a channel is in an error, a log or a status. It promises no order between
// lanes, and holds nothing durable: the ledger does.
//
// The methods of Notifier may be called from any goroutine; Run once.
package notify

import (
	"cmp"
	"context"
	"crypto/x509"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/outside"
)

// An Outbox is where notices wait: a *ledger.Ledger.
type Outbox interface {
	Notices(ctx context.Context, n int) ([]*ledger.Notice, ledger.Tally, error)
	Told(ctx context.Context, t ledger.Telling) error
	Changed(ctx context.Context, after uint64) (uint64, error)
}

// A Record is what notices tell of: a *ledger.Ledger, too.
type Record interface {
	Failure(ctx context.Context, id ledger.ID) (*ledger.Failure, []byte, error)
	Group(ctx context.Context, id ledger.GroupID) (*ledger.Group, error)
	Repair(ctx context.Context, id ledger.RepairID) (*ledger.Repair, error)
}

// A Subject is what is declared of a function, or of the app when there is none.
type Subject struct {
	Channels  []string
	Sensitive bool // its events may hold what must not be sent
}

// Config is what a Notifier needs. Outbox, Record and Subject are required.
type Config struct {
	App     string
	Outbox  Outbox
	Record  Record
	Subject func(function string) Subject
	Roots   *x509.CertPool              // vouch for mail servers; the machine's own when nil
	Dir     string                      // the app's: of commands and of files with secrets
	Lookup  func(string) (string, bool) // the environment's variables
	Print   func(text string)           // the terminal; nobody when nil
	Clock   daruma.Clock                // daruma.SystemClock when nil
	Log     *slog.Logger                // discarded when nil

	Collect time.Duration // how long a first notice waits for others; 2 s when 0
	Pace    time.Duration // between messages of a lane, once Burst are sent; 1 min when 0
	Burst   int           // messages of a lane that need not keep the pace; 5 when 0
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = daruma.SystemClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Lookup == nil {
		c.Lookup = func(string) (string, bool) { return "", false }
	}
	if c.Print == nil {
		c.Print = func(string) {}
	}
	c.Collect, c.Pace, c.Burst = cmp.Or(c.Collect, 2*time.Second), cmp.Or(c.Pace, time.Minute), cmp.Or(c.Burst, 5)
	return c
}

// Limits of telling.
const (
	AttemptsMax = 8              // of one notice through one channel
	AgeMax      = 24 * time.Hour // then a notice that fails is given up, however few the attempts
	sendsMax    = 8              // at once
	backoffMin  = time.Second
	backoffMax  = 10 * time.Minute
	afterMax    = time.Hour       // of what a receiver asks to wait for
	graceMax    = 2 * time.Second // for what is being sent when Run is to end
	errorPause  = time.Second     // after the ledger could not be read
)

// A Notifier tells owners.
type Notifier struct {
	cfg   Config
	wake  daruma.Bell // something may be due
	ended chan *sending

	mu       sync.Mutex // guards the rest
	channels map[string]*channel
	lanes    map[laneKey]*lane
	given    []Channel
}

// A laneKey is whom a lane tells, and how.
type laneKey struct{ channel, owner string }

// A lane is one owner told through one channel: one message after the other.
type lane struct {
	key     laneKey
	busy    bool
	next    time.Time // not before
	tokens  float64   // messages that need not keep the pace
	filled  time.Time // when tokens were counted
	tries   int       // failed ones, since the last that was not
	through ledger.NoticeID
	untold  *ledger.Telling // sent or given up, and the ledger does not know yet
	waiting int
}

// A sending is one message on its way.
type sending struct {
	lane    *lane
	notices []*ledger.Notice
	err     error
}

// New returns a notifier without channels but the terminal. It starts nothing.
func New(cfg Config) *Notifier {
	n := &Notifier{cfg: cfg.withDefaults(), wake: daruma.NewBell(), ended: make(chan *sending), lanes: map[laneKey]*lane{}}
	n.Use(outside.New(outside.Config{}), nil)
	return n
}

// Use makes these the channels, beside the terminal, and guard what they
// connect through. One whose name stays keeps its counts.
func (n *Notifier) Use(guard *outside.Guard, all []Channel) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.channels
	n.channels, n.given = map[string]*channel{}, append([]Channel{{Name: Terminal}}, all...)
	for _, c := range n.given {
		made := n.make(c, guard)
		if old := before[c.Name]; old != nil {
			made.counts = old.counts // shared: what is on its way counts too
		}
		n.channels[c.Name] = made
	}
	n.wake.Ring()
}

// Run tells until ctx ends; what is being sent then has a moment to end.
func (n *Notifier) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	sends, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	all.Go(func() { n.follow(ctx) })
	flying := 0
	for ctx.Err() == nil {
		due, next, err := n.look(ctx, sendsMax-flying)
		if err != nil && ctx.Err() == nil {
			n.cfg.Log.Warn("notices cannot be read", "error", err)
			next = n.cfg.Clock.Now().Add(errorPause)
		}
		for _, s := range due {
			flying++
			all.Go(func() {
				s.err = n.send(sends, s)
				n.ended <- s
			})
		}
		stop := n.alarm(next)
		select {
		case <-n.wake:
		case s := <-n.ended:
			flying--
			n.settle(ctx, s)
		case <-ctx.Done():
		}
		stop()
	}
	timer := time.AfterFunc(graceMax, cut)
	defer timer.Stop()
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 2*graceMax)
	defer done()
	for ; flying > 0; flying-- {
		if s := <-n.ended; s.err == nil {
			n.settle(last, s) // what failed is told after the next start
		}
	}
	return nil
}

// follow wakes the loop whenever the ledger has changed.
func (n *Notifier) follow(ctx context.Context) {
	for at := uint64(0); ctx.Err() == nil; {
		next, err := n.cfg.Outbox.Changed(ctx, at)
		if err != nil {
			if n.cfg.Clock.Sleep(ctx, errorPause) != nil {
				return
			}
			continue
		}
		at = next
		n.wake.Ring()
		// Many changes are seen as one: a storm of failures costs one look now and then.
		if n.cfg.Clock.Sleep(ctx, n.cfg.Collect/4) != nil {
			return
		}
	}
}

func (n *Notifier) alarm(at time.Time) (stop func() bool) {
	if at.IsZero() {
		return func() bool { return true }
	}
	return n.cfg.Clock.AfterFunc(max(at.Sub(n.cfg.Clock.Now()), 0), n.wake.Ring)
}

// look reads what waits and returns what is to be sent now, at most room, and
// when to look again, the zero time when nothing is to be waited for.
func (n *Notifier) look(ctx context.Context, room int) (due []*sending, next time.Time, err error) {
	list, _, err := n.cfg.Outbox.Notices(ctx, ledger.NoticesMax)
	if err != nil {
		return nil, time.Time{}, err
	}
	n.mu.Lock()
	waiting, finished := n.sort(list)
	n.mu.Unlock()
	if len(finished) > 0 {
		if err := n.cfg.Outbox.Told(ctx, ledger.Telling{Finished: finished}); err != nil {
			return nil, time.Time{}, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.cfg.Clock.Now()
	for key, l := range n.lanes {
		l.waiting = len(waiting[key])
		if l.waiting == 0 && !l.busy && l.untold == nil && l.fill(now, n.cfg) >= float64(n.cfg.Burst) {
			delete(n.lanes, key)
		}
	}
	for key, notices := range waiting {
		l := n.lanes[key]
		if l == nil {
			l = &lane{key: key, next: now.Add(n.cfg.Collect), tokens: float64(n.cfg.Burst), filled: now, waiting: len(notices)}
			n.lanes[key] = l
		}
		switch {
		case l.busy || l.untold != nil:
		case l.next.After(now):
			next = sooner(next, l.next)
		case room > len(due):
			l.busy = true
			due = append(due, &sending{lane: l, notices: notices})
		}
	}
	for _, l := range n.lanes {
		switch {
		case l.untold == nil || l.busy:
		case l.next.After(now):
			next = sooner(next, l.next)
		case room > len(due):
			l.busy = true
			due = append(due, &sending{lane: l})
		}
	}
	return due, next, nil
}

// sort says which notices wait for which lane, and which for none.
func (n *Notifier) sort(list []*ledger.Notice) (waiting map[laneKey][]*ledger.Notice, finished []ledger.NoticeID) {
	waiting = map[laneKey][]*ledger.Notice{}
	subjects := map[string]Subject{}
	for _, one := range list {
		s, known := subjects[one.Function]
		if !known {
			s = n.cfg.Subject(one.Function)
			subjects[one.Function] = s
		}
		left := 0
		for _, name := range s.Channels {
			if n.channels[name] == nil || slices.Contains(one.Done, name) {
				continue
			}
			left++
			key := laneKey{name, one.Owner}
			waiting[key] = append(waiting[key], one)
		}
		if left == 0 {
			finished = append(finished, one.Number)
		}
	}
	return waiting, finished
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// fill counts the messages that a lane may send now without keeping the pace.
func (l *lane) fill(now time.Time, cfg Config) float64 {
	l.tokens = min(float64(cfg.Burst), l.tokens+now.Sub(l.filled).Seconds()/cfg.Pace.Seconds())
	l.filled = now
	return l.tokens
}
