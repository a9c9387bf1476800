package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/outside"
)

// Terminal is the channel that is always there.
const Terminal = "terminal"

// Kinds of channel.
const (
	KindTerminal = "terminal"
	KindWebhook  = "webhook"
	KindSlack    = "slack"
	KindEmail    = "email"
	KindCommand  = "command"
)

// A Channel is one way to tell people. Its Kind says which fields count;
// Secrets are where a value is, see Secret.
type Channel struct {
	Name string
	Kind string // KindTerminal when ""

	URL    Secret // webhook, slack
	Secret Secret // webhook: what messages are signed with; "" for none

	Server         string // email: host:port
	TLS            string // "starttls", "tls" or "none"
	From           string
	To             []string
	User, Password Secret // "" for no authentication

	Run     []string      // command: the program and its arguments
	Timeout time.Duration // command: 10 s when 0
}

// A Status is how a channel is doing since the process started.
type Status struct {
	Name     string
	Kind     string
	Messages int64 // sent
	Told     int64 // notices in them
	Failures int64 // attempts
	GivenUp  int64 // notices
	Waiting  int   // notices
	Failure  string
	At       time.Time // of the last attempt
	Next     time.Time // of the next one; zero when nothing waits
}

// A sender sends one message, and returns what the other side said.
type sender interface {
	send(ctx context.Context, m Message) (answer string, err error)
}

// A busy error says that the other side wants to be asked later.
type busy struct {
	after time.Duration
	err   error
}

func (b *busy) Error() string { return b.err.Error() }
func (b *busy) Unwrap() error { return b.err }

// channel is a Channel in use.
type channel struct {
	Channel
	via  sender
	vars variables

	*counts
}

// counts outlive a change of the channels.
type counts struct {
	mu sync.Mutex // guards the rest

	messages, told, failures, givenUp int64
	failure                           string
	at                                time.Time
}

func (c *channel) noted(change func(*counts)) {
	if c == nil {
		return // it was taken away meanwhile
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c.counts)
}

// make makes a channel ready to be used.
func (n *Notifier) make(c Channel, guard *outside.Guard) *channel {
	vars := variables{n.cfg.Lookup, n.cfg.Dir}
	out := &channel{Channel: c, vars: vars, counts: &counts{}}
	switch c.Kind {
	case KindWebhook:
		out.via = &webhook{c, vars, guard}
	case KindSlack:
		out.via = &slack{c, vars, guard}
	case KindEmail:
		out.via = &email{c, vars, guard, n.cfg.Roots}
	case KindCommand:
		out.via = &command{c, vars}
	default:
		out.Kind, out.via = KindTerminal, terminal{n.cfg.Print}
	}
	return out
}

// send sends a message. No secret of the channel is in what it returns.
func (c *channel) send(ctx context.Context, m Message) (answer string, err error) {
	answer, err = c.via.send(ctx, m)
	hide := c.vars.hide(c.URL, c.Secret, c.User, c.Password)
	if err != nil {
		err = hide.error(err)
	}
	return hide.text(oneLine(answer, textBytesMax)), err
}

// Status returns how each channel is doing, in the order they were declared.
func (n *Notifier) Status() []Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []Status
	for _, given := range n.given {
		c := n.channels[given.Name]
		c.mu.Lock()
		s := Status{Name: c.Name, Kind: c.Kind, Messages: c.messages, Told: c.told, Failures: c.failures, GivenUp: c.givenUp, Failure: c.failure, At: c.at}
		c.mu.Unlock()
		for key, l := range n.lanes {
			if key.channel != c.Name {
				continue
			}
			if s.Waiting += l.waiting; l.waiting > 0 && !l.busy {
				s.Next = sooner(s.Next, l.next)
			}
		}
		all = append(all, s)
	}
	return all
}

// Missing says which channels cannot work as they are, and why: a secret that is not there.
func (n *Notifier) Missing() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []error
	for _, given := range n.given {
		c := n.channels[given.Name]
		for _, s := range []Secret{c.URL, c.Secret, c.User, c.Password} {
			if _, err := c.vars.resolve(s); err != nil {
				all = append(all, fmt.Errorf("the channel %s: %w", c.Name, err))
			}
		}
	}
	return all
}

// An Answer is what came of trying one channel.
type Answer struct {
	Channel string
	Kind    string
	Said    string // by the other side
	Err     error  // nil when it worked
	Took    time.Duration
}

// Test sends a sample through the named channels, or through all, at once and
// past the pace. It waits for every answer.
func (n *Notifier) Test(ctx context.Context, names []string) ([]Answer, error) {
	n.mu.Lock()
	var all []*channel
	if len(names) == 0 {
		for _, c := range n.given {
			names = append(names, c.Name)
		}
	}
	for _, name := range names {
		c := n.channels[name]
		if c == nil {
			n.mu.Unlock()
			return nil, &daruma.Error{Op: "try channel", Ref: name, Kind: daruma.KindNotFound, Err: errors.New("there is no such channel"), Hint: "declare it under Channels"}
		}
		all = append(all, c)
	}
	n.mu.Unlock()
	answers := make([]Answer, len(all))
	var wait sync.WaitGroup
	for i, c := range all {
		wait.Go(func() {
			began := time.Now()
			said, err := c.send(ctx, n.sample(c.Name))
			answers[i] = Answer{Channel: c.Name, Kind: c.Kind, Said: said, Err: err, Took: time.Since(began)}
		})
	}
	wait.Wait()
	return answers, nil
}
