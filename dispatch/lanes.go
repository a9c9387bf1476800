package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/route"
	"github.com/daruma-io/daruma/shard"
)

// Why batches are given up, in AWS's words.
const (
	conditionRetries = "RetryAttemptsExhausted"
	conditionAge     = "RecordAgeExceeded"
)

// take takes the next batch of a lane; nil when there is none yet, and when to
// look again without being told.
func (s *Streams) take(ctx context.Context, m *mapping.Mapping, k StreamKind, y *way, c *course, l *track) (*batch, time.Time, error) {
	now := s.clock.Now()
	if due := later(l.state.Due, l.due); now.Before(due) {
		return nil, due, nil
	}
	for round := 0; ; round++ {
		if err := s.read(ctx, m, k, y, c, l); err != nil {
			return nil, time.Time{}, err
		}
		old := s.tooOld(m, k, l, now)
		if old == 0 {
			break
		}
		if round == filterRounds {
			s.wake.Ring() // others have their turn, and then the rest is given up
			return nil, time.Time{}, nil
		}
		b := &batch{mapping: m, course: c, track: l, request: daruma.NewID(), records: l.ahead[:old], to: l.behind(old)}
		if err := s.settle(ctx, k, b, shard.Step{Ending: shard.Aged}, daruma.Outcome{}, time.Time{}); err != nil {
			return nil, time.Time{}, err
		}
	}
	s.mu.Lock()
	l.oldest = time.Time{}
	if len(l.ahead) > 0 {
		l.oldest = l.ahead[0].At
	}
	s.mu.Unlock()
	if b, next := s.next(m, l, now); b != nil || len(l.ahead) > 0 {
		if b == nil {
			return nil, next, nil
		}
		b.course, b.request = c, daruma.NewID()
		if left, wait, err := s.admit(ctx, k, b); err != nil || !left {
			return nil, wait, err
		}
		s.mu.Lock()
		s.last++
		b.number = s.last
		s.count(b, 1)
		s.mu.Unlock()
		return b, time.Time{}, nil
	} else if again, err := s.pass(ctx, k, m, c, l, now); err != nil {
		return nil, time.Time{}, err
	} else {
		return nil, sooner(next, again), nil
	}
}

// admit leaves out of a batch what is done already under its idempotency key,
// and ends the batch before what cannot run yet, or never. When nothing is left
// the lane is moved on, or waits.
func (s *Streams) admit(ctx context.Context, k StreamKind, b *batch) (left bool, wait time.Time, err error) {
	records := b.records
	b.records = nil
	defer func() {
		if err != nil {
			s.cfg.Guard.let(b.keys...)
		}
	}()
	for i, r := range records {
		how, entry, _, err := s.cfg.Guard.ask(ctx, b.mapping.Function, func() []byte { return r.Body })
		switch {
		case err != nil:
			return false, wait, err
		case how == free:
			b.records, b.keys = append(b.records, r), append(b.keys, nil)
			continue
		case how == fresh:
			b.records, b.keys = append(b.records, r), append(b.keys, entry)
			continue
		case how == answered:
			b.passed = append(b.passed, passed{r.Sequence, entry})
			continue
		case how == clashing && len(b.records) == 0:
			b.records, b.to, b.passed = records[i:i+1], r.Sequence+1, append(b.passed, passed{r.Sequence, entry})
			o := daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindConflict, Type: clashType, Message: errClash.Error()}}
			s.wake.Ring()
			return false, wait, s.settle(ctx, k, b, shard.Step{Ending: shard.Failed}, o, s.clock.Now())
		}
		b.to = r.Sequence
		if len(b.records) == 0 && len(b.passed) == 0 {
			return false, s.clock.Now().Add(busyPause), nil
		}
		break
	}
	if len(b.records) > 0 || b.final {
		return true, wait, nil
	}
	s.wake.Ring()
	return false, wait, s.settle(ctx, k, b, shard.Step{Ending: shard.Done, Window: b.window}, daruma.Outcome{}, time.Time{})
}

