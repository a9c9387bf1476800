package demo

import (
	"cmp"
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
	orders := d.shop.acknowledged()
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
		var queues []console.Queue
		if failed = d.platform.ask(ctx, "/api/queues", &queues); failed != nil {
			return true
		}
		pending := now.All.InProgress()
		for _, q := range queues {
			if len(q.DeadLetterOf) == 0 { // what is dead is kept
				pending += q.Account.Messages()
			}
		}
		a = count(orders, d.bank.done, kept, int(pending))
		return a.Done+a.Kept == a.Accepted || time.Now().After(late)
	})
	a.Repeated = d.bank.repeated()
	if failed != nil {
		err = failed
	}
	return a, err
}

// kept reads the events that came into the ledger since the demonstration
// began, and returns the failure of each order that is in one of them.
func (d *Demo) kept(ctx context.Context) (map[string]string, error) {
	all, err := d.platform.failures(ctx)
	if err != nil {
		return nil, err
	}
	kept := map[string]string{}
	for _, f := range all {
		if f.Number <= d.old || f.Hop != ledger.Async && f.Hop != ledger.Queued {
			continue
		}
		var one console.Failure
		if err := d.platform.ask(ctx, "/api/failure?id="+url.QueryEscape(f.Number.String()), &one); err != nil {
			return nil, err
		}
		order, err := orderIn(one.Event)
		if err != nil {
			return nil, fmt.Errorf("the event of %s: %w", f.Number, err)
		}
		kept[order] = f.Number.String()
	}
	return kept, nil
}

// orderIn returns the order that an event of Charge, or a message to Notify, is about.
func orderIn(event []byte) (string, error) {
	var e struct {
		Order           string `json:"order"`
		ResponsePayload struct {
			Order string `json:"order"`
		} `json:"responsePayload"`
	}
	err := json.Unmarshal(event, &e)
	return cmp.Or(e.Order, e.ResponsePayload.Order), err
}
