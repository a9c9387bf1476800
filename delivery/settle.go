package delivery

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/once"
)

// A Verdict is what an outcome does to an event. Package route has the table
// that says which outcome is which.
type Verdict string

// The verdicts there are.
const (
	Success  Verdict = "success"  // the event is done
	Failure  Verdict = "failure"  // an attempt is spent; again after a minute, then two
	Unknown  Verdict = "unknown"  // an attempt is spent, because it may have run; again with back-off
	NotRun   Verdict = "not run"  // nothing is spent; again with back-off until it is too old
	Wait     Verdict = "wait"     // nothing is spent; again as soon as there is a turn
	Never    Verdict = "never"    // it can not run, now or later: given up at once
	Reserved Verdict = "reserved" // the function's reserved concurrency is zero: given up at once
)

// Why an event ended, in AWS's words.
const (
	Succeeded               = "Success"
	RetriesExhausted        = "RetriesExhausted"
	EventAgeExceeded        = "EventAgeExceeded"
	ZeroReservedConcurrency = "ZeroReservedConcurrency"
)

// Pauses before the next try. Those after a function's own failure are fixed;
// the others double from backoffMin to backoffMax, with full jitter.
const (
	pauseFirst  = time.Minute
	pauseSecond = 2 * time.Minute
	backoffMin  = time.Second
	backoffMax  = 5 * time.Minute
	pauseHeld   = time.Second           // whoever holds events back says when they run; so the others have their turn first
	jitterMin   = 10 * time.Millisecond // full jitter is never nothing: that would be a busy loop
)

// A Report says what came of one try of a leased event.
type Report struct {
	Held
	Verdict Verdict `json:"verdict"`

	Outcome       string        `json:"outcome"` // in words, for people
	Status        int           `json:"status"`  // HTTP status AWS gives to such a try: 200, 429, 500
	FunctionError bool          `json:"functionError,omitempty"`
	After         time.Duration `json:"afterNs,omitempty"` // not before: what a throttle asked for
	ErrorType     string        `json:"errorType,omitempty"`
	Message       string        `json:"message,omitempty"`
	Started       time.Time     `json:"started,omitzero"`
	Duration      time.Duration `json:"durationNs,omitempty"`
	Environment   string        `json:"environment,omitempty"`

	Version    string       `json:"version,omitempty"` // what ran, and its code and configuration
	CodeSHA256 string       `json:"codeSha256,omitempty"`
	Revision   string       `json:"revision,omitempty"`
	DeadLetter *Destination `json:"deadLetter,omitempty"` // of that version, instead of the policy's

	Stack    []string        `json:"stack,omitempty"`
	Location ledger.Location `json:"location,omitzero"`
	Log      []string        `json:"log,omitempty"`
	// Recording names what was kept of its exchanges with hosts outside.
	Recording string `json:"recording,omitempty"`
	// Faults are the faults, asked for, that met the run.
	Faults []string `json:"faults,omitempty"`
	Alone  bool     `json:"alone,omitempty"` // most other events went well around it
	// Once is the event's idempotency key, of Success and Never: it is kept, or
	// counted, in the same step.
	Once *once.Entry `json:"once,omitempty"`
}

// faultsMax is how many faults of one run are kept.
const faultsMax = 8

// trimmed cuts texts to what is kept of them anyway.
func (r Report) trimmed() Report {
	r.Message = ledger.Cut(r.Message, ledger.MessageBytesMax)
	r.ErrorType = ledger.Cut(r.ErrorType, 1<<10)
	r.Faults = r.Faults[:min(len(r.Faults), faultsMax)]
	return r
}

// What became of an event.
const (
	StateDone    = "done"
	StateWaiting = "waiting"
	StateFailed  = "failed"
)

// A Settled says what a report led to.
type Settled struct {
	State     string
	Due       time.Time // of a waiting event: when it is tried again
	Condition string    // of a failed event
	Failure   ledger.ID // of a failed event: its record
	Attempts  int       // that counted so far
}

