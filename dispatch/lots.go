package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/mapping"
)

// reportType is the error type of a batch whose report says that it failed, or
// says nothing that can be understood.
const reportType = "ReportBatchItemFailures"

// read says what an answer means: when a function reports which records failed,
// all may have, and a report that cannot be read means that all did.
func (s *Mappings) read(l *lot, o daruma.Outcome) daruma.Outcome {
	if o.Kind != daruma.Done || !l.mapping.Partial {
		return o
	}
	failed, err := s.kind(l).Report(o.Payload, l.records)
	switch {
	case err != nil && !plantedReportBelieved():
		o.Failure = &daruma.Failure{Kind: daruma.KindInvalid, Type: reportType, Message: "the report of failed records cannot be used, so all of them count as failed: " + err.Error()}
	case len(failed) == len(l.records):
		o.Failure = &daruma.Failure{Kind: daruma.KindInvalid, Type: reportType, Message: fmt.Sprintf("the function reported that all %d records failed", len(l.records))}
	default:
		return o
	}
	o.Kind = daruma.FunctionError
	return o
}

func (s *Mappings) kind(l *lot) Kind { return s.cfg.Kinds[l.mapping.Source.Kind] }

// Settle says what came of a batch: one fate for each of its records.
func (s *Mappings) Settle(ctx context.Context, i Item, o daruma.Outcome, started time.Time) error {
	s.mu.Lock()
	l := s.lots[i.Number]
	s.mu.Unlock()
	if l == nil {
		return &daruma.Error{Kind: daruma.KindConflict, Err: fmt.Errorf("batch %d is not out", i.Number)}
	}
	now := s.clock.Now()
	if s.cfg.Strict && notRun(o.Kind) {
		s.keep(l, now)
		return nil
	}
	fates := s.fates(l, o, started, now)
	for i := range fates {
		if fates[i].Do == Finished {
			fates[i].Once = l.keys[i]
		}
	}
	if err := s.kind(l).Settle(ctx, l.mapping, fates); err != nil {
		if !daruma.KindOf(err).Retryable() {
			s.cfg.Guard.let(l.keys...)
		}
		return err
	}
	s.cfg.Guard.let(l.keys...)
	s.mu.Lock()
	s.count(l, -1)
	if o.Kind == daruma.Refused {
		s.flow(l.mapping).pause = now.Add(problemPause)
	}
	s.mu.Unlock()
	s.cfg.Store.Note(l.mapping.UUID, mapping.Result{At: now, Text: said(o)})
	if l.mapping.Ends() || s.cfg.Store.Mapping(l.mapping.UUID) != l.mapping {
		s.stir() // it may have waited for that
	}
	return nil
}

// admit leaves out of a lot what is done already, what another run with its
// idempotency key is doing, and what has another event's key; and says what
// becomes of that. What follows in its group something that waits, waits too.
func (s *Mappings) admit(ctx context.Context, k Kind, l *lot) (fates []Fate, err error) {
	records := l.records
	l.records, l.keys = nil, nil
	waits := map[string]bool{}
	for _, r := range records {
		if r.Group != "" && waits[r.Group] {
			fates = append(fates, Fate{Record: r, Do: Untried})
			continue
		}
		how, entry, _, err := s.cfg.Guard.ask(ctx, l.mapping.Function, func() []byte { return k.JSON(l.mapping, r) })
		if err != nil {
			s.cfg.Guard.let(l.keys...)
			return nil, err
		}
		switch how {
		case free:
			l.records, l.keys = append(l.records, r), append(l.keys, nil)
		case fresh:
			l.records, l.keys = append(l.records, r), append(l.keys, entry)
		case answered:
			fates = append(fates, Fate{Record: r, Do: Finished, Once: entry})
		case busy:
			waits[r.Group] = true
			fates = append(fates, Fate{Record: r, Do: Untried, After: busyPause})
		case clashing:
			f := s.failed(r, l.mapping, daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindConflict, Type: clashType, Message: errClash.Error()}}, s.clock.Now())
			f.Do, f.Once = Clashed, entry
			fates = append(fates, f)
		}
	}
	return fates, nil
}

// said is the last processing result that comes of an outcome.
func said(o daruma.Outcome) string {
	switch o.Kind {
	case daruma.Done:
		return "OK"
	case daruma.FunctionError, daruma.TimedOut, daruma.Crashed:
		text := "PROBLEM: Function call failed"
		if o.Failure != nil {
			text += ": " + o.Failure.Error()
		}
		return text
	}
	text := "PROBLEM: " + o.Kind.String()
	if o.Failure != nil {
		text += ": " + o.Failure.Error()
	}
	return text
}

// notRun says whether a kind of outcome is that there was no room.
func notRun(k daruma.OutcomeKind) bool { return k == daruma.Throttled || k == daruma.NoCapacity }

// keep has a batch that could not run tried again while it is held, as AWS's
// pollers do: when its records come back by themselves, that counts.
func (s *Mappings) keep(l *lot, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(l, -1)
	l.tries++
	l.due = now.Add(backoff(l.tries))
	f := s.flow(l.mapping)
	f.again = append(f.again, l)
}

