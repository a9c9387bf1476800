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
		Use:   "reproduce F-N",
		Short: "Run the event of a failure again, as it ran, and say what is different",
		Long: `Run the event of a failure again: with the code and configuration it failed
with, in a fresh environment, with the answers that hosts outside gave at the time
if they were recorded (daruma up --record FUNCTION). A reproduction is no attempt:
the failure stays as it is, and nothing goes outside unless --network live is given.

With --current it runs with what is deployed now: is it fixed?

Exit code: 0 if the answer is yes (it failed in the same way; with --current: it
ended well), 3 if it is no (it ended well; with --current: it failed in the same
way), 4 if it failed in another way, 1 if it could not be run.`,
		Example: `  daruma reproduce F-17
  daruma reproduce F-17 --current && daruma failures redrive F-17
  daruma reproduce F-17 --network live --timeout 1m`,
		Args: cobra.ExactArgs(1),
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	var o reproduce.Options
	fl := c.Flags()
	fl.BoolVar(&o.Current, "current", false, "run with the code and configuration that are deployed now")
	fl.StringVar(&o.Network, "network", "", "what it reaches: recorded, live or deny (default: recorded; live where functions run as plain processes)")
	fl.DurationVar(&o.Timeout, "timeout", 0, "another time-out than the function's own")
	event := fl.String("event", "", "a file with another event, as when sensitive fields were not kept")
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
		if err := id.UnmarshalText([]byte(args[0])); err != nil {
			return errUsage{err}
		}
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		r, err := askReproduce(c.Context(), a, id, o)
		if err != nil {
			return err
		}
		return tellResult(w, r, *asJSON)
	}
	return c
}

// path is a path as given, seen from the working directory.
func (w world) path(given string) string {
	if filepath.IsAbs(given) {
		return given
	}
	return filepath.Join(w.dir, given)
}

// askReproduce has the node run a failure's event again.
func askReproduce(ctx context.Context, a node.Address, id ledger.ID, o reproduce.Options) (*reproduce.Result, error) {
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
		case line.Result != nil:
			return line.Result, nil
		}
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
	fmt.Fprintf(out, "function   %s  version %s  code %s\n", r.Function, r.Version, r.CodeSHA256)
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
