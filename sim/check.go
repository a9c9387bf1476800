package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
)

// check holds what has become of everything against what was promised.
func (w *World) check(ctx context.Context) error {
	all, each, err := w.d.Accounts(ctx)
	if err != nil {
		return err
	}
	failures, err := w.failures(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally(all, failures)
	return errors.Join(w.everyEventEnded(all, failures), w.attemptsAndTimes(failures), w.everyoneWasTold(ctx, each, failures), w.limitsHeld())
}

// tally counts what this world had, so that a test can tell that all of it was there.
func (w *World) tally(all delivery.Account, failures []*ledger.Failure) {
	w.Tally = map[string]int64{"accepted": all.Accepted, "done": all.Done, "failed": all.Failed, "lost leases": all.Lost,
		"dead letters": all.DeadLetters, "dead letters refused": all.DeadLetterErrors, "destinations": all.Destinations, "destinations refused": all.DestinationErrors}
	for _, r := range w.runs {
		w.Tally["outcome "+r.Outcome.String()]++
	}
	for _, f := range failures {
		w.Tally["condition "+f.Condition]++
	}
	for _, t := range w.Troubles {
		w.Tally[t.Kind]++
	}
}

func (w *World) failures(ctx context.Context) ([]*ledger.Failure, error) {
	return allFailures(ctx, w.l)
}

func allFailures(ctx context.Context, l *ledger.Ledger) ([]*ledger.Failure, error) {
	var all []*ledger.Failure
	for q := (ledger.Query{Max: ledger.PageMax}); ; {
		p, err := l.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Failures...)
		if q.Before = p.Next; p.Next == 0 {
			return all, nil
		}
	}
}

// everyEventEnded: each accepted event is done, or in the ledger, and not both.
func (w *World) everyEventEnded(all delivery.Account, failures []*ledger.Failure) error {
	var errs []error
	kept := map[string]int{}
	n := int64(0)
	for _, f := range failures {
		if f.Hop == ledger.Async {
			kept[f.Request]++
			n++
		}
	}
	if n != all.Failed {
		errs = append(errs, fmt.Errorf("%d events failed, %d are in the ledger", all.Failed, n))
	}
	done := map[string]bool{}
	for _, r := range w.runs {
		done[r.Request] = done[r.Request] || r.Outcome == daruma.Done
	}
	for _, id := range w.acked {
		switch {
		case kept[id] > 1:
			errs = append(errs, fmt.Errorf("event %s is in the ledger %d times", id, kept[id]))
		case kept[id] == 0 && !done[id]:
			errs = append(errs, fmt.Errorf("event %s was accepted and is lost", id))
		case kept[id] == 1 && done[id] && !w.Disturbed():
			errs = append(errs, fmt.Errorf("event %s is done, and in the ledger", id))
		}
	}
	return errors.Join(errs...)
}

// attemptsAndTimes: what ran is what counted, and it ran when the table says.
func (w *World) attemptsAndTimes(failures []*ledger.Failure) error {
	var errs []error
	runs := map[string][]Run{}
	for _, r := range w.runs {
		runs[r.Request] = append(runs[r.Request], r)
	}
	for id, of := range runs {
		slices.SortFunc(of, func(a, b Run) int { return a.At.Compare(b.At) })
		ran := 0
		for i, r := range of {
			if i > 0 && of[i-1].Outcome.Ran() && of[i-1].Outcome != daruma.Unknown && !w.Disturbed() {
				if pause := r.At.Sub(of[i-1].End); pause < time.Duration(ran)*time.Minute {
					errs = append(errs, fmt.Errorf("event %s ran again %v after failure %d", id, pause, ran))
				}
			}
			if r.Outcome.Ran() {
				ran++
			}
		}
		if most := w.retries(of[0].Function) + 1; ran > most && !w.Disturbed() {
			errs = append(errs, fmt.Errorf("event %s ran %d times, %d are allowed", id, ran, most))
		}
	}
	for _, f := range failures {
		if f.Hop != ledger.Async {
			continue
		}
		errs = append(errs, w.endedRightly(f, runs[f.Request]))
	}
	return errors.Join(errs...)
}

