package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
)

// apartShare is the largest share of a batch that may have failed for its
// failures to be those of single records.
const apartShare = 0.2

// read says what an answer means, and keeps with the batch what it reports: a
// batch all of whose records failed, or whose report cannot be read, has failed.
// When few of them failed, it says which.
func (s *Mappings) read(l *lot, request string, o daruma.Outcome) (_ daruma.Outcome, apart []string) {
	l.failed = nil
	if o.Kind != daruma.Done || !l.mapping.Partial {
		return o, nil
	}
	failed, err := s.kind(l).Report(o.Payload, l.records)
	switch {
	case err != nil && !plantedReportBelieved():
		o.Failure = misread(s.cfg.Misread, Misreport{l.mapping, request, len(l.records), err})
	case len(failed) == len(l.records):
		o.Failure = &daruma.Failure{Kind: daruma.KindInvalid, Type: reportType, Message: fmt.Sprintf("the function reported that all %d records failed", len(l.records))}
	default:
		l.failed = failed
		if l.few() {
			for _, i := range failed {
				apart = append(apart, l.records[i].Event)
			}
		}
		return o, apart
	}
	o.Kind = daruma.FunctionError
	return o, nil
}

// few says whether so few of a batch failed that each is to blame for itself.
func (l *lot) few() bool {
	return float64(len(l.failed)) <= apartShare*float64(len(l.records))
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
	err := s.kind(l).Settle(ctx, l.mapping, fates)
	if err != nil && !final(err) {
		return err
	}
	s.cfg.Guard.let(l.keys...)
	s.mu.Lock()
	s.count(l, -1) // what cannot be kept is not out any more either: its records come back when their leases end
	if err == nil && o.Kind == daruma.Refused {
		s.flow(l.mapping).pause = now.Add(problemPause)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.cfg.Store.Note(l.mapping.UUID, mapping.Result{At: now, Text: said(o)})
	if l.mapping.Ends() || s.cfg.Store.Mapping(l.mapping.UUID) != l.mapping {
		s.wake.Ring() // it may have waited for that
	}
	return nil
}

// admit makes lots of records, most at most, each of one unit with room. It leaves
// out what is refused, what is done already, what another run with its idempotency
// key is doing, and what has another event's key; and says what becomes of that.
// What follows in its group something that waits, waits too, and a group is in one
// lot only.
func (s *Mappings) admit(ctx context.Context, m *mapping.Mapping, k Kind, records []Record, most int) (lots []*lot, fates []Fate, err error) {
	waits, in := map[string]bool{}, map[string]*lot{} // by group
	for _, r := range records {
		if r.Group != "" && waits[r.Group] {
			fates = append(fates, Fate{Record: r, Do: Untried})
			continue
		}
		if f := s.refuse(m, &r); f != nil {
			fates = append(fates, s.givenUp(r, m, f, nil))
			continue
		}
		event := func() []byte { return k.JSON(m, r) }
		how, entry, _, err := s.cfg.Guard.ask(ctx, m.Function, event)
		if err != nil {
			s.leave(lots)
			return nil, nil, err
		}
		switch how {
		case free, fresh:
			l, wait := s.seat(m, event, lots, in[r.Group], most)
			if l == nil {
				s.cfg.Guard.let(entry)
				waits[r.Group] = true
				is := Fate{Record: r, Do: Untried}
				if wait > 0 {
					is.Do, is.After = Aside, wait
				}
				fates = append(fates, is)
				continue
			}
			if len(l.records) == 0 {
				lots = append(lots, l)
			}
			if l.records, l.keys = append(l.records, r), append(l.keys, entry); r.Group != "" {
				in[r.Group] = l
			}
		case answered:
			fates = append(fates, Fate{Record: r, Do: Finished, Once: entry})
		case busy:
			waits[r.Group] = true
			fates = append(fates, Fate{Record: r, Do: Untried, After: busyPause})
		case clashing:
			fates = append(fates, s.givenUp(r, m, &daruma.Failure{Kind: daruma.KindConflict, Type: clashType, Message: errClash.Error()}, entry))
		}
	}
	return lots, fates, nil
}

// seat finds the lot for a record, a new one if need be: that of its group, or one
// of its unit. There is none when another unit's run must come first, or when its
// own has no room: then wait is when to look again.
func (s *Mappings) seat(m *mapping.Mapping, event func() []byte, lots []*lot, in *lot, most int) (l *lot, wait time.Duration) {
	u, keyed := s.cfg.Heal.UnitOf(m.Function, event)
	for _, l := range lots {
		if l.unit == u && (in == nil || in == l) && (!keyed || len(l.records) < m.Batch && !l.permit.Probe()) {
			return l, 0
		}
	}
	if in != nil || len(lots) == most {
		return nil, 0
	}
	l = &lot{mapping: m, unit: u}
	if keyed {
		if l.permit, wait = s.cfg.Heal.Admit(u); wait > 0 {
			return nil, wait
		}
	}
	return l, 0
}

// refuse says why a record is not run at all, or nil.
func (s *Mappings) refuse(m *mapping.Mapping, r *Record) *daruma.Failure {
	if s.cfg.Refuse == nil {
		return nil
	}
	return s.cfg.Refuse(daruma.Invocation{ID: r.ID, Target: m.Target(), Trace: r.chained(m.Function)})
}

// givenUp is the fate of a record that is not run because of what it is.
func (s *Mappings) givenUp(r Record, m *mapping.Mapping, why *daruma.Failure, entry *once.Entry) Fate {
	f := s.failed(r, m, daruma.Outcome{Kind: daruma.Refused, Failure: why}, s.clock.Now())
	f.Do, f.Once = GivenUp, entry
	return f
}

// chained is the trace of a record with one more run of a function counted in it.
func (r *Record) chained(function string) string {
	if r.Trace == "" {
		return "" // nobody handed it on
	}
	trace, _ := daruma.Chained(r.Trace, function)
	return trace
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
	if o.Kind == daruma.Done && len(l.failed) > 0 {
		s.reported(l, o, all, started, now)
	}
	return all
}

// reported gives the records that a function reported the fate of those that
// failed. What follows one of them in its group was tried too early: it is
// tried again behind it, or the order would be another. On AWS that is left to
// the function, and so it is with strict semantics.
func (s *Mappings) reported(l *lot, o daruma.Outcome, all []Fate, started, now time.Time) {
	o.Failure = &daruma.Failure{Kind: daruma.KindInvalid, Type: reportType, Message: "the function reported that this record failed", Alone: l.few()}
	o.Kind = daruma.FunctionError
	broken := map[string]bool{}
	for i, r := range l.records {
		switch {
		case slices.Contains(l.failed, i):
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
