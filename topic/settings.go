package topic

import (
	"net/url"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/pattern"
)

// A Topic is one topic as it is configured.
type Topic struct {
	Name         string            `json:"name"`
	FIFO         bool              `json:"fifo,omitempty"`         // never changes
	OnceByBody   bool              `json:"onceByBody,omitempty"`   // FIFO: a message without Once is known by the hash of its body
	OncePerGroup bool              `json:"oncePerGroup,omitempty"` // FIFO: what is known is known in a group
	Signature    int               `json:"signature,omitempty"`    // the version of signatures: 1 or 2; 0 stands for 1
	Retry        *Retry            `json:"retry,omitempty"`        // of posts, unless the subscription says otherwise
	OnlyRetry    bool              `json:"onlyRetry,omitempty"`    // what subscriptions say does not count
	Keep         time.Duration     `json:"keepNs,omitempty"`       // FIFO: how long what was published stays in the archive; 0: there is none
	KeepDeclared bool              `json:"keepDeclared,omitempty"` // a template says so, and what it says no more is so no more
	Since        time.Time         `json:"since,omitzero"`         // when the archive began
	Labels       map[string]string `json:"labels,omitempty"`       // what a door keeps with it
	Tags         map[string]string `json:"tags,omitempty"`
	Created      time.Time         `json:"created"`
	Revision     uint64            `json:"revision"`            // one more with each change
	LogicalID    string            `json:"logicalId,omitempty"` // of the template that declares it; "" when it was made by hand
}

// A Subscription is one subscription as it is configured.
type Subscription struct {
	ID         string               `json:"id"`
	Topic      string               `json:"topic"`
	Protocol   string               `json:"protocol"` // the label the door gives it
	Endpoint   delivery.Destination `json:"endpoint"` // its ARN is as it was given: an ARN or a URL
	Raw        bool                 `json:"raw,omitempty"`
	Filter     string               `json:"filter,omitempty"`
	Scope      pattern.Scope        `json:"scope,omitempty"`      // pattern.Attributes when ""
	DeadLetter string               `json:"deadLetter,omitempty"` // the name of a queue
	Retry      *Retry               `json:"retry,omitempty"`      // of posts
	Token      string               `json:"token,omitempty"`      // of one that waits to be confirmed, and of posts later on
	Pending    bool                 `json:"pending,omitempty"`
	Replay     *Replay              `json:"replay,omitempty"`
	Declared   *Replay              `json:"declared,omitempty"` // the replay a template asked for last
	Guarded    bool                 `json:"guarded,omitempty"`  // only who has signed may end it
	Owner      string               `json:"owner,omitempty"`    // who subscribed
	Labels     map[string]string    `json:"labels,omitempty"`
	Created    time.Time            `json:"created"`
	Revision   uint64               `json:"revision"`
	LogicalID  string               `json:"logicalId,omitempty"`
}

// How they are written. Version 1 is the first.
func topics() cell.Format[Topic] { return cell.Format[Topic]{Kind: "topic", Version: 1} }
func subscriptions() cell.Format[Subscription] {
	return cell.Format[Subscription]{Kind: "subscription", Version: 1}
}

// A Retry says how posts are tried again: some at once, some after Least, then
// with growing pauses from Least to Most, then some after Most.
type Retry struct {
	Retries   int           `json:"retries"`             // all together
	AtOnce    int           `json:"atOnce,omitempty"`    // of these
	AtLeast   int           `json:"atLeast,omitempty"`   // of these, after Least
	AtMost    int           `json:"atMost,omitempty"`    // of these, after Most; the last ones
	Least     time.Duration `json:"leastNs"`             //
	Most      time.Duration `json:"mostNs"`              //
	Growth    string        `json:"growth,omitempty"`    // Linear when ""
	PerSecond int           `json:"perSecond,omitempty"` // posts in a second; 0: as many as there are
	Content   string        `json:"content,omitempty"`   // the Content-Type of what is posted; "" is the composer's
}

// How pauses grow.
const (
	Linear      = "linear"
	Arithmetic  = "arithmetic"
	Geometric   = "geometric"
	Exponential = "exponential"
)

// Limits of a Retry.
const (
	RetriesMax = 100
	PauseMax   = time.Hour // of all pauses together
)

// RetryDefault is how posts are tried again when nobody says otherwise.
func RetryDefault() Retry {
	return Retry{Retries: 3, Least: 20 * time.Second, Most: 20 * time.Second, Growth: Linear}
}

// Validate says what is wrong with r.
func (r *Retry) Validate() error {
	switch {
	case r.Retries < 0 || r.Retries > RetriesMax:
		return daruma.InvalidAt("numRetries", "%d retries: from 0 to %d", r.Retries, RetriesMax)
	case min(r.AtOnce, r.AtLeast, r.AtMost) < 0 || r.AtOnce+r.AtLeast+r.AtMost > r.Retries:
		return daruma.InvalidAt("numRetries", "%d retries at once, %d after the least pause and %d after the longest: together they are at most the %d there are, and none is negative", r.AtOnce, r.AtLeast, r.AtMost, r.Retries)
	case r.Least < 0 || r.Most < r.Least || r.Most > PauseMax:
		return daruma.InvalidAt("minDelayTarget", "pauses from %v to %v: from 0 to %v, the least first", r.Least, r.Most, PauseMax)
	case r.PerSecond < 0:
		return daruma.InvalidAt("maxReceivesPerSecond", "%d posts in a second", r.PerSecond)
	}
	switch r.Growth {
	case "", Linear, Arithmetic, Geometric, Exponential:
	default:
		return daruma.InvalidAt("backoffFunction", "%q: linear, arithmetic, geometric or exponential", r.Growth)
	}
	total := time.Duration(0)
	for n := 1; n <= r.Retries; n++ {
		pause, _ := r.Pause(n)
		total += pause
	}
	if total > PauseMax {
		return daruma.InvalidAt("numRetries", "pauses of %v in all: at most %v", total, PauseMax)
	}
	return nil
}

