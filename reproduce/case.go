// Package reproduce runs the event of a failure again: with the code and the
// configuration it failed with, in an environment of its own, with the answers
// hosts outside gave at the time, and says whether it fails in the same way.
//
//	failure ─┐
//	code ────┼─► Case ─► Run ─► a Rig plays it ─► Result: was, is, the difference
//	tape ────┘     │
//	               └─► WriteBundle ─► a file ─► OpenBundle ─► Case, on another machine
//
// It promises that a reproduction is no attempt: nothing of it is in the
// ledger, in an account of deliveries, or in what a function is counted by; and
// that nothing goes outside unless the network is Live. A bundle holds no
// secret that is known as one: see [WriteBundle].
//
// It does not promise what a run of its own cannot have: the time of then, what
// earlier events left in memory and in /tmp.
//
// Functions may be called from any goroutine.
package reproduce

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/tape"
)

// A Case is everything that is needed to run the event of a failure again.
type Case struct {
	Failure  *ledger.Failure
	Event    []byte
	Function *catalog.Function // as it was, or as it is now when Current
	Place    catalog.Place
	Tape     *tape.Tape // nil: nothing was recorded
	Current  bool       // it runs with what is deployed now: is it fixed?
	Notes    []string   // what is not as it was
}

// Can says whether a function's run led to a failure, so that it can be run again.
func Can(f *ledger.Failure) bool {
	return (f.Hop.Runs() || f.Hop == ledger.Published) && (f.Hop != ledger.Queued || f.Outcome != "")
}

// Of puts a case together. An event, when there is one, takes the place of the
// failure's.
//
// Errors: KindUnsupported for a failure that no function's run led to,
// KindNotFound when the code or the configuration is not kept any more.
func Of(f *ledger.Failure, event []byte, v *catalog.View, current bool) (*Case, error) {
	wrong := func(kind daruma.Kind, hint, format string, args ...any) (*Case, error) {
		return nil, &daruma.Error{Op: "reproduce", Ref: f.Number.String(), Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if !Can(f) {
		return wrong(daruma.KindUnsupported, "send it on its way again: daruma failures redrive "+f.Number.String(), "no function failed here: %s", f.Did)
	}
	c := &Case{Failure: f, Event: event, Place: v.Place, Current: current}
	if len(f.Redacted) > 0 {
		c.Notes = append(c.Notes, "the event is not whole: "+strings.Join(f.Redacted, ", ")+" was not kept; --event FILE gives another one")
	}
	const currentHint = "--current runs its event with what is deployed now"
	switch {
	case current:
		found, err := v.Resolve(daruma.Target{Function: f.Function, Qualifier: f.Qualifier}, 1)
		if err != nil {
			return wrong(daruma.KindNotFound, "", "the function is not deployed any more: %w", err)
		}
		c.Function = found
	case f.Revision == "":
		return wrong(daruma.KindNotFound, currentHint, "it never ran, so there is no code it failed with")
	default:
		c.Function = v.Revision(f.Function, f.Revision)
	}
	if err := here(c.Function); err != nil {
		return wrong(daruma.KindNotFound, currentHint, "the code and configuration it failed with are not kept any more: %w", err)
	}
	if !current && f.CodeSHA256 != "" && f.CodeSHA256 != c.Function.Code.SHA256 {
		return wrong(daruma.KindNotFound, currentHint, "the code it failed with is not known any more")
	}
	return c, nil
}

// here says whether a function's code is on this machine.
func here(f *catalog.Function) error {
	if f == nil {
		return fmt.Errorf("they are for as long as a failure is open, and of one function for the last %d changes", catalog.PastMax)
	}
	if f.Code.Dir == "" {
		return errors.New("it was never built")
	}
	dirs := []string{f.Code.Dir}
	for _, l := range f.Layers {
		dirs = append(dirs, l.Code.Dir)
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil {
			return err
		} else if !info.IsDir() {
			return fmt.Errorf("%s is no directory", dir)
		}
	}
	return nil
}

// target is how the event was, and is, invoked.
func (c *Case) target() daruma.Target {
	return daruma.Target{Function: c.Failure.Function, Qualifier: c.Failure.Qualifier}
}

// view is a catalog in which there is the function alone.
func (c *Case) view(f *catalog.Function) *catalog.View {
	var aliases []*catalog.Alias
	if q := c.Failure.Qualifier; q != "" && q != f.Version {
		aliases = []*catalog.Alias{{Function: f.Name, Name: q, Version: f.Version}}
	}
	return catalog.NewView(c.Place, []*catalog.Function{f}, aliases, nil, nil)
}
