// Package post posts messages to URLs: it takes what is due from topics, posts
// it, and says what came of it.
//
// It owns nothing durable and may be killed at any line: what was posted and
// not settled is posted again. It promises that one endpoint that is slow or
// down takes a bounded part of what is under way, so that the others go on;
// that a subscription's rate is kept; and that [Poster.Run] returns only when
// nothing is under way any more.
//
// Which answers count as what is in one place, [verdict]; see
// docs/semantics/topics.md.
package post

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/outside"
	"github.com/daruma-io/daruma/topic"
)

// Limits of what is under way.
const (
	PostsMax     = 64 // at once
	EachMax      = 8  // of these, of one subscription
	TimeMax      = 15 * time.Second
	answerMax    = 64 << 10        // bytes of an answer that are read so that the connection can be used again
	troubleAfter = 5 * time.Second // before the source is asked again that failed
)

// A Source is where posts are.
type Source interface {
	Due(ctx context.Context, n int, skip topic.Skip) (due []topic.Posting, next time.Time, err error)
	Settle(ctx context.Context, r topic.Report) error
	// Changed waits for a change behind the position after, and returns the
	// position of the last one.
	Changed(ctx context.Context, after uint64) (uint64, error)
}

// Config says what a Poster needs. Source and Client must be given.
type Config struct {
	Source Source
	Client *http.Client // whose connections somebody guards; its redirects are not followed
	Clock  daruma.Clock // the system's when nil
	Logger *slog.Logger // nowhere when nil

	Spanned func(daruma.Span) // is told of each try; may be nil
}

// A Poster posts. Run may be called once.
type Poster struct {
	cfg Config

	mu   sync.Mutex // guards what follows
	busy map[string]map[uint64]bool
	from map[string]time.Time // when a subscription with a rate may be posted to again
	all  int

	news daruma.Bell // holds a token when something has changed or a post has ended
}

// New returns a Poster. It starts nothing.
func New(cfg Config) *Poster {
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	client := *cfg.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.Client = &client
	return &Poster{cfg: cfg, busy: map[string]map[uint64]bool{}, from: map[string]time.Time{}, news: daruma.NewBell()}
}

// Run posts until ctx ends. It returns nil when nothing is under way any more.
func (p *Poster) Run(ctx context.Context) error {
	var posts sync.WaitGroup
	defer posts.Wait()
	posts.Go(func() { p.listen(ctx) })
	for ctx.Err() == nil {
		wait := p.round(ctx, &posts)
		ring := make(chan struct{})
		stop := func() bool { return true }
		if wait >= 0 {
			stop = p.cfg.Clock.AfterFunc(wait, func() { close(ring) })
		}
		select {
		case <-ctx.Done():
		case <-p.news:
		case <-ring:
		}
		stop()
	}
	return nil
}

// round starts what is due, and says how long to wait for more; negative: until something happens.
func (p *Poster) round(ctx context.Context, posts *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	room := PostsMax - p.all
	p.mu.Unlock()
	if room <= 0 {
		return -1
	}
	due, next, err := p.cfg.Source.Due(ctx, room, p.skip)
	if err != nil {
		if ctx.Err() == nil {
			p.cfg.Logger.Error("posts cannot be found", "error", err)
		}
		return troubleAfter
	}
	now := p.cfg.Clock.Now()
	wait := time.Duration(-1)
	sooner := func(d time.Duration) {
		if wait < 0 || d < wait {
			wait = max(0, d)
		}
	}
	if !next.IsZero() {
		sooner(next.Sub(now))
	}
	for _, is := range due {
		if at := p.take(is, now); at.After(now) {
			sooner(at.Sub(now))
			continue
		}
		posts.Go(func() { p.post(ctx, is) })
	}
	return wait
}

// skip says what of a subscription is under way, and how much more may be.
func (p *Poster) skip(subscription string) (busy func(uint64) bool, more int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	under := p.busy[subscription]
	numbers := make(map[uint64]bool, len(under))
	for n := range under {
		numbers[n] = true
	}
	return func(n uint64) bool { return numbers[n] }, EachMax - len(under)
}

// take notes that a post is under way, or says when it may be: its
// subscription's rate may not allow it now.
func (p *Poster) take(is topic.Posting, now time.Time) (from time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if is.PerSecond > 0 {
		if from = p.from[is.Subscription]; from.After(now) {
			return from
		}
		p.from[is.Subscription] = now.Add(time.Second / time.Duration(is.PerSecond))
	}
	if p.busy[is.Subscription] == nil {
		p.busy[is.Subscription] = map[uint64]bool{}
	}
	p.busy[is.Subscription][is.Number] = true
	p.all++
	return now
}

