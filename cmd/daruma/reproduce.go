package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/reproduce"
)

func reproduceCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "reproduce F-N|BUNDLE",
		Short: "Run the event of a failure again, as it ran, and compare",
		Long: `Run the event of a failure again: with the code and configuration it failed
with, in a fresh environment, with the answers that hosts outside gave at the time
if they were recorded (daruma up --record FUNCTION). A reproduction is no attempt:
the failure stays as it is, and nothing goes outside unless --network live is given.

With --current it runs with what is deployed now: is it fixed?

With --bundle FILE all that it takes is written to one file instead, for a colleague
or a coding agent: daruma reproduce FILE runs it on another machine, where no node
need run. Values of variables that look like secrets are not in it. A bundle is
code: run those of people you trust.

Exit code: 0 if the answer is yes (it failed in the same way; with --current: it
ended well), 3 if it is no (it ended well; with --current: it failed in the same
way), 4 if it failed in another way, 1 if it could not be run.`,
		Example: `  daruma reproduce F-17
  daruma reproduce F-17 --current && daruma failures redrive F-17
  daruma reproduce F-17 --network live --timeout 1m
  daruma reproduce F-17 --debug
  daruma reproduce F-17 --bundle F-17.tar.gz
  daruma reproduce F-17.tar.gz --env API_KEY=…`,
		Args: cobra.ExactArgs(1),
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	var o reproduce.Options
	fl := c.Flags()
	fl.BoolVar(&o.Current, "current", false, "run with the code and configuration that are deployed now")
	fl.StringVar(&o.Network, "network", "", "what it reaches: recorded, live or deny (default: recorded; live where functions run as plain processes)")
	fl.BoolVar(&o.Debug, "debug", false, "wait for a debugger (node --inspect, debugpy, dlv), without time-outs")
	fl.BoolVar(&o.Install, "install", false, "with --debug: fetch what the debugger needs into the cache")
	fl.DurationVar(&o.Timeout, "timeout", 0, "another time-out than the function's own")
	event := fl.String("event", "", "a file with another event, as when sensitive fields were not kept")
	bundle := fl.String("bundle", "", "write it all to this file (tar.gz) instead of running it")
	env := fl.StringArray("env", nil, "of a bundle: a variable's value, as NAME=VALUE; may be given again")
	isolation := fl.String("isolation", "auto", "of a bundle: how the function is kept apart: auto, namespaces or processes")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *event != "" {
			raw, err := os.ReadFile(w.path(*event))
			if err != nil {
				return &daruma.Error{Op: "read the event", Ref: *event, Kind: daruma.KindInvalid, Err: err}
			}
			o.Event = raw
		}
		if o.Timeout < 0 {
			return errUsage{errors.New("--timeout is not negative")}
		}
		var id ledger.ID
		if wrong := id.UnmarshalText([]byte(args[0])); wrong != nil {
			if _, err := os.Stat(w.path(args[0])); err != nil {
				return errUsage{fmt.Errorf("%w, and there is no such file", wrong)}
			}
			if o.Current || *bundle != "" {
				return errUsage{errors.New("--current and --bundle go with a failure: a bundle is run as it is")}
			}
			r, err := reproduceBundle(c.Context(), w, w.path(args[0]), *env, *isolation, o, attacher(w, *asJSON))
			if err != nil {
				return err
			}
			return tellResult(w, r, *asJSON)
		}
		if len(*env) > 0 || c.Flags().Changed("isolation") {
			return errUsage{errors.New("--env and --isolation go with a bundle")}
		}
		for _, of := range []string{"event", "network", "timeout", "debug", "install"} {
			if *bundle != "" && c.Flags().Changed(of) {
				return errUsage{fmt.Errorf("--%s is of a run, and --bundle runs nothing: say it when the file is run", of)}
			}
		}
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		if *bundle != "" {
			return fetchBundle(c.Context(), w, a, id, *bundle, o.Current, *asJSON)
		}
		r, err := askReproduce(c.Context(), a, id, o, attacher(w, *asJSON))
		if err != nil {
			return err
		}
		return tellResult(w, r, *asJSON)
	}
	return c
}

// fetchBundle writes what is needed to reproduce a failure to a file, whole or not at all.
func fetchBundle(ctx context.Context, w world, a node.Address, id ledger.ID, name string, current, asJSON bool) (err error) {
	body, err := ask(ctx, a, "GET", fmt.Sprintf("/api/bundle?id=%s&current=%t", url.QueryEscape(id.String()), current))
	if err != nil {
		return err
	}
	defer body.Close()
	path := w.path(name)
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // only its owner reads it
	if err != nil {
		return &daruma.Error{Op: "write the bundle", Ref: name, Kind: daruma.KindInvalid, Err: err}
	}
	n, err := io.Copy(f, body)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what went wrong first is the error
		return &daruma.Error{Op: "write the bundle", Ref: name, Err: err}
	}
	if asJSON {
		return printJSON(w.out, map[string]any{"failure": id, "bundle": path, "bytes": n})
	}
	fmt.Fprintf(w.out, "%s is in %s (%d KB). Run it anywhere: daruma reproduce %s\n", id, name, (n+1023)>>10, name)
	return nil
}

