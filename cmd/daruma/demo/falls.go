package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/daruma-io/daruma/ledger"
)

// A fall is one thing that goes wrong, and its way back up. run makes it
// happen and says each part when it has seen it, from outside; an error says
// that it was not seen.
type fall struct {
	title string
	run   func(ctx context.Context, d *Demo, say func(p Part, format string, args ...any)) error
}

// falls are what a demonstration goes through, in order.
var falls = []fall{
	{"A bad order", badOrder},
	{"A function's process is killed", killedProcess},
	{"A bank that does not answer", silentBank},
	{"The platform is killed", killedPlatform},
}

// What is in progress when the platform is killed.
const (
	openMin = 5
	slow    = 400 * time.Millisecond
)

// badOrder is an order that fails whenever it is tried.
func badOrder(ctx context.Context, d *Demo, say func(Part, string, ...any)) error {
	order, charged := d.shop.number(), d.bank.charged()
	request, err := d.shop.send(ctx, order, "sake")
	if err != nil {
		return err
	}
	began := time.Now()
	say(Fell, "Order %s is for sake, which has no price. Charge fails.", order)
	var f *ledger.Failure
	err = d.until(ctx, "the bad order in the ledger", func() bool {
		all, err := d.platform.failures(ctx, request)
		if err == nil && len(all) > 0 {
			f = all[0]
		}
		return f != nil
	})
	if err != nil {
		return err
	}
	took, pauses := time.Since(began), []string{}
	for i := 1; i < len(f.Attempts); i++ {
		pauses = append(pauses, f.Attempts[i].At.Sub(f.Attempts[i-1].At).Round(time.Second).String())
	}
	say(Caught, "It was tried %d times, %s apart (%s here), then put aside as %s: with the event, the stack, the log and the code that ran.",
		f.Runs, strings.Join(pauses, " and "), short(took), f.Number)
	var n notice
	if err := d.until(ctx, "a message to the owner", func() (told bool) { n, told = d.bank.toldOf(f.Group.String()); return told }); err != nil {
		return err
	}
	say(Told, "%s, who owns Charge, has got the message: %s", n.owner, n.summary)
	say(Stood, "%d orders behind it were charged meanwhile.", d.bank.charged()-charged)
	return nil
}

// killedProcess is the end of a process in the middle of its work.
func killedProcess(ctx context.Context, d *Demo, say func(Part, string, ...any)) error {
	order, charged := d.shop.number(), d.bank.charged()
	h := d.bank.hold(order)
	request, err := d.shop.send(ctx, order, items[0])
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
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	killed := time.Now()
	say(Fell, "Process %d of Charge is killed while it has the bank charge order %s.", pid, order)
	if err := arrive(ctx, h.left, "the end of the process at the bank"); err != nil {
		return err
	}
	if err := arrive(ctx, h.again, "the second attempt at the bank"); err != nil {
		return err
	}
	say(Caught, "The platform saw it end, counted one attempt, and tried the order again in another process %s later.", short(time.Since(killed)))
	if err := d.until(ctx, "the charged order", func() bool { return d.bank.done(order) }); err != nil {
		return err
	}
	say(Stood, "Order %s is charged, and its buyer told; so are %d others. It needed nobody.", order, d.bank.charged()-charged-1)
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

// arrive waits for something the bank sees.
func arrive(ctx context.Context, seen <-chan struct{}, what string) error {
	select {
	case <-seen:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no sign of %s: %w", what, ctx.Err())
	}
}

// silentBank is a time-out: what a function needs does not answer.
func silentBank(ctx context.Context, d *Demo, say func(Part, string, ...any)) error {
	order := d.shop.number()
	h := d.bank.hold(order)
	if _, err := d.shop.send(ctx, order, items[1]); err != nil {
		return err
	}
	if err := arrive(ctx, h.arrived, "the order at the bank"); err != nil {
		return err
	}
	began := time.Now()
	say(Fell, "The bank does not answer for order %s. Charge waits.", order)
	if err := arrive(ctx, h.left, "the time-out"); err != nil {
		return err
	}
	ended := time.Now()
	if err := arrive(ctx, h.again, "the second attempt at the bank"); err != nil {
		return err
	}
	say(Caught, "It was ended at its time-out, %s after it had asked, and tried again %s later. Time-outs are real: only waits run faster.", short(ended.Sub(began)), short(time.Since(ended)))
	if err := d.until(ctx, "the charged order", func() bool { return d.bank.done(order) }); err != nil {
		return err
	}
	say(Stood, "The bank answers now. Order %s is charged, and its buyer told.", order)
	return nil
}

// killedPlatform is the end of the platform itself, at work.
func killedPlatform(ctx context.Context, d *Demo, say func(Part, string, ...any)) error {
	kept, err := d.kept(ctx)
	if err != nil {
		return err
	}
	open := func() (orders []string, acknowledged int) {
		acked, _ := d.shop.acknowledged()
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
	err = d.until(ctx, "the orders that were in progress", func() bool {
		kept, err = d.kept(ctx)
		return err == nil && !slices.ContainsFunc(orders, func(order string) bool { return !d.bank.done(order) && kept[order] == "" })
	})
	if err != nil {
		return err
	}
	say(Stood, "All %d are done %s after it was killed. Nothing that was acknowledged is missing.", len(orders), short(time.Since(killed)))
	return nil
}
