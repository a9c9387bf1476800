package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/ledger"
)

// An Account says what became of every order that was acknowledged. It is
// counted from outside: orders by the shop, effects by the bank, and failures
// by the events that lie in the ledger.
type Account struct {
	Accepted   int      `json:"accepted"` // answered with 202
	Done       int      `json:"done"`     // charged, and the buyer told
	Kept       int      `json:"kept"`     // in the ledger, with the event
	InProgress int      `json:"inProgress"`
	Lost       int      `json:"lost"`
	Repeated   int      `json:"repeated"` // requests the bank had seen before; it charged each order once
	Failures   []string `json:"failures"` // of Kept
}

// Closes says whether every acknowledged order is somewhere.
func (a Account) Closes() bool {
	return a.Lost == 0 && a.Accepted == a.Done+a.Kept+a.InProgress
}

// close counts orders, each once. pending is how many events the platform
// says are in progress: what is nowhere else and not there is lost.
func count(acked []string, done func(order string) bool, kept map[string]string, pending int) Account {
	a := Account{Accepted: len(acked), Failures: []string{}}
	left := 0
	for _, order := range acked {
		failure := kept[order]
		switch {
		case done(order):
			a.Done++
		case failure != "":
			a.Kept++
			a.Failures = append(a.Failures, failure)
		default:
			left++
		}
	}
	a.InProgress = min(left, pending)
	a.Lost = left - a.InProgress
	return a
}

// settle waits until nothing is in progress, for a bounded time, and counts.
func (d *Demo) settle(ctx context.Context) (Account, error) {
	ctx, cancel := context.WithTimeout(ctx, drainMax+fallMax)
	defer cancel()
	orders, _ := d.shop.acknowledged()
	late := time.Now().Add(drainMax)
	var a Account
	var failed error
	err := d.until(ctx, "the end of what is in progress", func() bool {
		kept, err := d.kept(ctx)
		if err != nil {
			failed = err
			return true
		}
		var now console.Account
		if failed = d.platform.ask(ctx, "/api/account", &now); failed != nil {
			return true
		}
		a = count(orders, d.bank.done, kept, int(now.All.InProgress()))
		return a.Done+a.Kept == a.Accepted || time.Now().After(late)
	})
	a.Repeated = d.bank.repeated()
	if failed != nil {
		err = failed
	}
	return a, err
}

// kept reads the events in the ledger and returns the failure of each order
// that is in one of them.
func (d *Demo) kept(ctx context.Context) (map[string]string, error) {
	all, err := d.platform.failures(ctx, "")
	if err != nil {
		return nil, err
	}
	kept := map[string]string{}
	for _, f := range all {
		if f.Hop != ledger.Async || f.Function != "Charge" {
			continue
		}
		var one console.Failure
		if err := d.platform.ask(ctx, "/api/failure?id="+url.QueryEscape(f.Number.String()), &one); err != nil {
			return nil, err
		}
		var event struct {
			Order string `json:"order"`
		}
		if err := json.Unmarshal(one.Event, &event); err != nil {
			return nil, fmt.Errorf("the event of %s: %w", f.Number, err)
		}
		kept[event.Order] = f.Number.String()
	}
	return kept, nil
}
