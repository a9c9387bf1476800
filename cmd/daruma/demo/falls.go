package demo

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
)

// A fall is one thing that goes wrong, and its way back up. run makes it
// happen and says each part when it has seen it, from outside; an error says
// that it was not seen.
type fall struct {
	title string
	run   func(ctx context.Context, d *Demo, say sayer) error
}

// A sayer says that a part of a fall was seen.
type sayer func(p Part, format string, args ...any)

// falls are what a demonstration goes through, in order.
var falls = []fall{
	{"A poison record", poisonRecord},
	{"An uncaught exception", uncaughtException},
	{"A time-out", timeOut},
	{"A worker is killed", killedWorker},
	{"A burst beyond capacity", burst},
	{"A dependency is down", bankDown},
	{"The platform is killed", killedPlatform},
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

// told waits until an owner has been told of something, and says so.
func (d *Demo) told(ctx context.Context, say sayer, of func(n notice) bool) error {
	var n notice
	err := d.until(ctx, "a message to the owner", func() (told bool) { n, told = d.bank.toldOf(of); return told })
	if err == nil {
		say(Told, "%s, who owns %s: %s", n.owner, cmp.Or(n.function, "the app"), n.text)
	}
	return err
}

// repairOf matches the notice of a repair of a function, or of the app, with
// these words. since leaves out what was told before.
func repairOf(function, words string, since time.Time) func(notice) bool {
	return func(n notice) bool {
		return n.repair && n.function == function && n.got.After(since) && strings.Contains(n.text, words)
	}
}

// charged waits until an order is charged and its buyer told.
func (d *Demo) charged(ctx context.Context, order string) error {
	return d.until(ctx, "the charged order", func() bool { return d.bank.done(order) })
}
