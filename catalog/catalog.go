// Package catalog holds what should exist: functions, their versions and
// aliases, layers, APIs, their owners and tags, as durable records of a cell.
//
// A [View] is the whole catalog at one moment, in memory and unchanging; doors
// and verbs read views and never wait for the disk. A view shows what is on
// the disk, and after a change that was answered shows that change.
//
// What an app should consist of arrives as one [Deployment] and takes effect
// in one atomic step: versions are published, aliases moved and what is no
// longer wanted removed, all of it or nothing.
package catalog

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// A Catalog is the catalog of one cell. Its methods may be called from any goroutine.
type Catalog struct {
	place Place
	cell  *cell.Cell
	view  atomic.Pointer[View]

	refreshing sync.Mutex // a view never replaces a newer one
}

// Open reads the catalog of c, in which [Machine] is one of the machines.
func Open(ctx context.Context, c *cell.Cell, place Place) (*Catalog, error) {
	k := &Catalog{place: place, cell: c}
	if err := k.refresh(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// View returns the catalog as it is now.
func (k *Catalog) View() *View { return k.view.Load() }

// Deploy makes what d asks for exist, and what an earlier deployment asked
// for and this one does not be gone, in one step. Published versions stay
// until their function goes.
//
// Errors: KindInvalid when d contradicts itself (an alias of a function that
// is not in it), and those of the cell.
func (k *Catalog) Deploy(ctx context.Context, d Deployment) (Changes, error) {
	got, err := k.do(ctx, commandDeploy, d)
	if err != nil {
		return Changes{}, daruma.Wrap("deploy", "", err)
	}
	return got.(Changes), nil
}

// SetReserved sets a function's reserved concurrency, or with nil removes it.
// It holds until the template's own value changes.
func (k *Catalog) SetReserved(ctx context.Context, function string, n *int) error {
	_, err := k.do(ctx, commandReserve, reservation{Function: function, Reserved: n})
	return daruma.Wrap("reserve concurrency", function, err)
}

// SetRecursion sets what is done when a function is invoked in a loop:
// RecursionAllow or RecursionTerminate. It holds until the template's own
// value changes.
func (k *Catalog) SetRecursion(ctx context.Context, function, mode string) error {
	_, err := k.do(ctx, commandRecursion, recursion{Function: function, Mode: mode})
	return daruma.Wrap("set recursion", function, err)
}

// ChangeEventInvoke changes how asynchronous invocations of a function are
// treated, and returns what is then configured: nil after a deletion. It holds
// until the template's own value changes. A function, a qualifier or, where
// there must be one, a configuration that does not exist is KindNotFound.
func (k *Catalog) ChangeEventInvoke(ctx context.Context, c EventInvokeChange) (*EventInvokeConfig, error) {
	got, err := k.do(ctx, commandEventInvoke, c)
	if err != nil {
		return nil, daruma.Wrap("configure asynchronous invocation", c.Function, err)
	}
	return got.(*EventInvokeConfig), nil
}

func (k *Catalog) do(ctx context.Context, name string, arguments any) (any, error) {
	got, err := k.cell.Ask(ctx, machineName, name, arguments)
	if err != nil {
		return nil, err
	}
	return got, k.refresh(ctx)
}

// refresh builds a new view from the durable state.
func (k *Catalog) refresh(ctx context.Context) error {
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	var v *View
	err := k.cell.View(ctx, machineName, func(r *cell.Reader) error {
		v = load(r, k.place)
		return nil
	})
	if err != nil {
		return daruma.Wrap("read catalog", "", err)
	}
	k.view.Store(v)
	return nil
}
