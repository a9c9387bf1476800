package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/node"
)

// A list is a verb that shows all there are of a kind, as the node's console
// tells it: a row each, or all of them as JSON.
type list[T any] struct {
	path   string            // of the console
	query  func() url.Values // behind it; nil for none
	header string            // of the columns, with a tab between two
	cells  func(one T) []any
	none   string // what a person is told, on standard error, when there is none
}

// verb has a command list, and returns it.
func (l list[T]) verb(w world, c *cobra.Command) *cobra.Command {
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		path := l.path
		if l.query != nil {
			path += "?" + l.query().Encode()
		}
		var all []T
		if err := get(c.Context(), a, path, &all); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, all)
		}
		table(w.out, l.header, func(row func(...any)) {
			for _, one := range all {
				row(l.cells(one)...)
			}
		})
		if len(all) == 0 {
			fmt.Fprintln(w.err, l.none)
		}
		noteClock(w.out, a)
		return nil
	}
	return c
}
