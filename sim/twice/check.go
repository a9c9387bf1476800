package twice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/once"
)

// mismatch is the error type of an event whose key is another event's.
const mismatch = "IdempotencyMismatch"

// A surrender is events that are in the ledger together.
type surrender struct {
	events []Event
	clash  bool
}

func givenUp(ctx context.Context, l *ledger.Ledger) ([]surrender, error) {
	page, err := l.Find(ctx, ledger.Query{Max: ledger.PageMax})
	if err == nil && page.Next != 0 {
		err = errors.New("there is a second page of failures")
	}
	if err != nil {
		return nil, err
	}
	var all []surrender
	for _, f := range page.Failures {
		_, event, err := l.Failure(ctx, f.Number)
		if err != nil {
			return nil, err
		}
		events, err := parse(event)
		if err != nil {
			return nil, err
		}
		all = append(all, surrender{events, f.ErrorType == mismatch})
	}
	return all, nil
}

// agree holds what became of events against what is known of keys. Nothing runs.
func (w *World) agree(ctx context.Context) error {
	s, err := w.way.standing(ctx)
	if err != nil {
		return err
	}
	tallies, err := w.keys.Tallies(ctx)
	if err != nil {
		return err
	}
	given, err := givenUp(ctx, w.l)
	if err != nil {
		return err
	}
	var t once.Tally
	if len(tallies) > 0 {
		t = tallies[0]
	}
	failed, clashed := int64(0), int64(0)
	for _, g := range given {
		n := int64(len(g.events))
		failed += n
		if g.clash {
			clashed += n
		}
	}
	var errs []error
	if s.Accepted != s.Done+s.GivenUp+s.Left {
		errs = append(errs, fmt.Errorf("the account does not close: %+v", s))
	}
	if s.Done != t.Run+t.Suppressed {
		errs = append(errs, fmt.Errorf("%d events are done, and %d were counted as run and %d as suppressed", s.Done, t.Run, t.Suppressed))
	}
	if s.GivenUp != failed || clashed != t.Clashed {
		errs = append(errs, fmt.Errorf("%d events are given up, %d are in the ledger, of these %d for their keys, %d are counted as such", s.GivenUp, failed, clashed, t.Clashed))
	}
	if t.Kept != t.Run {
		errs = append(errs, fmt.Errorf("%d runs are recorded for %d keys", t.Run, t.Kept))
	}
	return errors.Join(errs...)
}

// check holds what has become of everything against what was promised.
func (w *World) check(ctx context.Context) error {
	errs := []error{w.agree(ctx)}
	given, err := givenUp(ctx, w.l)
	if err != nil {
		return err
	}
	told, err := w.told(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.wrong {
		errs = append(errs, errors.New(text))
	}
	for _, g := range given {
		for _, e := range g.events {
			is, entry, err := w.kept(ctx, e)
			if same := is != nil && is.Hash == entry.Hash; err != nil || g.clash && (is == nil || same) {
				errs = append(errs, fmt.Errorf("%s was given up as another event of its key, of which %+v is kept: %w", e, is, err))
			}
		}
	}
	for _, e := range w.Events {
		e.At, e.Group = 0, ""
		is, entry, err := w.kept(ctx, e)
		errs = append(errs, err, w.ended(e, is != nil, is != nil && is.Hash == entry.Hash, given))
		if w.Way == Async && is != nil && is.Hash == entry.Hash && told[string(is.Result)] == 0 {
			errs = append(errs, fmt.Errorf("nobody was told %s, with which %s is answered", is.Result, e))
		}
	}
	w.tally(ctx, told)
	if w.Way == Async && int64(len(told)) != w.Tally["run"] {
		errs = append(errs, fmt.Errorf("%d runs are recorded, and destinations were told %v", w.Tally["run"], told))
	}
	return errors.Join(errs...)
}

func (w *World) kept(ctx context.Context, e Event) (*once.Record, *once.Entry, error) {
	body, _ := json.Marshal(e) // texts always marshal
	entry := rule.Of(function, body)
	is, err := w.keys.Find(ctx, entry, w.clock.Now())
	return is, entry, err
}

// ended: an event has run well and is what its key is kept for, or it is in the ledger.
func (w *World) ended(e Event, kept, same bool, given []surrender) error {
	n, clashes := 0, 0
	for _, g := range given {
		for _, o := range g.events {
			if o == e {
				n++
				if g.clash {
					clashes++
				}
			}
		}
	}
	sent := 0
	for _, o := range w.Events {
		if o.Key == e.Key && o.Body == e.Body {
			sent++
		}
	}
	switch {
	case same && w.good[e] == 0:
		return fmt.Errorf("%s is kept as done, and no run went well", e)
	case !same && w.doubted == 0 && n != sent:
		return fmt.Errorf("%s was sent %d times and is in the ledger %d times, and is not what its key is kept for", e, sent, n)
	case clashes > 0 && !kept:
		return fmt.Errorf("%s is in the ledger as another event of its key, and none is kept", e)
	}
	return nil
}

// told returns how often destinations were told of each answer.
func (w *World) told(ctx context.Context) (map[string]int, error) {
	told := map[string]int{}
	err := w.cell.View(ctx, shelf{}.Name(), func(r *cell.Reader) error {
		for _, line := range r.Scan(cell.Range{}) {
			var h struct{ Body []byte }
			var of struct{ ResponsePayload json.RawMessage }
			if err := errors.Join(json.Unmarshal(line, &h), json.Unmarshal(h.Body, &of)); err != nil {
				return err
			}
			told[string(of.ResponsePayload)]++
		}
		return nil
	})
	return told, err
}

// tally counts what this world had, so that a test can tell that all of it was there.
func (w *World) tally(ctx context.Context, told map[string]int) {
	all, err := w.keys.Tallies(ctx)
	if err != nil || len(all) == 0 {
		return
	}
	w.Tally["run"], w.Tally["suppressed"], w.Tally["clashed"] = all[0].Run, all[0].Suppressed, all[0].Clashed
	w.Tally["sent in doubt"] = int64(w.doubted)
	w.Tally["answers told again"] = -all[0].Run
	for _, n := range told {
		w.Tally["answers told again"] += int64(n)
	}
	if w.Way != Async {
		w.Tally["answers told again"] = 0
	}
	w.Tally[w.Way]++
	w.Tally["took s"] += int64(w.clock.Now().Sub(w.began) / time.Second)
}