// read reads ahead, until there is a batch or nothing more.
func (s *Streams) read(ctx context.Context, m *mapping.Mapping, k StreamKind, y *way, c *course, l *track) error {
	if len(l.ahead) == 0 {
		l.since = time.Time{}
	}
	for range filterRounds {
		moved := s.moved.Load()
		if len(l.ahead) >= m.Batch || l.bytes >= daruma.PayloadBytesMax || l.seen == moved || l.ended {
			return nil
		}
		piece, err := k.Read(ctx, m, c.ID, l.read, pieceRecords)
		if err != nil {
			return err
		}
		if piece.Gone {
			if err := s.lost(ctx, k, m, c, l, piece.Next); err != nil {
				return err
			}
			continue
		}
		s.mu.Lock()
		r := shard.Reader{Lanes: make([]shard.Lane, len(c.lanes)), Passed: c.passed} // another lane's end may change that
		s.mu.Unlock()
		for _, one := range piece.Records {
			if !r.Wants(l.number, one.Key, one.Sequence) || y.criteria != nil && !y.criteria.Match(k.View(one.Body)) {
				continue
			}
			if len(l.ahead) == 0 {
				l.since = s.clock.Now()
			}
			l.ahead = append(l.ahead, one)
			l.bytes += len(one.Body)
		}
		l.read = max(l.read, piece.Next)
		if len(piece.Records) == 0 {
			l.seen, l.ended = moved, piece.End
			return nil
		}
	}
	s.wake.Ring() // others have their turn, and then there is more
	return nil
}

// lost notes that records are gone that were never handed out.
func (s *Streams) lost(ctx context.Context, k StreamKind, m *mapping.Mapping, c *course, l *track, next uint64) error {
	b := &batch{mapping: m, course: c, track: l, request: daruma.NewID(), to: next, records: l.ahead}
	s.log.Error("dispatch: records of a stream are gone before they were handed out", "mapping", m.UUID, "source", m.Source.ARN, "from", l.state.Next, "to", next)
	return s.settle(ctx, k, b, shard.Step{Ending: shard.Lost}, daruma.Outcome{}, time.Time{})
}

// tooOld is how many of the records ahead are given up without being tried, at once.
func (s *Streams) tooOld(m *mapping.Mapping, k StreamKind, l *track, now time.Time) int {
	age := m.Stream.Age
	if most := k.Keep - ageMargin; k.Keep > 0 && (age <= 0 || age > most) {
		age = most
	}
	n := 0
	for age > 0 && n < min(len(l.ahead), m.Batch) && now.Sub(l.ahead[n].At) >= age {
		if u := l.state.Until; len(u) > 0 && l.ahead[n].Sequence >= u[0] {
			break
		}
		n++
	}
	return fit(l.ahead[:n])
}

// fit is how many of the first records are in one event: one at least, if there is one.
func fit(records []StreamRecord) int {
	size := eventExtra
	for n := range records {
		if size += len(records[n].Body) + 1; n > 0 && size > daruma.PayloadBytesMax {
			return n
		}
	}
	return len(records)
}

// behind is where a batch of the first n records ahead ends: before the next
// that is wanted, or where reading has come to.
func (l *track) behind(n int) uint64 {
	to := l.read
	if n < len(l.ahead) {
		to = l.ahead[n].Sequence
	}
	if u := l.state.Until; len(u) > 0 {
		to = min(to, u[0])
	}
	return to
}

// next makes the next batch of what is ahead; nil when it is not due, and when it is.
func (s *Streams) next(m *mapping.Mapping, l *track, now time.Time) (*batch, time.Time) {
	b := &batch{mapping: m, track: l, window: l.state.Window}
	if w := b.window; w != nil && (w.Early || len(l.ahead) == 0 && !now.Before(w.End) || len(l.ahead) > 0 && !l.ahead[0].At.Before(w.End)) {
		b.final, b.to = true, l.state.Next
		return b, time.Time{}
	} else if len(l.ahead) == 0 {
		if w != nil {
			return nil, w.End
		}
		return nil, time.Time{}
	}
	if b.window == nil && m.Stream.Tumble > 0 {
		start := l.ahead[0].At.Truncate(m.Stream.Tumble)
		b.window = &shard.Window{Start: start, End: start.Add(m.Stream.Tumble), State: json.RawMessage(`{}`)}
	}
	n, size := 0, eventExtra
	if b.window != nil {
		size += len(b.window.State)
	}
	full := false
	for ; n < len(l.ahead) && !full; n++ {
		r := &l.ahead[n]
		size += len(r.Body) + 1
		full = n == m.Batch || n > 0 && size > daruma.PayloadBytesMax || len(l.state.Until) > 0 && r.Sequence >= l.state.Until[0] || b.window != nil && !r.At.Before(b.window.End)
		if full {
			break
		}
	}
	full = full || n == m.Batch || len(l.state.Until) > 0 || l.state.Tries > 0 || l.ended
	if until := l.since.Add(m.Window); !full && now.Before(until) {
		return nil, until
	}
	b.records, b.to = l.ahead[:n:n], l.behind(n)
	return b, time.Time{}
}