// Pause returns how long to wait before the n-th retry, from 1, and false when there is none.
func (r *Retry) Pause(n int) (time.Duration, bool) {
	if n < 1 || n > r.Retries {
		return 0, false
	}
	if n <= r.AtOnce {
		return 0, true
	}
	n -= r.AtOnce
	if n <= r.AtLeast {
		return r.Least, true
	}
	n -= r.AtLeast
	steps := r.Retries - r.AtOnce - r.AtLeast - r.AtMost
	if n > steps || steps == 1 {
		return r.Most, true
	}
	return r.grown(n-1, steps-1), true
}

// grown is the pause of step i from 0 to last between Least and Most.
func (r *Retry) grown(i, last int) time.Duration {
	part := float64(i) / float64(last)
	span := float64(r.Most - r.Least)
	switch r.Growth {
	case Arithmetic: // each step is one longer than the one before
		part = float64(i*(i+1)) / float64(last*(last+1))
	case Geometric: // the steps grow with their square
		part *= part
	case Exponential:
		part = float64(uint64(1)<<min(i, 62)-1) / float64(uint64(1)<<min(last, 62)-1)
	}
	return r.Least + time.Duration(span*part)
}

// RetryWithin is how posts of a subscription of t are tried again.
func (s *Subscription) RetryWithin(t *Topic) Retry {
	switch {
	case s.Retry != nil && !t.OnlyRetry:
		return *s.Retry
	case t.Retry != nil:
		return *t.Retry
	}
	return RetryDefault()
}

// scope is what its policy looks at.
func (s *Subscription) scope() pattern.Scope {
	if s.Scope == "" {
		return pattern.Attributes
	}
	return s.Scope
}

func (t *Topic) validate() error {
	size := 0
	for k, v := range t.Labels {
		size += len(k) + len(v)
	}
	for k, v := range t.Tags {
		size += len(k) + len(v)
	}
	switch {
	case t.Name == "" || len(t.Name) > NameBytesMax || strings.IndexByte(t.Name, 0) >= 0:
		return daruma.InvalidAt(t.Name, "a topic's name has from 1 to %d characters", NameBytesMax)
	case size > labelsBytesMax:
		return daruma.InvalidAt(t.Name, "attributes and tags of %d bytes: at most %d", size, labelsBytesMax)
	case !t.FIFO && (t.OnceByBody || t.OncePerGroup):
		return daruma.InvalidAt(t.Name, "only a FIFO topic knows what was published already")
	case t.Keep != 0 && (!t.FIFO || t.Keep < KeepMin || t.Keep > KeepMax):
		return daruma.InvalidAt(t.Name, "an archive of %v: a FIFO topic keeps one from %v to %v", t.Keep, KeepMin, KeepMax)
	case t.Signature < 0 || t.Signature > 2:
		return daruma.InvalidAt(t.Name, "signatures of version %d: 1 or 2", t.Signature)
	case t.Retry != nil:
		return t.Retry.Validate()
	}
	return nil
}

func (s *Subscription) validate(t *Topic) error {
	size := 0
	for k, v := range s.Labels {
		size += len(k) + len(v)
	}
	switch {
	case s.ID == "" || len(s.ID) > NameBytesMax || len(s.Endpoint.ARN) > EndpointBytesMax || size > labelsBytesMax:
		return daruma.InvalidAt(s.Topic, "a subscription without an ID, or with an endpoint or attributes that are too long")
	case s.Scope != "" && s.Scope != pattern.Attributes && s.Scope != pattern.Body:
		return daruma.InvalidAt(s.Topic, "%q is no part of a message that a policy can look at", s.Scope)
	case t.FIFO && s.Endpoint.Kind != Queue:
		return daruma.InvalidAt(s.Endpoint.ARN, "%w", errNoFIFOTarget)
	}
	switch s.Endpoint.Kind {
	case Queue, Function:
		if s.Endpoint.Name == "" || s.Pending || s.Retry != nil {
			return daruma.InvalidAt(s.Endpoint.ARN, "a queue or a function has a name, is not asked whether it wants to, and is not posted to")
		}
	case Post:
		u, err := url.Parse(s.Endpoint.ARN)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return daruma.InvalidAt(s.Endpoint.ARN, "it is no HTTP URL")
		}
		if s.Pending && s.Token == "" {
			return daruma.InvalidAt(s.Endpoint.ARN, "a subscription that waits to be confirmed has a token")
		}
	default:
		return daruma.InvalidAt(s.Endpoint.ARN, "there are no endpoints of kind %q", s.Endpoint.Kind)
	}
	if s.Retry != nil {
		if err := s.Retry.Validate(); err != nil {
			return err
		}
	}
	if s.Filter != "" {
		_, err := pattern.CompilePolicy(s.Filter, s.scope())
		return err
	}
	return nil
}
