package demo

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// What is in progress when the platform is killed.
const (
	openMin = 5
	slow    = 400 * time.Millisecond
)

// timeOut is what a function waits for and does not get.
func timeOut(ctx context.Context, d *Demo, say sayer) error {
	order, began := d.shop.number(), time.Now()
	h := d.bank.hold(order)
	if _, err := d.shop.send(ctx, basket{Order: order, Item: items[1], Buyer: buyer}); err != nil {
		return err
	}
	if err := arrive(ctx, h.arrived, "the order at the bank"); err != nil {
		return err
	}
	asked := time.Now()
	say(Fell, "The bank does not answer for order %s. Charge waits.", order)
	if err := arrive(ctx, h.left, "the time-out"); err != nil {
		return err
	}
	ended := time.Now()
	if err := arrive(ctx, h.again, "the second attempt at the bank"); err != nil {
		return err
	}
	say(Caught, "It was ended at its time-out, %s after it had asked, and tried again %s later. Time-outs are real: only waits run faster.",
		short(ended.Sub(asked)), short(time.Since(ended)))
	if err := d.told(ctx, say, repairOf("Charge", "time-out", began)); err != nil {
		return err
	}
	if err := d.charged(ctx, order); err != nil {
		return err
	}
	say(Stood, "The bank answers now. Order %s is charged, and its buyer told.", order)
	return nil
}

// killedWorker is the end of a function's process in the middle of its work.
func killedWorker(ctx context.Context, d *Demo, say sayer) error {
	order, charged := d.shop.number(), d.bank.count()
	h := d.bank.hold(order)
	request, err := d.shop.send(ctx, basket{Order: order, Item: items[0], Buyer: buyer})
	if err != nil {
		return err
	}
	pid, err := d.busyWith(ctx, request)
	if err != nil {
		return err
	}
	if err := arrive(ctx, h.arrived, "the order at the bank"); err != nil {
		return err
	}
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	say(Fell, "kill -9 %d: a process of Charge is gone while it has the bank charge order %s.", pid, order)
	if err := arrive(ctx, h.left, "the end of the process at the bank"); err != nil {
		return err
	}
	if err := arrive(ctx, h.again, "the second attempt at the bank"); err != nil {
		return err
	}
	say(Caught, "The platform saw it end, counted one attempt, and tried the order again in another process %s later.", short(time.Since(killed)))
	if err := d.told(ctx, say, repairOf("Charge", "ended", killed)); err != nil {
		return err
	}
	if err := d.charged(ctx, order); err != nil {
		return err
	}
	say(Stood, "Order %s is charged, and its buyer told; so are %d others.", order, d.bank.count()-charged-1)
	return nil
}

// busyWith returns the process that has a request of Charge.
func (d *Demo) busyWith(ctx context.Context, request string) (pid int, err error) {
	err = d.until(ctx, "a process that has the order", func() bool {
		s, err := d.platform.status(ctx)
		for _, e := range s.Environments {
			if err == nil && e.Function == "Charge" && e.Request == request {
				pid = e.PID
			}
		}
		return pid > 0
	})
	return pid, err
}

// killedPlatform is the end of the platform itself, at work.
func killedPlatform(ctx context.Context, d *Demo, say sayer) error {
	kept, err := d.kept(ctx)
	if err != nil {
		return err
	}
	open := func() (orders []string, acknowledged int) {
		acked := d.shop.acknowledged()
		return slices.DeleteFunc(slices.Clone(acked), func(order string) bool { return d.bank.done(order) || kept[order] != "" }), len(acked)
	}
	d.bank.answerAfter(slow) // so that there is something in progress
	err = d.until(ctx, "orders in progress", func() bool {
		orders, _ := open()
		return len(orders) >= openMin
	})
	if err != nil {
		return err
	}
	pid, killed := d.platform.address.PID, time.Now()
	if err := d.platform.kill(); err != nil {
		return err
	}
	d.bank.answerAfter(0)
	orders, acked := open()
	say(Fell, "kill -9 %d: the platform is gone, and every process of its functions, with %d acknowledged orders in progress.", pid, len(orders))
	if err := d.platform.start(ctx); err != nil {
		return err
	}
	err = d.until(ctx, "the first answer", func() bool {
		_, now := open()
		return now > acked
	})
	if err != nil {
		return err
	}
	say(Caught, "Started again on what was on the disk, it took the next order %s after it was killed.", short(time.Since(killed)))
	if err := d.told(ctx, say, repairOf("", "lease", killed)); err != nil {
		return err
	}
	err = d.until(ctx, "the orders that were in progress", func() bool {
		kept, err = d.kept(ctx)
		return err == nil && !slices.ContainsFunc(orders, func(order string) bool { return !d.bank.done(order) && kept[order] == "" })
	})
	if err != nil {
		return err
	}
	say(Stood, "All %d are done. Nothing that was acknowledged is missing.", len(orders))
	return nil
}