func (w *World) retries(function string) int {
	if r := w.function(function).Policy.Retries; r != nil {
		return *r
	}
	return delivery.RetriesDefault
}

// endedRightly: an event was given up for the reason it was.
func (w *World) endedRightly(f *ledger.Failure, runs []Run) error {
	is := w.function(f.Function)
	age := is.Policy.Age
	if age == 0 {
		age = delivery.AgeDefault
	}
	ran := 0
	for _, r := range runs {
		if r.Outcome.Ran() {
			ran++
		}
		if started := r.At.Sub(f.Accepted); started > age+time.Second {
			return fmt.Errorf("event %s ran %v after it was accepted, its age is limited to %v", f.Request, started, age)
		}
	}
	switch {
	case is.Gone:
		return nil
	case f.Condition == delivery.ZeroReservedConcurrency:
		if is.Reserved == nil || *is.Reserved != 0 {
			return fmt.Errorf("event %s was given up for a reserved concurrency of zero", f.Request)
		}
	case f.Condition == delivery.RetriesExhausted:
		if f.Runs != w.retries(f.Function)+1 {
			return fmt.Errorf("event %s has exhausted its retries after %d runs", f.Request, f.Runs)
		}
	case f.Condition == delivery.EventAgeExceeded:
		if f.Runs > w.retries(f.Function) {
			return fmt.Errorf("event %s is too old after %d runs: it has no attempts left", f.Request, f.Runs)
		}
	default:
		return fmt.Errorf("event %s ended with the condition %q", f.Request, f.Condition)
	}
	if f.Runs != ran && !w.Disturbed() {
		return fmt.Errorf("event %s ran %d times, %d were counted", f.Request, ran, f.Runs)
	}
	return nil
}

// everyoneWasTold: each end is with its destination, or in the ledger because the destination did not take it.
func (w *World) everyoneWasTold(ctx context.Context, each []delivery.Account, failures []*ledger.Failure) error {
	told := map[string]int64{}
	err := w.cell.View(ctx, "sink", func(r *cell.Reader) error {
		for key := range r.Scan(cell.Range{}) {
			function, rest, _ := strings.Cut(string(key), "/")
			role, _, _ := strings.Cut(rest, "/")
			told[function+"/"+role]++
		}
		return nil
	})
	for _, f := range failures {
		if f.Hop == ledger.Destination || f.Hop == ledger.DeadLetter {
			told[f.Function+"/undeliverable"]++
		}
	}
	errs := []error{err}
	for _, a := range each {
		p := w.function(a.Function).Policy
		want := int64(0)
		if p.OnSuccess != nil {
			want += a.Done
		}
		if p.OnFailure != nil {
			want += a.Failed
		}
		if got := a.Destinations + a.DestinationErrors; got != want {
			errs = append(errs, fmt.Errorf("%s: %d destinations were told, want %d", a.Function, got, want))
		}
		letters := int64(0)
		if p.DeadLetter != nil {
			letters = a.Failed
		}
		if got := told[a.Function+"/"+delivery.DeadLetter]; got != a.DeadLetters || a.DeadLetters+a.DeadLetterErrors != letters {
			errs = append(errs, fmt.Errorf("%s: %d dead letters are there, %d were sent and %d refused, want %d", a.Function, got, a.DeadLetters, a.DeadLetterErrors, letters))
		}
		if got, want := told[a.Function+"/undeliverable"], a.DestinationErrors+a.DeadLetterErrors; got != want {
			errs = append(errs, fmt.Errorf("%s: %d undeliverable records are in the ledger, want %d", a.Function, got, want))
		}
	}
	return errors.Join(errs...)
}

// limitsHeld: never more at once than is allowed.
func (w *World) limitsHeld() error {
	if w.mostAll > w.Total || w.mostOf > w.Each {
		return fmt.Errorf("%d events ran at once and %d of one function: %d and %d are allowed", w.mostAll, w.mostOf, w.Total, w.Each)
	}
	return nil
}