// pass moves a lane on in which nothing is wanted: now and then, since a record
// that is passed twice costs little.
func (s *Streams) pass(ctx context.Context, k StreamKind, m *mapping.Mapping, c *course, l *track, now time.Time) (time.Time, error) {
	if l.read == l.state.Next {
		l.passing = time.Time{}
		return time.Time{}, nil
	}
	if l.passing.IsZero() {
		l.passing = now
	}
	if again := l.passing.Add(passEvery); now.Before(again) && l.read-l.state.Next < passRecords && !l.ended {
		return again, nil
	}
	b := &batch{mapping: m, course: c, track: l, to: l.read, window: l.state.Window}
	l.passing = time.Time{}
	return time.Time{}, s.settle(ctx, k, b, shard.Step{Ending: shard.Done, Window: l.state.Window}, daruma.Outcome{}, time.Time{})
}

// item makes an item of a batch.
func (s *Streams) item(b *batch) Item {
	event := b.course.ID + "/final"
	if len(b.records) > 0 {
		event = fmt.Sprintf("%s/%d", b.course.ID, b.records[0].Sequence)
	}
	m := b.mapping
	return Item{Number: b.number, Event: event, Read: func(o daruma.Outcome) (daruma.Outcome, []string) { return s.readAnswer(b, o), nil },
		Invocation: daruma.Invocation{ID: b.request, Target: m.Target(), Payload: b.event(b.records), At: s.clock.Now(), Source: m.Source.Kind, Attempt: b.track.state.Tries + 1}}
}

// event is what the function gets: Lambda Developer Guide, on functions that are invoked
// with the records of a stream, with "Tumbling windows".
func (b *batch) event(records []StreamRecord) []byte {
	out := append(make([]byte, 0, eventExtra), `{"Records":[`...)
	for i := range records {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, records[i].Body...)
	}
	out = append(out, ']')
	if w := b.window; w != nil {
		type span struct {
			Start time.Time `json:"start"`
			End   time.Time `json:"end"`
		}
		own, _ := json.Marshal(struct { // times, texts and JSON that was checked always marshal
			Window span            `json:"window"`
			State  json.RawMessage `json:"state"`
			Shard  string          `json:"shardId"`
			ARN    string          `json:"eventSourceARN"`
			Final  bool            `json:"isFinalInvokeForWindow"`
			Early  bool            `json:"isWindowTerminatedEarly"`
		}{span{w.Start.UTC(), w.End.UTC()}, w.State, b.course.ID, b.mapping.Source.ARN, b.final, w.Early})
		out = append(append(out, ','), own[1:len(own)-1]...)
	}
	return append(out, '}')
}

// readAnswer says what an answer means, and keeps with the batch what it reports:
// a batch whose first record failed, or whose report cannot be read, has failed.
func (s *Streams) readAnswer(b *batch, o daruma.Outcome) daruma.Outcome {
	b.failed = 0
	if o.Kind != daruma.Done || !b.mapping.Partial {
		return o
	}
	first, err := s.cfg.Kinds[b.mapping.Source.Kind].Report(o.Payload, b.records)
	if err == nil && first >= 0 {
		b.failed = b.records[first].Sequence
	}
	switch {
	case err != nil:
		o.Failure = misread(s.cfg.Misread, Misreport{b.mapping, b.request, len(b.records), err})
	case first == 0:
		o.Failure = &daruma.Failure{Kind: daruma.KindInvalid, Type: reportType, Message: "the function reported that the first record of the batch failed"}
	default:
		return o
	}
	o.Kind = daruma.FunctionError
	return o
}

