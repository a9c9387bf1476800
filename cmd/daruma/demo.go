package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cmd/daruma/demo"
	"github.com/daruma-io/daruma/node"
)

func demoCommand(w world) *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "See an app fall and stand up again, and nothing lost",
		Long: `Bring up an app that takes orders, send it some, and have it fall seven times: a
poison record, an uncaught exception, a time-out, a killed worker, a burst beyond
capacity, a bank that is down, and kill -9 of the platform itself. Then count, from
outside, what became of every order that was acknowledged.

It needs the Go tool chain, to compile the app's functions, and takes well under
a minute once they are compiled. Then it stays up, to be looked at. Ctrl-C ends it.`,
		Example: `  daruma demo
  daruma demo --once            exit 0 if the account closes
  daruma demo --dir orders      keep the app there, to change it
  daruma demo --once --json     a journal for programs`,
		Args: cobra.NoArgs,
	}
	fl := c.Flags()
	fl.StringVar(&f.dir, "dir", "", "where the app is copied to (default: a new directory among the temporary ones)")
	fl.BoolVar(&f.once, "once", false, "end after the account; a directory that was not named is removed")
	fl.BoolVar(&f.json, "json", false, "print a line of JSON for each thing that happens")
	fl.IntVar(&f.scale, "time-scale", 60, "how many times as fast as the machine's the app's clock runs")
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c.Context(), w, c.Root()) }
	return c
}

type demoFlags struct {
	dir        string
	once, json bool
	scale      int
}

func (f demoFlags) run(ctx context.Context, w world, root *cobra.Command) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := checkScale(f.scale); err != nil {
		return err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return &daruma.Error{Op: "demo", Kind: daruma.KindUnsupported, Err: err, Hint: "the demonstration compiles Go functions: install Go from https://go.dev/dl"}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, made, err := f.place(w)
	if err != nil {
		return err
	}
	if made && f.once {
		defer func() { _ = os.RemoveAll(dir) }() // it is in the machine's place for what is temporary
	}
	var narrator demo.Narrator = demo.NewTeller(w.out, w.colours())
	if f.json {
		narrator = demo.NewJournal(w.out)
	}
	d, err := demo.Open(ctx, demo.Config{
		Dir: dir, TimeScale: f.scale, Narrator: narrator,
		Command: func(args ...string) *exec.Cmd {
			cmd := exec.Command(self, args...)
			cmd.Dir, cmd.Env = w.dir, w.environ
			return cmd
		},
		Ask: func(ctx context.Context, a node.Address, path string) (io.ReadCloser, error) {
			return ask(ctx, a, "GET", path)
		},
	})
	if err != nil {
		return err
	}
	account, err := d.Run(ctx)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(w.err, "stopped before the account was closed")
		err = errShown
	case err == nil && !account.Closes():
		err = errShown
	case err == nil && !f.once:
		if !f.json {
			showTries(w, root, self, d.Address().Data)
		}
		<-ctx.Done()
	}
	return errors.Join(err, d.Close())
}

// place returns the directory of the app, and whether it is one nobody named.
func (f demoFlags) place(w world) (dir string, made bool, err error) {
	if f.dir == "" {
		dir, err = os.MkdirTemp("", "daruma-")
		return dir, true, err
	}
	dir = w.path(f.dir)
	return dir, false, os.MkdirAll(dir, 0o755)
}

// showTries says what may be tried while the app is up.
func showTries(w world, root *cobra.Command, self, data string) {
	program := "daruma"
	if strings.Contains(self, "go-build") { // go run: there is no program by that name
		program = "go run ./cmd/daruma"
	}
	fmt.Fprintf(w.out, "\n          It stays up. In another terminal:\n\n")
	for _, try := range []struct{ verb, args, text string }{
		{"failures", "show F-2", "the exception: its event, attempts, stack and log"},
		{"reproduce", "F-2", "run exactly that event again, on the side"},
		{"failures", "redrive F-1 --edit event.json", "give the poison record an address, and send it back"},
		{"healing", "", "what was repaired, with evidence, and how to undo it"},
		{"ps", "", "functions, environments, events"},
		{"logs", "-f", "what functions print"},
	} {
		if c, _, err := root.Find([]string{try.verb}); err != nil || c == root {
			continue
		}
		fmt.Fprintf(w.out, "  # %s\n", try.text)
		fmt.Fprintf(w.out, "  %s --data %s\n", strings.TrimSpace(program+" "+try.verb+" "+try.args), shellQuote(data))
	}
	fmt.Fprintf(w.out, "\n          The app is in %s. Ctrl-C ends it.\n", shellQuote(filepath.Dir(data)))
}