// reproduceBundle runs a case from a file, without a node.
func reproduceBundle(ctx context.Context, w world, file string, env []string, isolation string, o reproduce.Options, tell func(reproduce.Attach) error) (_ *reproduce.Result, err error) {
	values, err := parseVariables(env)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "daruma-reproduce-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	unpacked := filepath.Join(dir, "case")
	if err := os.Mkdir(unpacked, 0o755); err != nil {
		return nil, err
	}
	c, err := reproduce.OpenBundle(file, unpacked, values)
	if err != nil {
		return nil, err
	}
	rig, end, err := node.OpenRig(node.Config{Data: filepath.Join(dir, "rig"), Isolation: isolation, Lookup: w.lookup, Progress: func(text string) { fmt.Fprintln(w.err, "  "+text) }})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	return reproduce.Run(ctx, c, o, rig, tell)
}

func parseVariables(given []string) (map[string]string, error) {
	values := map[string]string{}
	for _, v := range given {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, errUsage{fmt.Errorf("--env %q is not NAME=VALUE", v)}
		}
		values[name] = value
	}
	return values, nil
}

// askReproduce has the node run a failure's event again.
func askReproduce(ctx context.Context, a node.Address, id ledger.ID, o reproduce.Options, tell func(reproduce.Attach) error) (*reproduce.Result, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", a.Console+"/api/reproduce?id="+url.QueryEscape(id.String()), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := send(req, a)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	for dec := json.NewDecoder(answer); ; {
		var line node.ReproduceAnswer
		switch err := dec.Decode(&line); {
		case err != nil:
			return nil, &daruma.Error{Op: "reproduce", Ref: id.String(), Kind: daruma.KindUnavailable, Err: fmt.Errorf("the node ended before it was done: %w", err)}
		case line.Error != "":
			return nil, &daruma.Error{Err: errors.New(line.Error), Hint: line.Hint}
		case line.Attach != nil:
			if err := tell(*line.Attach); err != nil {
				return nil, err
			}
		case line.Result != nil:
			return line.Result, nil
		}
	}
}

// attacher tells how a debugger is attached.
func attacher(w world, asJSON bool) func(reproduce.Attach) error {
	return func(a reproduce.Attach) error {
		if asJSON {
			return printJSON(w.out, map[string]any{"attach": a})
		}
		_, err := fmt.Fprintf(w.out, "The function waits for a debugger at %s. Attach:\n\n  %s\n\nor with VS Code, in .vscode/launch.json:\n\n%s\n\n", a.Address, a.Command, a.VSCode)
		return err
	}
}

// tellResult prints what a reproduction came to, and answers with the exit code.
func tellResult(w world, r *reproduce.Result, asJSON bool) error {
	if asJSON {
		if err := printJSON(w.out, r); err != nil {
			return err
		}
	} else {
		showResult(w.out, r)
	}
	switch {
	case r.Yes():
		return nil
	case r.Verdict == reproduce.Other:
		return errExit(exitOther)
	}
	return errExit(exitNo)
}

// verdicts say what came of it, without and with the current code.
var verdicts = map[string][2]string{
	reproduce.Same:   {"it failed in the same way", "it still fails in the same way"},
	reproduce.Passed: {"it ended well this time", "it ends well now"},
	reproduce.Other:  {"it failed in another way", "it fails in another way now"},
}

func showResult(out io.Writer, r *reproduce.Result) {
	now := 0
	if r.Current {
		now = 1
	}
	fmt.Fprintf(out, "%s  %s\n\n", r.Failure, verdicts[r.Verdict][now])
	fmt.Fprintf(out, "function   %s  version %s", r.Function, r.Version)
	if r.CodeSHA256 != "" { // of a bundle nobody knows it
		fmt.Fprintf(out, "  code %s", r.CodeSHA256)
	}
	fmt.Fprintln(out)
	fmt.Fprintf(out, "request    %s\n", r.Request)
	if r.Trace != "" {
		fmt.Fprintf(out, "trace      %s\n", r.Trace)
	}
	fmt.Fprintf(out, "network    %s", r.Network.Mode)
	if r.Network.Mode == reproduce.Recorded {
		fmt.Fprintf(out, ", %d answers played back", r.Network.Played)
	}
	fmt.Fprintln(out)
	table(out, "\tWAS\tIS", func(row func(...any)) {
		side := func(name, was, is string) {
			if was != "" || is != "" {
				row(name, dash(firstLine(was)), dash(firstLine(is)))
			}
		}
		side("outcome", r.Was.Outcome, r.Is.Outcome)
		side("error type", r.Was.ErrorType, r.Is.ErrorType)
		side("message", r.Was.Message, r.Is.Message)
		side("location", r.Was.Location.String(), r.Is.Location.String())
		side("duration", r.Was.Duration.Round(time.Microsecond).String(), r.Is.Duration.Round(time.Microsecond).String())
	})
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(out, "\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	for _, d := range r.Differences {
		if d.What == "log" || d.What == "stack" {
			list(d.What+", was", nonEmpty(d.Was))
			list(d.What+", is", nonEmpty(d.Is))
		}
	}
	list("asked outside and not answered", r.Network.Missed)
	list("recorded, and not asked for this time", r.Network.Unused)
	list("not recorded at the time", r.Network.NotRecorded)
	list("note", r.Notes)
	if len(r.Answer) > 0 {
		list("answer", []string{string(r.Answer)})
	}
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
