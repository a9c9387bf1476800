package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/reproduce"
)

func failuresCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "failures",
		Short: "Show what failed, and send it back or set it aside",
		Long: `Every call that failed and every event that was given up is kept with the event
itself, what was tried, and what is known of the cause. Failures alike are one
group. An event can be sent back to where it was going; doing so twice is harmless.`,
		Example: `  daruma failures ls --state open
  daruma failures show F-17
  daruma failures redrive F-17
  daruma failures redrive --group G-3 --rate 10
  daruma failures discard F-17 --reason "a test"`,
		Args: cobra.NoArgs,
	}
	listing(c, failuresListCommand(w))
	c.AddCommand(failuresGroupsCommand(w), failuresShowCommand(w), failuresRedriveCommand(w), failuresDiscardCommand(w))
	return c
}

// failureFlags choose failures.
type failureFlags struct{ group, function, state, request, trace, text string }

func (f *failureFlags) add(c *cobra.Command, state string) {
	fl := c.Flags()
	fl.StringVar(&f.group, "group", "", "only this group, such as G-3")
	fl.StringVar(&f.function, "function", "", "only this function")
	fl.StringVar(&f.state, "state", state, "only these: open, redriven, discarded or resolved")
	fl.StringVar(&f.request, "request", "", "only this request ID")
	fl.StringVar(&f.trace, "trace", "", "only this trace, by its root")
	fl.StringVar(&f.text, "grep", "", "only those with this text in message, type, stack or log")
}

func (f *failureFlags) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"group": f.group, "function": f.function, "state": f.state, "request": f.request, "trace": f.trace, "text": f.text} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// get asks the node's console for a value.
func get[T any](ctx context.Context, a node.Address, path string, v *T) error {
	body, err := ask(ctx, a, "GET", path)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(v)
}

// find returns up to most failures that f chooses, newest first.
func (f *failureFlags) find(ctx context.Context, a node.Address, most int) (list []*ledger.Failure, err error) {
	q := f.query()
	for most > 0 {
		q.Set("max", strconv.Itoa(min(most, ledger.PageMax)))
		var page ledger.Page
		if err := get(ctx, a, "/api/failures?"+q.Encode(), &page); err != nil {
			return nil, err
		}
		list = append(list, page.Failures...)
		most -= len(page.Failures)
		if page.Next == 0 {
			break
		}
		q.Set("before", page.Next.String())
	}
	return list, nil
}

// none is what a person is told when no failure is one of those.
func (f *failureFlags) none() string {
	if len(f.query()) == 0 {
		return "nothing has failed"
	}
	return "no such failure"
}

// names returns the failures that args name, or those that f chooses; it says so when that is none.
func (f *failureFlags) names(ctx context.Context, w world, a node.Address, args []string) ([]string, error) {
	for _, id := range args {
		if isGroup(id) {
			return nil, errUsage{fmt.Errorf("%s is a group of failures: choose them with --group %s", id, id)}
		}
	}
	if len(args) > 0 {
		return args, nil
	}
	if f.group == "" && f.function == "" && f.request == "" && f.trace == "" && f.text == "" {
		return nil, errUsage{errors.New("name failures, or choose them with --group, --function, --request, --trace or --grep")}
	}
	list, err := f.find(ctx, a, 1<<20)
	for _, x := range list {
		args = append(args, x.Number.String())
	}
	if err == nil && len(list) == 0 {
		fmt.Fprintln(w.err, f.none())
	}
	return args, err
}

func failuresListCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "ls", Short: "List failures, newest first", Args: cobra.NoArgs}
	data, asJSON := dataFlag(c), jsonFlag(c)
	var f failureFlags
	f.add(c, "")
	last := c.Flags().IntP("last", "n", 50, "at most so many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		list, err := f.find(c.Context(), a, *last)
		if err != nil {
			return err
		}
		if *asJSON {
			for _, x := range list {
				if err := printJSON(w.out, x); err != nil {
					return err
				}
			}
			return nil
		}
		table(w.out, "FAILURE\tGROUP\tWHEN\tHOP\tFUNCTION\tSTATE\tRUNS\tERROR", func(row func(...any)) {
			for _, x := range list {
				row(x.Number, x.Group, x.At.Local().Format(time.DateTime), x.Hop, x.Function, x.State, x.Runs, firstLine(errorText(x.ErrorType, x.Message)))
			}
		})
		if len(list) == 0 {
			fmt.Fprintln(w.err, f.none())
		}
		noteClock(w.out, a)
		return nil
	}
	return c
}

func errorText(kind, message string) string {
	if kind == "" {
		return message
	}
	return kind + ": " + message
}

