// Command daruma runs serverless applications on this machine, catches every
// failure in them, explains it and heals it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/daruma-io/daruma"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it did not work, or the function answered with an error
	exitUsage  = 2 // the command line is wrong
	// Of reproduce, which answers a question: not, or in another way.
	exitNo    = 3
	exitOther = 4
)

func main() {
	enterPlace() // does not return in a process that is to become part of a place
	os.Exit(run(world{
		args: os.Args[1:], dir: workingDir(), lookup: os.LookupEnv, environ: os.Environ(),
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		terminal: term.IsTerminal(int(os.Stdout.Fd())),
	}))
}

// A world is everything of the process that a command may touch.
type world struct {
	args     []string
	dir      string // the working directory
	lookup   func(string) (string, bool)
	environ  []string
	in       io.Reader
	out, err io.Writer
	terminal bool // out is a terminal: colours are welcome
}

// path is a path as given, seen from the working directory.
func (w world) path(given string) string {
	if filepath.IsAbs(given) {
		return given
	}
	return filepath.Join(w.dir, given)
}

// colours says whether what is printed may have colours (https://no-color.org).
func (w world) colours() bool {
	off, set := w.lookup("NO_COLOR")
	return w.terminal && (!set || off == "")
}

func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	return dir
}

// errShown ends a command that has already said what is wrong.
var errShown = errors.New("failed")

// errExit ends a command that has said what there is to say with an exit code of its own.
type errExit int

func (e errExit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// errUsage marks a command line that is wrong.
type errUsage struct{ error }

func run(w world) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(w)
	root.SetArgs(w.args)
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.err)
	err := root.ExecuteContext(ctx)
	var usage errUsage
	var exit errExit
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errShown):
		return exitFailed
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &usage):
		fmt.Fprintf(w.err, "daruma: %v\n", err)
		return exitUsage
	default:
		showError(w.err, err)
		return exitFailed
	}
}

func newRoot(w world) *cobra.Command {
	root := &cobra.Command{
		Use:   "daruma",
		Short: "Run serverless applications on your own machine, break them on purpose, and see them heal",
		Long: `Daruma runs serverless applications on your own machine: functions written
for AWS Lambda and described by a SAM template, unmodified.

Falls seven times, stands up eight.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	root.AddCommand(breakersCommand(w), mappingsCommand(w), alarmsCommand(w))
	root.AddCommand(upCommand(w), demoCommand(w), doctorCommand(w), downCommand(w), envCommand(w), experimentCommand(w), failuresCommand(w), faultCommand(w), healingCommand(w), invokeCommand(w), logsCommand(w), notifyCommand(w), psCommand(w), queuesCommand(w), reproduceCommand(w), tablesCommand(w), topicsCommand(w), traceCommand(w), validateCommand(w), versionCommand(w))
	settle(root)
	return root
}

// showError prints what is wrong, a line for each problem, and what to do about it.
func showError(out io.Writer, err error) {
	fmt.Fprintf(out, "daruma: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	if hint := daruma.HintOf(err); hint != "" {
		fmt.Fprintf(out, "  → %s\n", hint)
	}
}

// listing makes ls a subcommand of c, and what c does when it is given none.
func listing(c, ls *cobra.Command) {
	c.Flags().AddFlagSet(ls.Flags())
	c.RunE = ls.RunE
	c.AddCommand(ls)
}