// Settle says what came of a batch.
func (s *Streams) Settle(ctx context.Context, i Item, o daruma.Outcome, started time.Time) error {
	s.mu.Lock()
	b := s.batches[i.Number]
	s.mu.Unlock()
	if b == nil {
		return &daruma.Error{Kind: daruma.KindConflict, Err: fmt.Errorf("batch %d is not out", i.Number)}
	}
	k, m, now := s.cfg.Kinds[b.mapping.Source.Kind], b.mapping, s.clock.Now()
	if !o.Kind.Ran() {
		s.unready(b, o, now)
		return nil
	}
	step := shard.Step{Ending: shard.Failed, Retries: m.Stream.Retries, Bisect: m.Stream.Bisect, Final: b.final}
	if len(b.records) > 1 {
		step.Half = b.records[len(b.records)/2].Sequence
	}
	if step.At = b.failed; step.At == 0 && o.Kind == daruma.Done {
		step.Ending, step.Window = shard.Done, b.windowAfter(o.Payload)
	}
	if err := s.settle(ctx, k, b, step, o, started); err != nil {
		switch {
		case daruma.KindOf(err) == daruma.KindConflict:
			s.lose(b)
		case final(err):
			s.putOff(b, now.Add(problemPause), "PROBLEM: "+err.Error())
		}
		return err
	}
	s.cfg.Guard.let(b.keys...)
	s.mu.Lock()
	b.track.unready, b.track.due = 0, time.Time{}
	s.count(b, -1)
	s.mu.Unlock()
	s.cfg.Store.Note(m.UUID, mapping.Result{At: now, Text: said(o)})
	s.wake.Ring()
	return nil
}

// unready has a batch that did not run tried again later. That counts nothing.
func (s *Streams) unready(b *batch, o daruma.Outcome, now time.Time) {
	pause := backoff(b.track.unready)
	switch {
	case o.Failure != nil && o.Failure.After > 0:
		pause = o.Failure.After
	case o.Kind == daruma.Refused:
		pause = problemPause
	}
	s.putOff(b, now.Add(pause), said(o))
}

// putOff has a batch of which nothing is kept tried again at a time, and says why.
func (s *Streams) putOff(b *batch, until time.Time, why string) {
	s.cfg.Guard.let(b.keys...)
	s.mu.Lock()
	b.track.unready++
	b.track.due = until
	s.count(b, -1)
	s.mu.Unlock()
	s.cfg.Store.Note(b.mapping.UUID, mapping.Result{At: s.clock.Now(), Text: why})
}