func failuresGroupsCommand(w world) *cobra.Command {
	return list[console.Group]{
		path:   "/api/groups",
		header: "GROUP\tSTATUS\tFUNCTION\tCOUNT\tOPEN\tFIRST\tLAST\tWHERE\tERROR",
		cells: func(g console.Group) []any {
			return []any{g.Number, g.Status, g.Function, g.Count, g.Open, g.First.Local().Format(time.DateTime), g.Last.Local().Format(time.DateTime), dash(g.Location.String()), firstLine(errorText(g.ErrorType, g.Message))}
		},
		none: "nothing has failed",
	}.verb(w, &cobra.Command{Use: "groups", Short: "List groups of failures that are alike", Args: cobra.NoArgs})
}

func failuresShowCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "show F-N", Short: "Show one failure with its event", Args: cobra.ExactArgs(1)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	event := c.Flags().Bool("event", false, "print the event only, as it was handed to the function")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		f, err := failure(c.Context(), a, args[0])
		if err != nil {
			return err
		}
		switch {
		case *event:
			_, err = fmt.Fprintf(w.out, "%s\n", f.Event)
			return err
		case *asJSON:
			return printJSON(w.out, f)
		}
		showFailure(w.out, f)
		noteClock(w.out, a)
		return nil
	}
	return c
}

// isGroup says whether id is that of a group, which people name where a failure is meant.
func isGroup(id string) bool { return new(ledger.GroupID).UnmarshalText([]byte(id)) == nil }

// failure asks the node for one failure.
func failure(ctx context.Context, a node.Address, id string) (f console.Failure, err error) {
	if isGroup(id) {
		return f, &daruma.Error{Op: "show the failure", Ref: id, Kind: daruma.KindInvalid, Err: errors.New("it is a group of failures"), Hint: "daruma failures ls --group " + id}
	}
	return f, get(ctx, a, "/api/failure?id="+url.QueryEscape(id), &f)
}

func showFailure(out io.Writer, f console.Failure) {
	fmt.Fprintf(out, "%s  %s  %s\n\n", f.Number, f.State, errorText(f.ErrorType, f.Message))
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); strings.TrimSpace(text) != "" {
			fmt.Fprintf(out, "%-10s %s\n", name, text)
		}
	}
	line("group", "%s", f.Group)
	line("function", "%s  version %s  code %s", f.Function, f.Version, f.CodeSHA256)
	line("where", "%s", f.Location)
	line("hop", "%s", f.Hop)
	line("condition", "%s", f.Condition)
	line("at", "%s", f.At.Local().Format(time.RFC3339))
	line("owner", "%s", f.Owner)
	line("request", "%s", f.Request)
	if f.Trace != "" {
		line("trace", "%s  (daruma trace %s)", f.Trace, f.Number)
	}
	if ledger.Alone(f.Attempts) {
		line("alone", "most other events went well around it: it is the event that is to blame")
	}
	line("faults", "%s", strings.Join(f.Faults, ", "))
	line("did", "%s", f.Did)
	switch f.State {
	case ledger.Open:
		line("next", "%s", f.Next)
	case ledger.Redriven:
		line("next", "it was sent back: daruma trace %s tells what came of it", f.Number)
	}
	if reproduce.Can(f.Failure) {
		line("again", "daruma reproduce %s  (with what is deployed now: --current)", f.Number)
	}
	line("reason", "%s", f.Reason)
	if len(f.Redacted) > 0 {
		line("redacted", "%s", strings.Join(f.Redacted, ", "))
	}
	table(out, "ATTEMPT\tAT\tTOOK\tOUTCOME\tERROR", func(row func(...any)) {
		for i, t := range f.Attempts {
			row(i+1, t.At.Local().Format("15:04:05.000"), t.Duration.Round(time.Microsecond), t.Outcome, dash(firstLine(errorText(t.ErrorType, t.Message))))
		}
	})
	for _, part := range []struct {
		name  string
		lines []string
	}{{"STACK", f.Stack}, {"LOG", f.Log}, {"EVENT", []string{string(f.Event)}}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(out, "\n%s\n%s\n", part.name, strings.Join(part.lines, "\n"))
		}
	}
}

func failuresRedriveCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "redrive [F-N…]",
		Short: "Send events back to where they were going",
		Long: `Send events back to where they were going, with their request IDs kept and a link
to the failure. Without names, the open failures that the flags choose. An event
that was sent back already is not sent again.`,
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	var f failureFlags
	f.add(c, string(ledger.Open))
	dry := c.Flags().Bool("dry-run", false, "say what would be sent back")
	rate := c.Flags().Float64("rate", 0, "at most so many a second (default: as fast as they are taken)")
	edit := c.Flags().String("edit", "", "a file with the event to send instead; with one failure only")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case *edit != "" && len(args) != 1:
			return errUsage{errors.New("--edit goes with one failure")}
		case c.Flags().Changed("rate") && interval(*rate) <= 0:
			return errUsage{fmt.Errorf("--rate %v is not a number above 0, and up to 1e+09", *rate)}
		}
		var payload []byte
		var err error
		if *edit != "" {
			if payload, err = readEdited(w, *edit); err != nil {
				return err
			}
		}
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		if args, err = f.names(c.Context(), w, a, args); err != nil {
			return err
		}
		if *dry {
			return tellEach(w, args, func(id string) (string, error) {
				f, err := failure(c.Context(), a, id)
				switch {
				case err != nil:
					return "", err
				case f.State == ledger.Redriven:
					return "was sent back before", nil
				case f.State == ledger.Resolved:
					return "is resolved, and would not be sent back", nil
				}
				return "would be sent back", nil
			})
		}
		return redriveAll(c.Context(), w, a, args, payload, *rate, *asJSON)
	}
	return c
}

// readEdited reads the event that is to take the place of a failure's. Whether it is
// one, who knows what the failure was to be handed to decides.
func readEdited(w world, path string) ([]byte, error) {
	b, err := os.ReadFile(w.path(path))
	if err == nil && len(b) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, &daruma.Error{Op: "read the event", Ref: path, Kind: daruma.KindInvalid, Err: err}
	}
	return b, nil
}

// tellEach prints what say says of each failure, goes on after one of which it cannot, and fails at the end then.
func tellEach(w world, ids []string, say func(id string) (string, error)) error {
	failed := false
	for _, id := range ids {
		text, err := say(id)
		if err != nil {
			failed = true
			showError(w.err, err)
			continue
		}
		fmt.Fprintf(w.out, "%s %s\n", id, text)
	}
	if failed {
		return errShown
	}
	return nil
}

// interval is the time between two of so many a second; 0 when there is none.
func interval(rate float64) time.Duration {
	every := float64(time.Second) / rate
	if !(every >= 1 && every <= float64(math.MaxInt64/2)) { // what is no number is neither
		return 0
	}
	return time.Duration(every)
}

// redriveAll goes on after a failure that cannot be sent back, and fails at the end then.
func redriveAll(ctx context.Context, w world, a node.Address, ids []string, payload []byte, rate float64, asJSON bool) error {
	var pace <-chan time.Time
	if every := interval(rate); every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		pace = t.C
	}
	failed := false
	for i, id := range ids {
		if pace != nil && i > 0 {
			select {
			case <-pace:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		done, err := post[delivery.Redriven](ctx, a, "/api/redrive?id="+url.QueryEscape(id), payload)
		switch {
		case err != nil:
			failed = true
			showError(w.err, err)
		case asJSON:
			if err := printJSON(w.out, map[string]any{"failure": id, "request": done.Request, "already": done.Already}); err != nil {
				return err
			}
		case done.Already:
			fmt.Fprintf(w.out, "%s was sent back before\n", id)
		default:
			fmt.Fprintf(w.out, "%s sent back as request %s\n", id, done.Request)
		}
	}
	if failed {
		return errShown
	}
	return nil
}

// post sends body to the node's console and returns its answer.
func post[T any](ctx context.Context, a node.Address, path string, body []byte) (v T, err error) {
	req, err := http.NewRequestWithContext(ctx, "POST", a.Console+path, bytes.NewReader(body))
	if err != nil {
		return v, err
	}
	answer, err := send(req, a)
	if err != nil {
		return v, err
	}
	defer answer.Close()
	return v, json.NewDecoder(answer).Decode(&v)
}

func failuresDiscardCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use: "discard [F-N…]", Short: "Close failures whose events are not wanted any more",
		Long: "Close failures whose events are not wanted any more. Without names, the open failures that the flags choose.",
	}
	data := dataFlag(c)
	var f failureFlags
	f.add(c, string(ledger.Open))
	dry := c.Flags().Bool("dry-run", false, "say what would be discarded")
	reason := c.Flags().String("reason", "", "why, for whoever looks later (required)")
	must(c.MarkFlagRequired("reason"))
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		if args, err = f.names(c.Context(), w, a, args); err != nil {
			return err
		}
		return tellEach(w, args, func(id string) (string, error) {
			if *dry {
				f, err := failure(c.Context(), a, id)
				switch {
				case err != nil:
					return "", err
				case f.State != ledger.Open:
					return "is " + string(f.State) + ", and would stay so", nil
				}
				return "would be discarded", nil
			}
			_, err := post[struct{}](c.Context(), a, "/api/discard?id="+url.QueryEscape(id)+"&reason="+url.QueryEscape(*reason), nil)
			return "discarded", err
		})
	}
	return c
}
