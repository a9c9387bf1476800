package main

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

func TestTheProcessOfADetachedNodeStartsNoOther(t *testing.T) {
	for _, given := range [][]string{
		{"up", "--detach"}, {"up", "-d", "--json", "app"}, {"up", "-vd"}, {"up", "--detach=true", "--json=true"}, {"up", "-d", "--", "app"}, {"up", "app", "-dv", "-p", "A=up"},
	} {
		w := world{args: detachedArguments(given)}
		root, ran := newRoot(w), false
		up, _, err := root.Find([]string{"up"})
		if err != nil {
			t.Fatal(err)
		}
		up.RunE = func(c *cobra.Command, args []string) error {
			ran = true
			detach, err1 := c.Flags().GetBool("detach")
			fd, err2 := c.Flags().GetInt("ready-fd")
			if err1 != nil || err2 != nil || !detach || fd != 3 || (upFlags{detach: detach, readyFD: fd}).background() {
				t.Errorf("%q: detach %v, ready-fd %d, %v, %v: it starts another", given, detach, fd, err1, err2)
			}
			if want := slices.DeleteFunc(slices.Clone(given[1:]), func(a string) bool { return a != "app" }); !slices.Equal(args, want) {
				t.Errorf("%q: got the arguments %q, want %q", given, args, want)
			}
			return nil
		}
		root.SetArgs(w.args)
		if err := root.Execute(); err != nil || !ran {
			t.Errorf("%q: %v, ran %v", given, err, ran)
		}
	}
}
