package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/watch"
)

type upFlags struct {
	cfg     node.Config
	params  []string
	noWatch bool
	detach  bool
	json    bool
	verbose bool
	readyFD int // where a detached node says that it is ready; 0: nowhere
}

func upCommand(w world) *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up [DIR|TEMPLATE]",
		Short: "Run the application that a template describes",
		Long: `Read the template, build what needs building, start everything, and follow the
logs. A function is built and started anew when its code changes. State is kept
beside the template and is there at the next start.

Ctrl-C stops: running invocations may end; a second Ctrl-C does not wait.`,
		Example: `  daruma up                        the template in this directory
  daruma up examples/quote-go -p Currency=USD
  daruma up --detach && daruma ps && daruma down`,
		Args: cobra.MaximumNArgs(1),
	}
	fl := c.Flags()
	fl.StringVar(&f.cfg.Data, "data", "", "where state is kept (default: "+node.DataDir+" beside the template)")
	fl.StringVar(&f.cfg.AWSAddr, "aws-addr", node.AWSAddrDefault, "where AWS SDKs are answered; port 0 picks one")
	fl.StringVar(&f.cfg.WebAddr, "web-addr", node.WebAddrDefault, "where the app's HTTP APIs are; port 0 picks one")
	fl.StringVar(&f.cfg.ConsoleAddr, "console-addr", node.ConsoleAddrDefault, "where health, metrics and the console are; port 0 picks one")
	fl.StringVar(&f.cfg.Region, "region", "", "the region (default: samconfig.toml's, or us-east-1)")
	fl.StringVar(&f.cfg.StackName, "stack-name", "", "the stack's name (default: samconfig.toml's, or the directory's)")
	fl.StringVar(&f.cfg.ConfigEnv, "config-env", "", "the environment in samconfig.toml (default: default)")
	fl.StringArrayVarP(&f.params, "param", "p", nil, "a parameter's value, as NAME=VALUE; may be given again")
	fl.BoolVar(&f.cfg.AllowUnsupported, "allow-unsupported", false, "go on without what is not supported, and say what will be missing")
	fl.StringVar(&f.cfg.Semantics, "semantics", node.SemanticsResilient, "resilient: hold a function's events while most of them fail; strict: exactly as on AWS")
	fl.StringVar(&f.cfg.Egress, "egress", "allow", "what functions may reach outside: allow or deny")
	fl.StringArrayVar(&f.cfg.AllowPostTo, "allow-post-to", nil, "let messages of topics be posted to addresses inside: a network (10.1.0.0/16) or HOST:PORT; may be given again")
	fl.StringArrayVar(&f.cfg.AllowNotifyTo, "allow-notify-to", nil, "let notices go to addresses inside: a network (10.1.0.0/16) or HOST:PORT; may be given again")
	fl.StringVar(&f.cfg.Isolation, "isolation", "auto", "how functions are kept apart: auto, namespaces or processes")
	fl.BoolVar(&f.cfg.ExactRuntimes, "exact-runtimes", false, "fetch the very version of Node.js that a function asks for (from npm), not the nearest one here")
	fl.IntVar(&f.cfg.TimeScale, "time-scale", 1, "run the app's clock so many times as fast as the machine's: retries, ages and schedules; functions run as they do")
	fl.StringArrayVar(&f.cfg.Record, "record", nil, "keep what hosts outside tell this function with its failures, to play it back; may be given again")
	fl.StringArrayVar(&f.cfg.RecordRedact, "record-redact", nil, "a header, parameter or member whose value is not kept of it; may be given again")
	fl.StringVar(&f.cfg.OTLP, "otlp", "", "send every span to this collector too, such as http://localhost:4318 (OTEL_EXPORTER_OTLP_HEADERS and its like hold)")
	fl.BoolVar(&f.noWatch, "no-watch", false, "do not build again when code changes")
	fl.BoolVarP(&f.detach, "detach", "d", false, "return when everything is ready and go on in the background")
	fl.BoolVar(&f.json, "json", false, "print one line of JSON when ready")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "say more about what is done")
	fl.IntVar(&f.readyFD, "ready-fd", 0, "write the line of --json to this file descriptor")
	must(fl.MarkHidden("ready-fd"))
	c.RunE = func(c *cobra.Command, args []string) error {
		params, err := parseParams(f.params)
		if err != nil {
			return err
		}
		if err := checkScale(f.cfg.TimeScale); err != nil {
			return err
		}
		f.cfg.Template, f.cfg.Params, f.cfg.Watch = templatePath(w, args), params, !f.noWatch
		if f.background() {
			return upDetached(c.Context(), w, f)
		}
		return up(c.Context(), w, f)
	}
	return c
}

// background says whether another process is to run the node. One that is told where to say that it is ready is that process.
func (f upFlags) background() bool { return f.detach && f.readyFD == 0 }

// detachedArguments are the command line of the process that runs the node, with the words of the one that starts it
// as they are. Its own comes before them, for what follows -- is no flag.
func detachedArguments(given []string) []string {
	return slices.Insert(slices.Clone(given), slices.Index(given, "up")+1, "--ready-fd=3")
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func parseParams(given []string) (map[string]string, error) {
	params := map[string]string{}
	for _, p := range given {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, errUsage{fmt.Errorf("--param %q is not NAME=VALUE", p)}
		}
		params[name] = value
	}
	return params, nil
}

