package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

// A flowRunner runs the function of one life of the process.
type flowRunner struct {
	w    *FlowWorld
	life context.Context
}

// Run handles a batch.
func (r flowRunner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	w := r.w
	w.mu.Lock()
	if w.Throttle > 0 && w.running >= w.Throttle {
		w.Tally["throttled"]++
		w.mu.Unlock()
		return daruma.Outcome{Kind: daruma.Throttled}
	}
	w.running++
	w.mu.Unlock()
	began := w.clock.Now()
	dice := rand.New(rand.NewPCG(uint64(began.UnixNano()), w.Seed))
	both, stop := context.WithCancel(ctx)
	defer context.AfterFunc(r.life, stop)()
	defer stop()
	err := w.clock.Sleep(both, 1+time.Duration(dice.Int64N(int64(w.Slowest))))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if err != nil {
		return daruma.Outcome{Kind: daruma.Unknown}
	}
	return w.handle(strings.Split(string(inv.Payload), "\n"), began, dice)
}

// handle is what the function does with a batch. w.mu is held.
func (w *FlowWorld) handle(bodies []string, began time.Time, dice *rand.Rand) daruma.Outcome {
	failure := daruma.Outcome{Kind: pick(dice, daruma.FunctionError, daruma.TimedOut, daruma.Crashed), Failure: &daruma.Failure{Type: "Error", Message: "it broke"}}
	if w.down(began.Sub(w.began)) {
		w.Tally["runs in an outage"]++
		return failure
	}
	var report []byte
	broken := map[string]bool{}
	for i, body := range bodies {
		group, _, _ := strings.Cut(body, "/")
		if w.Queue.FIFO {
			w.inOrder(bodies[:i], body)
		}
		failed := w.poison(body) || w.flaky(body)
		if !w.Mapping.Partial && failed {
			w.Tally["poisoned runs"]++
			return failure
		}
		if failed || w.Stops && broken[group] && w.Queue.FIFO {
			report = append(report, byte('a'+i))
			broken[group] = true
			continue
		}
		w.good[body] = append(w.good[body], handled{w.clock.Now(), i})
	}
	w.Tally["good runs"]++
	if !w.Mapping.Partial {
		return daruma.Outcome{Kind: daruma.Done, Payload: []byte("nonsense")} // which nobody reads
	}
	if w.Poison > 0 && dice.IntN(50) == 0 {
		w.Tally["nonsense"]++
		report = []byte("nonsense")
	}
	return daruma.Outcome{Kind: daruma.Done, Payload: report}
}

// flaky says whether a message fails the first time it is handled, and only then. w.mu is held.
func (w *FlowWorld) flaky(body string) bool {
	if w.Poison == 0 || w.tried[body] || (body[1]+body[len(body)-1])%5 > 0 {
		return false
	}
	w.tried[body] = true
	w.Tally["flaky"]++
	return true
}

// inOrder notes messages that are handled although one before them in their
// group was not handled well: that must be a dead letter.
func (w *FlowWorld) inOrder(before []string, body string) {
	group, number, _ := strings.Cut(body, "/")
	var n int
	_, _ = fmt.Sscan(number, &n)
	for i := range n {
		earlier := fmt.Sprintf("%s/%d", group, i)
		if len(w.good[earlier]) == 0 && !slices.Contains(before, earlier) {
			w.early = append(w.early, [2]string{body, earlier})
		}
	}
}

// check holds what became of every message against what was promised.
func (w *FlowWorld) check(ctx context.Context, a queue.Account) error {
	_ = w.clock.Sleep(ctx, time.Minute) // whoever still runs something ends
	dead := map[string]int{}
	letters, err := w.q.Peek(ctx, flowDead, 0, queue.PeekMax)
	if err != nil {
		return err
	}
	for _, m := range letters {
		dead[string(m.Body)]++
	}
	failures, err := allFailures(ctx, w.l)
	if err != nil {
		return err
	}
	repairs, err := w.l.Repairs(ctx, 0, "", ledger.PageMax)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, e := range w.early {
		if w.acked[e[1]] && dead[e[1]] == 0 {
			errs = append(errs, fmt.Errorf("%s was handled before %s, which is no dead letter", e[0], e[1]))
		}
	}
	w.Tally["acked"] += int64(len(w.acked))
	w.Tally["dead"] += int64(len(dead))
	w.Tally["holds"] += int64(len(repairs))
	if int64(len(letters)) != a.DeadLetters || len(failures) != len(letters) {
		errs = append(errs, fmt.Errorf("%d messages became dead letters, %d are there, %d in the ledger", a.DeadLetters, len(letters), len(failures)))
	}
	if a.Sent != a.Deleted+a.DeadLetters {
		errs = append(errs, fmt.Errorf("%d messages were sent, %d are done and %d dead letters", a.Sent, a.Deleted, a.DeadLetters))
	}
	for body := range w.acked {
		done := len(w.good[body]) > 0
		switch {
		case dead[body] > 1:
			errs = append(errs, fmt.Errorf("%s is %d dead letters", body, dead[body]))
		case dead[body] == 0 && !done:
			errs = append(errs, fmt.Errorf("%s was accepted and is lost", body))
		case dead[body] == 0 && w.poison(body):
			errs = append(errs, fmt.Errorf("%s can only fail, and is no dead letter", body))
		}
	}
	if w.Busy && len(dead) > 0 {
		errs = append(errs, fmt.Errorf("%d dead letters, and nothing was wrong but outages: %v", len(dead), dead))
	}
	if w.Queue.FIFO && !w.Strict {
		errs = append(errs, w.lastOrder(dead)...)
	}
	return errors.Join(errs...)
}

// lastOrder: in each group, what a message did last was done after what those
// before it did last.
func (w *FlowWorld) lastOrder(dead map[string]int) (errs []error) {
	last := map[string]handled{}
	for _, s := range w.Messages {
		runs := w.good[s.Body]
		if len(runs) == 0 || dead[s.Body] > 0 {
			continue
		}
		is := runs[len(runs)-1]
		if was, ok := last[s.Group]; ok && (is.at.Before(was.at) || is.at.Equal(was.at) && is.place < was.place) {
			errs = append(errs, fmt.Errorf("%s was done last before one that was sent earlier", s.Body))
		}
		last[s.Group] = is
	}
	return errs
}