func (w *work) settle(r Report, response []byte) (any, error) {
	l, err := w.held(r.Held)
	if err == nil && l == nil && plantedOldLeaseSettles() {
		l, err = w.heldByAnybody(r.Function, r.Number)
	}
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, &daruma.Error{Kind: daruma.KindConflict, Err: errNotHeld}
	}
	a, err := w.end(r.Number, l)
	if err != nil {
		return nil, err
	}
	s := l.state
	p, err := w.policy(l.function, r.Number, s)
	if err != nil {
		return nil, err
	}
	e := ending{function: l.function, number: r.Number, state: s, policy: p, report: &r, response: response}
	s.outcome, s.status, s.message = r.Outcome, r.Status, ledger.Cut(r.Message, 1<<10)
	switch r.Verdict {
	case Success:
		if err := w.once(&r, response); err != nil {
			return nil, err
		}
		if s.attempts++; r.Once == nil || r.Once.Fate == once.Ran {
			a.Attempts++
		}
		return w.succeed(e)
	case Failure, Unknown:
		w.spend(a, s, &r)
		e.condition = RetriesExhausted
		if s.attempts > p.retries() {
			return w.giveUp(e)
		}
		if r.Verdict == Unknown {
			s.backoff++
			return w.again(e, backoff(w.tx.Random(), s.backoff))
		}
		s.backoff = 0
		return w.again(e, pause(s.attempts))
	case NotRun:
		s.notRun++
		s.backoff++
		a.Throttled++
		if plantedThrottleCounts() {
			if w.spend(a, s, &r); s.attempts > p.retries() {
				e.condition = RetriesExhausted
				return w.giveUp(e)
			}
		}
		return w.again(e, max(r.After, backoff(w.tx.Random(), s.backoff)))
	case Wait:
		s.notRun++
		a.Throttled++
		return w.again(e, max(r.After, pauseHeld))
	case Reserved:
		e.condition = ZeroReservedConcurrency
		return w.giveUp(e)
	case Never:
		if err := w.once(&r, nil); err != nil {
			return nil, err
		}
		e.condition, e.never = RetriesExhausted, true
		return w.giveUp(e)
	}
	return nil, daruma.InvalidAt("", "%q is no verdict", r.Verdict)
}

// once keeps the event's idempotency key.
func (w *work) once(r *Report, response []byte) error {
	if r.Once == nil {
		return nil
	}
	return once.Keep(w.tx, response, *r.Once)
}

// spend counts an attempt.
func (w *work) spend(a *Account, s *state, r *Report) {
	s.attempts++
	a.Attempts++
	at := r.Started
	if at.IsZero() {
		at = w.tx.Now()
	}
	s.tried = append(s.tried, ledger.Attempt{At: at.UTC(), Duration: r.Duration, Environment: ledger.Cut(r.Environment, 128), Version: ledger.Cut(r.Version, 128),
		Outcome: r.Outcome, ErrorType: ledger.Cut(r.ErrorType, 256), Message: ledger.Cut(r.Message, 512), Faults: r.Faults, Alone: r.Alone})
}

// pause is the time before the next attempt, after a number of them have failed.
func pause(attempts int) time.Duration {
	if plantedRetryEarly() {
		return time.Second
	}
	if attempts <= 1 {
		return pauseFirst
	}
	return pauseSecond
}

// backoff is the time before the next try, after the n-th that did not run.
func backoff(r *rand.Rand, n int) time.Duration {
	most := backoffMax
	if n < 10 {
		most = min(backoffMax, backoffMin<<(n-1))
	}
	return max(jitterMin, time.Duration(r.Int64N(int64(most)))+1)
}

// again has an event wait for its next try, unless it would be too old by then.
func (w *work) again(e ending, after time.Duration) (any, error) {
	due := w.tx.Now().Add(after)
	if due.After(e.state.accepted.Add(e.policy.age())) && !plantedAgeForgotten() {
		e.condition = EventAgeExceeded
		return w.giveUp(e)
	}
	a, err := w.account(e.function)
	if err != nil {
		return nil, err
	}
	a.Waiting++
	return Settled{State: StateWaiting, Due: due, Attempts: e.state.attempts}, w.enqueue(e.function, e.number, due, e.state)
}

// lose takes a lease back from somebody who has not settled it. It is not
// known whether the event ran, so that an event which takes the whole machine
// down with it does not come back for ever. It returns the event's size.
func (w *work) lose(function string, number uint64, gone bool) (size int, err error) {
	l, err := w.heldByAnybody(function, number)
	if err != nil {
		return 0, err
	}
	if l == nil {
		return 0, corrupt("lease", errors.New("it is in the order of leases and not there"))
	}
	a, err := w.end(number, l)
	if err != nil {
		return 0, err
	}
	a.Lost++
	p, err := w.policy(l.function, number, l.state)
	if err != nil {
		return 0, err
	}
	message := "its lease ran out before anybody said what came of it"
	if gone {
		message = "the platform stopped before it was known what came of it"
	}
	s := l.state
	r := &Report{Verdict: Unknown, Outcome: daruma.Unknown.String(), Status: 500, Message: message}
	s.outcome, s.status, s.message = r.Outcome, r.Status, message
	w.spend(a, s, r)
	e := ending{function: l.function, number: number, state: s, policy: p}
	if s.attempts > p.retries() {
		e.condition = RetriesExhausted
		_, err = w.giveUp(e)
		return s.size, err
	}
	s.backoff++
	var after time.Duration
	if !gone {
		after = backoff(w.tx.Random(), s.backoff)
	}
	_, err = w.again(e, after)
	return s.size, err
}

// heldByAnybody returns the lease of an event, or nil.
func (w *work) heldByAnybody(function string, number uint64) (*leased, error) {
	record, ok := w.tx.Get(leaseKey(function, number))
	if !ok {
		return nil, nil
	}
	return decodeLeased(function, record)
}