// fates says what becomes of each record of a batch.
func (s *Mappings) fates(l *lot, o daruma.Outcome, started, now time.Time) []Fate {
	all := make([]Fate, len(l.records))
	for i, r := range l.records {
		switch {
		case o.Kind == daruma.Done:
			all[i] = Fate{Record: r, Do: Finished}
		case o.Kind == daruma.Held:
			all[i] = Fate{Record: r, Do: Untried, After: o.Failure.After}
		case notRun(o.Kind) && !plantedThrottleSpends():
			all[i] = Fate{Record: r, Do: Untried, After: notRunPause}
		case o.Kind == daruma.Refused && !s.cfg.Strict:
			all[i] = Fate{Record: r, Do: Untried, After: problemPause}
		default:
			all[i] = s.failedAt(r, l.mapping, o, started, now)
		}
	}
	if o.Kind == daruma.Done && l.mapping.Partial {
		s.reported(l, o, all, started, now)
	}
	return all
}

// reported gives the records that a function reported the fate of those that
// failed. What follows one of them in its group was tried too early: it is
// tried again behind it, or the order would be another. On AWS that is left to
// the function, and so it is with strict semantics.
func (s *Mappings) reported(l *lot, o daruma.Outcome, all []Fate, started, now time.Time) {
	failed, err := s.kind(l).Report(o.Payload, l.records)
	if err != nil {
		return // read has made a failure of it before
	}
	o.Failure = &daruma.Failure{Kind: daruma.KindInvalid, Type: reportType, Message: "the function reported that this record failed"}
	o.Kind = daruma.FunctionError
	broken := map[string]bool{}
	for i, r := range l.records {
		switch {
		case slices.Contains(failed, i):
			all[i] = s.failedAt(r, l.mapping, o, started, now)
			broken[r.Group] = r.Group != ""
		case broken[r.Group] && !s.cfg.Strict:
			all[i] = Fate{Record: r, Do: Untried}
		}
	}
}

// failedAt is the fate of a record that failed: it comes back when it would have by itself.
func (s *Mappings) failedAt(r Record, m *mapping.Mapping, o daruma.Outcome, started, now time.Time) Fate {
	f := s.failed(r, m, o, started)
	f.After = max(0, r.Again.Sub(now))
	return f
}

func (s *Mappings) failed(r Record, m *mapping.Mapping, o daruma.Outcome, started time.Time) Fate {
	return Fate{Record: r, Do: Failed, Try: &Try{Target: m.Target(), Outcome: o, Facts: s.cfg.Facts(m.Target(), o), Started: started}}
}

// Extend keeps the records of batches that run, when they would be lost before
// the next time it is asked. With strict semantics they are: as on AWS,
// a record that takes longer than it is hidden is handed out again.
func (s *Mappings) Extend(ctx context.Context, by time.Duration, items []Item) ([]Item, error) {
	if s.cfg.Strict {
		return nil, nil
	}
	now := s.clock.Now()
	for _, i := range items {
		s.mu.Lock()
		l := s.lots[i.Number]
		if l == nil || l.lostAt().Sub(now) >= by {
			s.mu.Unlock()
			continue
		}
		var fates []Fate
		for _, r := range l.records {
			fates = append(fates, Fate{Record: r, Do: Kept, After: by})
		}
		s.mu.Unlock()
		if err := s.kind(l).Settle(ctx, l.mapping, fates); err != nil {
			return nil, err
		}
		s.mu.Lock()
		l.until = now.Add(by)
		s.mu.Unlock()
	}
	return nil, nil
}

// lostAt is when the records of a batch are lost unless they are kept longer.
// The source's mu is held.
func (l *lot) lostAt() time.Time {
	if l.until.IsZero() {
		return l.records[0].Until
	}
	return l.until
}

// Release gives batches back that have not been run.
func (s *Mappings) Release(ctx context.Context, items []Item) error {
	for _, i := range items {
		s.mu.Lock()
		l := s.lots[i.Number]
		s.mu.Unlock()
		if l == nil {
			continue
		}
		fates := make([]Fate, len(l.records))
		for n, r := range l.records {
			fates[n] = Fate{Record: r, Do: Untried}
		}
		if err := s.kind(l).Settle(ctx, l.mapping, fates); err != nil {
			return err
		}
		s.cfg.Guard.let(l.keys...)
		s.mu.Lock()
		s.count(l, -1)
		s.mu.Unlock()
	}
	return nil
}

// A Flow is a mapping at work, for people.
type Flow struct {
	UUID    string    `json:"uuid"`
	Batches int       `json:"batches"` // out
	Records int       `json:"records"` // in them
	AtOnce  int       `json:"atOnce"`  // batches there may be out now
	Paused  time.Time `json:"paused,omitzero"`
}

// Flow returns how a mapping is at work.
func (s *Mappings) Flow(m *mapping.Mapping) Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, now := s.flow(m), s.clock.Now()
	w := Flow{UUID: m.UUID, Batches: f.out, Records: f.records, AtOnce: f.scale.limit(now, m.AtOnce)}
	if now.Before(f.pause) {
		w.Paused = f.pause
	}
	return w
}

// doubted notes that a batch does not run any more, although it is out.
func (s *Mappings) doubted(l *lot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.doubted = true
	s.flow(l.mapping).doubted++
}