func (p *Poster) give(is topic.Posting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy[is.Subscription], is.Number)
	if len(p.busy[is.Subscription]) == 0 {
		delete(p.busy, is.Subscription)
	}
	for id, at := range p.from {
		if p.busy[id] == nil && p.cfg.Clock.Now().Sub(at) > time.Second {
			delete(p.from, id)
		}
	}
	p.all--
	p.news.Ring()
}

// listen rings at every change of the source until ctx ends.
func (p *Poster) listen(ctx context.Context) {
	at := uint64(0)
	for ctx.Err() == nil {
		next, err := p.cfg.Source.Changed(ctx, at)
		if err != nil {
			if ctx.Err() == nil && p.cfg.Clock.Sleep(ctx, troubleAfter) == nil {
				p.cfg.Logger.Error("changes of posts are not told", "error", err)
			}
			continue
		}
		at = next
		p.news.Ring()
	}
}

// post posts once, and says what came of it until that is kept: meanwhile it is not
// posted again. What ctx ends says nothing: it is posted again.
func (p *Poster) post(ctx context.Context, is topic.Posting) {
	defer p.give(is)
	r := topic.Report{Topic: is.Topic, Subscription: is.Subscription, Number: is.Number, Posts: is.Posts, Started: p.cfg.Clock.Now()}
	began := daruma.SystemClock{}.Now() // what the exchange took is real, whatever the app's time does
	status, err := p.exchange(ctx, is.Request)
	r.Verdict, r.Outcome = verdict(status, err)
	r.Duration = p.cfg.Clock.Now().Sub(r.Started)
	if ctx.Err() != nil {
		return
	}
	p.tell(is, r, status, daruma.SystemClock{}.Now().Sub(began))
	for {
		err := p.cfg.Source.Settle(ctx, r)
		if err == nil || ctx.Err() != nil {
			return
		}
		p.cfg.Logger.Error("what came of a post cannot be kept yet", "url", is.URL, "outcome", r.Outcome, "error", err)
		if p.cfg.Clock.Sleep(ctx, troubleAfter) != nil {
			return
		}
	}
}

// tell tells of a try, by its message's trace.
func (p *Poster) tell(is topic.Posting, r topic.Report, status int, took time.Duration) {
	t, ok := daruma.ParseTrace(is.Trace)
	if !ok || p.cfg.Spanned == nil {
		return
	}
	s := daruma.Span{ID: daruma.NewSpanID(), Trace: t.Root, Parent: t.Parent, Kind: daruma.SpanPost, Name: "POST " + placeOf(is.URL), At: r.Started, Duration: took,
		Attempt: is.Posts + 1, Status: status, Outcome: daruma.Done, Links: []daruma.Link{{Message: is.Message}}}
	switch {
	case r.Verdict == topic.Never:
		s.Outcome = daruma.Refused
	case r.Verdict != topic.Delivered:
		s.Outcome = daruma.FunctionError
	}
	if status == 0 {
		s.ErrorType = r.Outcome
	}
	p.cfg.Spanned(s)
}

// placeOf is a URL without what may be secret in it.
func placeOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// exchange posts, and returns what was answered.
func (p *Poster) exchange(ctx context.Context, is topic.Request) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, TimeMax)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, is.URL, bytes.NewReader(is.Body))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errURL, err)
	}
	for k, v := range is.Header {
		q.Header.Set(k, v)
	}
	a, err := p.cfg.Client.Do(q)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(a.Body, answerMax)) // what it says does not matter
	a.Body.Close()
	return a.StatusCode, nil
}

var errURL = errors.New("nothing can be posted to it")

// verdict is what an answer, or its failing to come, means: what the receiver
// does wrong may pass, what it says is wrong with the message does not.
func verdict(status int, err error) (topic.Verdict, string) {
	if err != nil {
		if _, refused := errors.AsType[*outside.Refused](err); refused || errors.Is(err, errURL) {
			return topic.Never, err.Error()
		}
		return topic.Again, err.Error()
	}
	said := fmt.Sprintf("HTTP %d", status)
	switch {
	case status >= 200 && status < 300:
		return topic.Delivered, said
	case status == http.StatusTooManyRequests || status >= 500:
		return topic.Again, said
	}
	return topic.Never, said
}
