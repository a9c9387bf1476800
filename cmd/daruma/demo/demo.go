// Package demo shows the product falling and standing up: it brings an example
// up in a process of its own, sends it orders, has things fall one after the
// other, and closes the account at the end.
//
//	shop ── orders ──► platform (a child process) ── Charge, Notify ──► bank
//	  │ its own list of what was acknowledged           what it saw ───┤
//	  └──────────────────────── account ◄── events in the ledger ──────┘
//
// The demonstration stands outside of what it demonstrates: it kills the
// platform without asking it, and counts with its own list of acknowledged
// orders, what the bank saw, and the events in the ledger. What is said about
// it goes to a [Narrator]; nothing here knows of terminals. A new fall is one
// more value in the list of falls.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/node"
)

// Config is what a demonstration needs. All of it is required.
type Config struct {
	Dir       string                                                                        // where the example is copied to; made when it is not there
	TimeScale int                                                                           // how many times as fast the app's clock runs
	Command   func(args ...string) *exec.Cmd                                                // a process of daruma that is to be started
	Ask       func(ctx context.Context, a node.Address, path string) (io.ReadCloser, error) // the console of a node
	Narrator  Narrator
}

// Bounds of a demonstration.
const (
	rate     = 20               // orders a second
	calm     = 1 * time.Second  // of traffic before each fall
	startMax = 5 * time.Minute  // for the platform to come up: compilers run
	fallMax  = time.Minute      // for one fall, beside what it waits by the app's clock
	waitMax  = 20 * time.Minute // of that
	drainMax = 20 * time.Second // for what is in progress at the end
)

// A Demo is one demonstration.
type Demo struct {
	cfg      Config
	bank     *bank
	shop     *shop
	platform *platform
	began    time.Time
	old      ledger.ID               // the last failure that was in the ledger before
	known    map[ledger.GroupID]bool // groups that were
}

// Open copies the example, brings it up and begins to count. The caller
// closes what it returns.
func Open(ctx context.Context, cfg Config) (*Demo, error) {
	d := &Demo{cfg: cfg, began: time.Now(), known: map[ledger.GroupID]bool{}}
	if err := copyExample(cfg.Dir); err != nil {
		return nil, err
	}
	var err error
	if d.bank, err = openBank(); err != nil {
		return nil, err
	}
	d.platform = &platform{cfg: cfg, bank: d.bank}
	d.tell(Line{Kind: Step, Text: fmt.Sprintf("An app that takes orders is in %s.", cfg.Dir)})
	d.tell(Line{Kind: Step, Text: "Its three Go functions are being compiled; the first time takes a while."})
	if err := d.platform.start(ctx); err != nil {
		d.bank.close()
		return nil, err
	}
	before, err := d.platform.failures(ctx)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	for _, f := range before {
		d.old = max(d.old, f.Number)
		d.known[f.Group] = true
	}
	d.tell(Line{Kind: Step, Text: fmt.Sprintf("It is up after %s: %s, its clock %d times as fast as yours.", short(time.Since(d.began)), places(d.platform.isolation), cfg.TimeScale)})
	d.shop = newShop(d.platform.ordersURL)
	return d, nil
}

func places(isolation string) string {
	if isolation == "namespaces" {
		return "each function in a place of its own"
	}
	return "functions as plain processes"
}

// Close stops the platform in good order.
func (d *Demo) Close() error {
	defer d.bank.close()
	return d.platform.stop()
}

// Address says how the platform is reached.
func (d *Demo) Address() node.Address { return d.platform.address }

// Run has everything fall, and returns the account. An error says that
// something did not stand up, or could not be counted.
func (d *Demo) Run(ctx context.Context) (Account, error) {
	trade, close := context.WithCancel(ctx)
	traded := make(chan struct{})
	go func() {
		defer close()
		defer func() { traded <- struct{}{} }()
		d.shop.trade(trade, rate)
	}()
	err := d.fall(ctx)
	close()
	<-traded
	if err != nil {
		return Account{}, err
	}
	a, err := d.settle(ctx)
	if err != nil {
		return a, err
	}
	d.tell(Line{Kind: Closing, Account: &a})
	return a, nil
}

// fall goes through the list of falls while orders come in.
func (d *Demo) fall(ctx context.Context) error {
	if err := d.trade(ctx); err != nil {
		return err
	}
	d.tell(Line{Kind: Step, Text: fmt.Sprintf("Orders come in, %d a second; each is charged, and its buyer told.", rate)})
	for i, f := range falls {
		d.tell(Line{Kind: Fall, Fall: i + 1, Title: f.title})
		within, cancel := context.WithTimeout(ctx, fallMax+waitMax/time.Duration(d.cfg.TimeScale))
		err := f.run(within, d, func(p Part, format string, args ...any) {
			d.tell(Line{Kind: Happened, Fall: i + 1, Title: f.title, Part: p, Text: fmt.Sprintf(format, args...)})
		})
		cancel()
		if err == nil {
			err = d.trade(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.title, err)
		}
	}
	return nil
}

// trade waits until orders have been charged for a while.
func (d *Demo) trade(ctx context.Context) error {
	from, until := d.bank.count(), time.Now().Add(calm)
	return d.until(ctx, "orders to be charged", func() bool { return d.bank.count() >= from+rate/2 && time.Now().After(until) })
}

func (d *Demo) tell(l Line) {
	l.Seconds = time.Since(d.began).Seconds()
	d.cfg.Narrator.Tell(l)
}

// look is how often the outside is looked at.
const look = 20 * time.Millisecond

// until waits for something that only looking tells.
func (d *Demo) until(ctx context.Context, what string, seen func() bool) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !seen() {
		select {
		case <-tick.C:
		case err := <-d.platform.ended:
			d.platform.ended <- err
			return errors.Join(fmt.Errorf("the platform has ended while it was to see %s", what), err)
		case <-ctx.Done():
			return fmt.Errorf("no sign of %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// short is a duration for people.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
