package demo

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/ledger"
)

// poisonRecord is a message of a queue that nobody can work on, among others
// that are well.
func poisonRecord(ctx context.Context, d *Demo, say sayer) error {
	order, mailed := d.shop.number(), d.bank.mailed()
	if _, err := d.shop.send(ctx, basket{Order: order, Item: items[0], Buyer: "nobody, nowhere"}); err != nil {
		return err
	}
	say(Fell, "The buyer of order %s has no address. It is charged, but its receipt is poison for Notify: it fails in each batch.", order)
	f, err := d.failureOf(ctx, order)
	if err != nil {
		return err
	}
	say(Caught, "Only that record came back; after %d tries it was put aside as %s, in the queue Undeliverable.", f.Runs, f.Number)
	if err := d.toldOfGroup(ctx, say, f); err != nil {
		return err
	}
	say(Stood, "%d buyers behind it were told meanwhile. daruma failures redrive %s --edit FILE gives it an address.", d.bank.mailed()-mailed, f.Number)
	return nil
}

// uncaughtException is an order at which a function crashes whenever it is tried.
func uncaughtException(ctx context.Context, d *Demo, say sayer) error {
	order, charged := d.shop.number(), d.bank.count()
	if _, err := d.shop.send(ctx, basket{Order: order, Item: "sake", Buyer: buyer}); err != nil {
		return err
	}
	began := time.Now()
	say(Fell, "Order %s is for sake, which nobody sells. Charge follows a nil pointer and panics.", order)
	f, err := d.failureOf(ctx, order)
	if err != nil {
		return err
	}
	took, pauses := time.Since(began), []string{}
	for i := 1; i < len(f.Attempts); i++ {
		pauses = append(pauses, f.Attempts[i].At.Sub(f.Attempts[i-1].At).Round(time.Second).String())
	}
	say(Caught, "It was tried %d times, %s apart (%s here), then put aside as %s: the event, the stack, the log, the code that ran.",
		f.Runs, strings.Join(pauses, " and "), short(took), f.Number)
	if err := d.toldOfGroup(ctx, say, f); err != nil {
		return err
	}
	say(Stood, "%d orders behind it were charged meanwhile. daruma reproduce %s runs it again, on the side.", d.bank.count()-charged, f.Number)
	return nil
}

// failureOf waits until an order's failure is in the ledger.
func (d *Demo) failureOf(ctx context.Context, order string) (f *ledger.Failure, err error) {
	err = d.until(ctx, "order "+order+" in the ledger", func() bool {
		kept, err := d.kept(ctx)
		if err != nil || kept[order] == "" {
			return false
		}
		all, err := d.platform.failures(ctx)
		if i := slices.IndexFunc(all, func(f *ledger.Failure) bool { return f.Number.String() == kept[order] }); err == nil && i >= 0 {
			f = all[i]
		}
		return f != nil
	})
	return f, err
}

// toldOfGroup waits until an owner has been told of a failure's group. Of one
// that was there before the demonstration began nobody is told again.
func (d *Demo) toldOfGroup(ctx context.Context, say sayer, f *ledger.Failure) error {
	if d.known[f.Group] {
		say(Told, "nobody again: %s was told of others like it, %s, when they were new.", f.Owner, f.Group)
		return nil
	}
	return d.told(ctx, say, func(n notice) bool { return n.group == f.Group.String() })
}