// up runs a node until ctx ends.
func up(ctx context.Context, w world, f upFlags) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	told := context.AfterFunc(ctx, func() { // the second signal ends the process, and with it everything it started
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		fmt.Fprintln(w.err, "stopping; Ctrl-C again does not wait")
	})
	defer told()
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	cfg := f.cfg
	cfg.Log = slog.New(tint.NewTextHandler(w.err, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !w.terminal}))
	cfg.Version = version()
	cfg.Lookup = w.lookup
	cfg.Progress = func(text string) { fmt.Fprintln(w.err, "  "+strings.ReplaceAll(text, "\n", "\n  ")) }
	data, err := node.DataFor(cfg)
	if err != nil {
		return err
	}
	cfg.Experiments = (&asked{w: w, template: cfg.Template, data: data}).experiments()
	paceCollector(w)
	n, err := node.Open(ctx, cfg)
	if err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	show := sync.OnceValue(func() error { return f.ready(w, n) })
	select {
	case <-n.Ready():
		if err := show(); err != nil {
			stop()
			return errors.Join(err, <-ran)
		}
	case err := <-ran:
		return err
	}
	if f.readyFD > 0 { // nobody is looking: what functions log is kept in bounded space
		return <-ran
	}
	follow := watch.Query{Follow: true, Since: time.Now()}
	out := w.out
	if f.json {
		out = w.err // standard output has its one line
	}
	print := newLinePrinter(out, w.terminal)
	for l, err := range n.Logs(context.WithoutCancel(ctx), follow) { // to the node's own end
		if err == nil {
			err = print(l)
		}
		if err != nil {
			break
		}
	}
	return <-ran
}

// ready says that the node is ready, in the form that was asked for.
func (f upFlags) ready(w world, n *node.Node) error {
	switch {
	case f.readyFD > 0:
		pipe := os.NewFile(uintptr(f.readyFD), "ready")
		defer pipe.Close()
		return json.NewEncoder(pipe).Encode(n.Address().Ready())
	case f.json:
		return printJSON(w.out, n.Address().Ready())
	default:
		showScreen(w.out, n.Status(), w.terminal)
		return nil
	}
}

// upDetached starts another process that runs the node and waits until that is ready.
func upDetached(ctx context.Context, w world, f upFlags) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	data, err := node.DataFor(f.cfg)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	logName := filepath.Join(data, "node.log")
	log, err := os.OpenFile(logName, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	ready, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(self, detachedArguments(w.args)...)
	cmd.Dir, cmd.Env = w.dir, w.environ
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{writer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	writer.Close()
	interrupted := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(os.Interrupt) }) // it may have ended
	defer interrupted()
	var line node.Ready
	said := startCopy(w.err, logName)
	notReady := json.NewDecoder(ready).Decode(&line)
	said()
	if notReady != nil {
		_ = cmd.Wait() // it has said itself what is wrong
		return errShown
	}
	a, err := node.Find("", data)
	if err != nil {
		return err
	}
	s, err := status(ctx, a)
	if err != nil {
		return err
	}
	must(cmd.Process.Release())
	if f.json {
		return printJSON(w.out, line)
	}
	showScreen(w.out, s, w.terminal)
	fmt.Fprintf(w.out, "In the background as process %d. Logs: daruma logs -f. Stop: daruma down.\n", line.PID)
	return nil
}

// copyEvery is how often what the node says is looked for.
const copyEvery = 100 * time.Millisecond

// startCopy writes to out what comes to be in a file, until the function it
// returns is called, which waits for the rest.
func startCopy(out io.Writer, name string) (end func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.Open(name)
		if err != nil {
			return // it only shows progress
		}
		defer f.Close()
		tick := time.NewTicker(copyEvery)
		defer tick.Stop()
		for last := false; !last; {
			select {
			case <-tick.C:
			case <-over:
				last = true
			}
			if _, err := io.Copy(out, f); err != nil {
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(over); <-done })
}

// showScreen prints what a person wants to know when an app has come up.
func showScreen(out io.Writer, s console.Status, colour bool) {
	bold := func(text string) string {
		if !colour {
			return text
		}
		return "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(out, "\n%s is up\n", bold(s.App))
	table(out, "FUNCTION\tRUNTIME\tTIMEOUT\tMEMORY\tSTATE", func(row func(...any)) {
		for _, f := range s.Functions {
			state := f.State
			if f.Reason != "" {
				state += ": " + firstLine(f.Reason)
			}
			row(f.Name, f.Runtime, time.Duration(f.TimeoutS*float64(time.Second)), fmt.Sprintf("%d MB", f.MemoryMB), state)
		}
	})
	if len(s.Endpoints) > 0 {
		fmt.Fprintln(out)
	}
	for _, e := range s.Endpoints {
		name := e.LogicalID
		if e.Stage != "" {
			name += " (" + e.Stage + ")"
		}
		fmt.Fprintf(out, "%s\n  %s\n", name, bold(e.URL))
		for _, r := range e.Routes {
			fmt.Fprintf(out, "    %s\n", r)
		}
		if e.Auth != "" {
			fmt.Fprintf(out, "    signed requests only (AuthType %s): curl --aws-sigv4 aws:amz:%s:lambda --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" …\n", e.Auth, s.Region)
		}
	}
	for _, o := range s.Outputs {
		fmt.Fprintf(out, "%s = %s\n", o.Name, o.Value)
	}
	fmt.Fprintf(out, "\nstate      %s\nAWS SDKs   eval \"$(daruma env --data %s)\"    (%s, %s)\nconsole    %s\nisolation  %s, egress: %s\n",
		s.Data, shellQuote(s.Data), s.AWS, s.Region, s.Console, s.Isolation, s.Egress.Policy)
	if text := clockText(s.Clock.Scale, s.Clock.AheadS); text != "" {
		fmt.Fprintf(out, "clock      %s\n", text)
	}
	for _, m := range s.Missing {
		fmt.Fprintf(out, "  not available on this machine: %s\n", m)
	}
	for _, l := range s.Left {
		fmt.Fprintf(out, "left out: %s\n", l)
	}
	fmt.Fprintln(out)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