// lose forgets what is known of a way whose lane somebody else has moved on.
func (s *Streams) lose(b *batch) {
	s.cfg.Guard.let(b.keys...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(b, -1)
	y := s.ways[b.mapping.UUID]
	y.revision = 0
}

// windowAfter is the window of a batch with what the function made of it: none
// when that was its end.
func (b *batch) windowAfter(answer []byte) *shard.Window {
	if b.window == nil || b.final {
		return nil
	}
	w := *b.window
	var said struct {
		State json.RawMessage `json:"state"`
	}
	w.State = json.RawMessage(`{}`)
	if json.Unmarshal(answer, &said) == nil && len(said.State) > 0 && string(said.State) != "null" {
		w.State = said.State
	}
	if len(w.State) > shard.StateBytesMax {
		w.State, w.Early = json.RawMessage(`{}`), true
	}
	return &w
}

// settle takes a step of a lane, and keeps what is given up with it.
func (s *Streams) settle(ctx context.Context, k StreamKind, b *batch, step shard.Step, o daruma.Outcome, started time.Time) error {
	l := b.track
	step.Mapping, step.Shard, step.Lane, step.Turn, step.First, step.To = b.mapping.UUID, b.course.ID, l.number, l.state.Turn, l.state.Next, b.to
	if len(b.records) > 0 {
		step.First = b.records[0].Sequence
	}
	next := l.state.After(step, s.clock.Now()).Next
	for _, p := range b.passed {
		if p.sequence < next { // the others are handed out again
			step.Once = append(step.Once, *p.entry)
		}
	}
	for i, key := range b.keys {
		if done := step.Ending == shard.Done || step.At > b.records[i].Sequence; done && key != nil {
			step.Once = append(step.Once, *key)
		}
	}
	if l.state.GivesUp(step) {
		if err := s.surrender(k, b, &step, o, started); err != nil {
			return err
		}
	}
	r, err := s.cfg.Readers.Settle(ctx, step)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.state, b.course.passed = r.Lanes[l.number], r.Passed
	n := 0
	for n < len(l.ahead) && l.ahead[n].Sequence < l.state.Next {
		l.bytes -= len(l.ahead[n].Body)
		n++
	}
	l.ahead = slices.Clone(l.ahead[n:])
	l.read = max(l.read, l.state.Next)
	return nil
}

// surrender says what is kept of what is given up.
func (s *Streams) surrender(k StreamKind, b *batch, step *shard.Step, o daruma.Outcome, started time.Time) error {
	m, records, now := b.mapping, b.records, s.clock.Now()
	if step.At > 0 {
		i := slices.IndexFunc(records, func(r StreamRecord) bool { return r.Sequence == step.At })
		records = records[i : i+1]
	}
	facts := s.cfg.Facts(m.Target(), o)
	is := Surrender{Mapping: m, Shard: b.course.ID, Records: records, Request: b.request, Condition: conditionRetries, Invokes: max(1, b.track.state.Tries), At: now, FunctionARN: s.cfg.ARN(m.Target())}
	f := ledger.Failure{Function: m.Function, Qualifier: m.Qualifier, Version: o.Version, CodeSHA256: facts.CodeSHA256, Revision: facts.Revision, Owner: facts.Declared.Owner, Tags: facts.Declared.Tags,
		Sensitive: facts.Declared.Sensitive, Correlate: facts.Declared.Correlate, Request: b.request, Source: m.Source.Kind + " " + m.Source.Name, Runs: b.track.state.Tries,
		Did: fmt.Sprintf("gave up what was in the batch of %s (records: %d), kept it here, and went on behind it", b.course.ID, len(records)), Next: "mend the function, then redrive this: the records are handed to it again, out of their order"}
	if len(records) > 0 {
		f.Accepted = records[0].At
	}
	switch step.Ending {
	case shard.Failed:
		rule := route.Of(o.Kind)
		is.Ran, is.Status, is.Version, is.Failed, is.Invokes = true, rule.Status, o.Version, rule.FunctionError && step.At == 0, b.track.state.Tries+1
		f.Runs, f.Duration, f.Outcome = is.Invokes, o.Duration, o.Kind.String()
		f.Stack, f.Location, f.Log = route.Where(o)
		f.Recording = o.Recording
		f.ErrorType, f.Message = reportType, "the function reported that this record failed"
		if o.Failure != nil {
			f.ErrorType, f.Message = o.Failure.Type, o.Failure.Message
		}
		f.Attempts = []ledger.Attempt{{At: started, Duration: o.Duration, Environment: o.Environment, Version: o.Version, Outcome: f.Outcome, ErrorType: f.ErrorType, Message: f.Message, Faults: o.Faults}}
	case shard.Aged:
		is.Condition, f.ErrorType, f.Message = conditionAge, conditionAge, fmt.Sprintf("the records are %v old", now.Sub(records[0].At).Round(time.Second))
	case shard.Lost:
		is.Condition, f.ErrorType = conditionAge, conditionAge
		f.Message = fmt.Sprintf("what was in the stream before record %d is gone: it was older than the stream keeps before it was handed out", step.To)
		f.Did, f.Next = "went on with the first record there is", "look in the table: what it holds is not lost"
	}
	f.Condition, f.Faults = is.Condition, o.Faults
	step.GivenUp = &shard.GivenUp{Failure: f}
	step.Event = b.event(records)
	if m.Stream.OnFailure == "" || len(records) == 0 {
		return nil
	}
	to, err := s.cfg.Destination(m.Stream.OnFailure)
	if err != nil {
		return err
	}
	step.GivenUp.Tell = &delivery.Handover{To: *to, Role: delivery.OnFailure, Function: m.Function, FunctionARN: is.FunctionARN, Request: b.request, Body: k.Tell(is)}
	return nil
}
