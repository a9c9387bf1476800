package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/heal"
)

// A burst, and what the bank can do about it.
const (
	burstOrders = 150
	burstAtOnce = 16
	busy        = 40 * time.Millisecond // for one charge: 100 a second, in four processes
)

// burst is more orders at once than can be charged at once.
func burst(ctx context.Context, d *Demo, say sayer) error {
	d.bank.answerAfter(busy)
	defer d.bank.answerAfter(0)
	began := time.Now()
	d.bank.crowded() // what was before does not count
	orders, err := d.shop.burst(ctx, burstOrders, burstAtOnce)
	if err != nil {
		return err
	}
	say(Fell, "%d orders come in %s. Charge may have %d processes, as many as the bank takes at once, and each order takes %s there.",
		len(orders), short(time.Since(began)), reserved, short(busy))
	most := int64(0)
	var failed error
	err = d.until(ctx, "the orders of the burst at the bank", func() bool {
		var now console.Account
		if failed = d.platform.ask(ctx, "/api/account", &now); failed != nil {
			return true
		}
		for _, f := range now.Each {
			if f.Function == "Charge" {
				most = max(most, f.InProgress())
			}
		}
		return !slices.ContainsFunc(orders, func(order string) bool { return !d.bank.done(order) })
	})
	if failed != nil {
		err = failed
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	crowd := d.bank.crowded()
	if crowd > reserved {
		return fmt.Errorf("%d orders were at the bank at once, and Charge may have %d processes", crowd, reserved)
	}
	say(Caught, "Up to %d waited on the disk for their turn; what waits uses up no attempt. Never more than %d were at the bank at once.", most, crowd)
	if n, told := d.bank.toldOf(func(n notice) bool { return n.function == "Charge" && n.got.After(began) }); told {
		say(Told, "%s: %s", n.owner, n.text)
	} else {
		say(Told, "nobody: nothing has failed.")
	}
	say(Stood, "The last of the %d was charged, and its buyer told, %s after the burst began.", len(orders), short(took))
	return nil
}

// heldOrders are waiting when the bank comes back.
const heldOrders = 40

// reserved is Charge's reserved concurrency, as the template has it.
const reserved = 4

// bankDown is the end of what a function needs, for everybody.
func bankDown(ctx context.Context, d *Demo, say sayer) error {
	began := time.Now()
	d.bank.down(true)
	defer d.bank.down(false)
	say(Fell, "The bank is down: every connection to it breaks, whatever order it is for.")
	var held heal.Status
	if err := d.until(ctx, "the hold of Charge", func() (is bool) { held, is = d.holdOf(ctx); return is }); err != nil {
		return err
	}
	say(Caught, "Most orders failed, so it is no order's fault: after %s Charge was held, %s. Orders keep their place and their attempts; one is tried now and then.",
		short(time.Since(began)), held.Repair)
	if err := d.told(ctx, say, repairOf("Charge", "hold", began)); err != nil {
		return err
	}
	kept, err := d.kept(ctx)
	if err != nil {
		return err
	}
	waiting := func() []string {
		acked := d.shop.acknowledged()
		return slices.DeleteFunc(acked, func(order string) bool { return d.bank.done(order) || kept[order] != "" })
	}
	if err := d.until(ctx, "orders that wait", func() bool { return len(waiting()) >= heldOrders }); err != nil {
		return err
	}
	orders := waiting()
	d.bank.down(false)
	back := time.Now()
	if err := d.until(ctx, "the end of the hold", func() bool { _, still := d.holdOf(ctx); return !still }); err != nil {
		return err
	}
	if err := d.until(ctx, "the orders that were held", func() bool {
		return !slices.ContainsFunc(orders, func(order string) bool { return !d.bank.done(order) })
	}); err != nil {
		return err
	}
	say(Stood, "The bank is back, and the orders that were tried went well. %s later all %d that had waited are charged. None of them was given up.", short(time.Since(back)), len(orders))
	return nil
}

// holdOf returns what is known of Charge, and whether it is held.
func (d *Demo) holdOf(ctx context.Context) (heal.Status, bool) {
	var all []heal.Status
	if d.platform.ask(ctx, "/api/breakers", &all) != nil {
		return heal.Status{}, false // the next look may say more
	}
	for _, s := range all {
		if s.Function == "Charge" && s.Key == "" {
			return s, s.Held()
		}
	}
	return heal.Status{}, false
}
