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
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/node"
)

func faultCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "fault",
		Short: "Break something on purpose, in a dose, with an end",
		Long: `Put faults in force: slow functions, errors, time-outs, killed processes, hosts
that do not answer, services that refuse. No function is changed. A fault ends
when its time is over, when it is stopped, and with whoever asked for it; what it
meets is marked with its ID in logs, traces, failures and metrics.

Every kind of fault, with an example, is in docs/faults.md.`,
		Example: `  daruma fault start latency --target Charge --latency 300ms --rate 0.3 --for 5m
  daruma fault ls
  daruma fault stop --all`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(faultStartCommand(w), faultListCommand(w), faultStopCommand(w))
	return c
}

// faultFlags are a fault as it is given on the command line.
type faultFlags struct {
	fault                             fault.Fault
	target, from, of, pattern, effect string
	match                             []string
	limit                             int
	latency, latencyMax, by           time.Duration
	lasts, rampFor                    time.Duration
}

func (f *faultFlags) add(c *cobra.Command) {
	v := c.Flags()
	v.StringVar(&f.target, "target", "", "what it meets: a function, FUNCTION:VERSION, FUNCTION:ALIAS, host:NAME[:PORT], service:NAME[/OPERATION[/RESOURCE]], queue:NAME, table:NAME (its changes) or api:NAME")
	v.StringVar(&f.of, "of", "", "of requests to a host or service: only those of this function; of a queue's messages or a table's changes: only those that it is handed")
	v.StringArrayVar(&f.match, "match", nil, "only events with this value: '$.path=value', may be repeated")
	v.StringVar(&f.pattern, "pattern", "", "only events that fit this pattern, as rules have them")
	v.Float64Var(&f.fault.Dose.Rate, "rate", 0, "the share that is met, above 0 to 1 (default 1)")
	v.IntVar(&f.fault.Dose.OneIn, "one-in", 0, "one in so many is met, exactly")
	v.DurationVar(&f.lasts, "for", 0, "how long, by the app's clock (default 10m)")
	v.DurationVar(&f.rampFor, "ramp", 0, "for how long the rate grows from nothing")
	v.IntVar(&f.fault.Dose.Max, "max", 0, "at most so many are met")
	v.Uint64Var(&f.fault.Seed, "seed", 0, "make the same choices again")
	v.StringVar(&f.fault.Why, "why", "", "what it is for, for people who see it")
	v.StringVar(&f.from, "from", "", "a file with the fault instead, or - for standard input; with --target FUNCTION, one of failure-lambda's or chaos-lambda's configuration")
	with := &f.fault.With
	v.DurationVar(&f.latency, "latency", 0, "latency, cold-start, bad-release, queue-delay: how much longer; queue-reorder: how long a message waits to be overtaken")
	v.DurationVar(&f.latencyMax, "latency-max", 0, "latency, cold-start, bad-release: at most so much longer")
	v.StringVar(&with.Distribution, "distribution", "", "latency, cold-start, bad-release: uniform, normal or exponential")
	v.StringVar(&with.When, "when", "", "before the function does its work, or after: its answer is lost")
	v.StringVar(&with.Code, "code", "", "error, bad-release: its type; of a service: throttled, internal, denied, condition-failed, unavailable, or its own")
	v.StringVar(&with.Message, "message", "", "error, bad-release: its message")
	v.IntVar(&with.Status, "status", 0, "status, error of a service: the HTTP status")
	v.StringVar(&with.ContentType, "content-type", "", "status: the content type of the answer")
	v.StringVar(&with.Body, "body", "", "status, corrupt, malformed, poison-record: what is answered, or handed over, instead")
	v.StringVar(&with.Name, "name", "", "variable, secret, flag: its name")
	v.StringVar(&f.effect, "effect", "", "flag: its effect, an object for its SDK: {\"latency\": 300}")
	v.StringVar(&with.Value, "value", "", "variable: what it seems to be (default empty)")
	v.IntVar(&with.MemoryMB, "memory", 0, "memory: how many MB there are")
	v.IntVar(&with.LeftMB, "left", 0, "disk: how many MB of /tmp there are")
	v.IntVar(&with.FilledMB, "filled", 0, "disk: how many MB of /tmp are taken")
	v.DurationVar(&f.by, "by", 0, "clock-skew: how much the clock is ahead; -20m is behind")
	v.IntVar(&f.limit, "limit", 0, "concurrency: so many events at once")
	v.Int64Var(&with.BytesPerSecond, "bytes-per-second", 0, "slow: so many bytes a second")
	v.Float64Var(&with.PerSecond, "per-second", 0, "capacity: so many requests a second")
}

// faults are what the flags or the file ask for.
func (f *faultFlags) faults(w world, c *cobra.Command, args []string) ([]fault.Fault, error) {
	if f.from != "" {
		if len(args) > 0 || c.Flags().NFlag() > countSet(c, "from", "target", "data", "json") {
			return nil, errUsage{errors.New("--from brings the whole fault: leave the kind and other flags out")}
		}
		doc, err := f.read(w)
		if err != nil {
			return nil, err
		}
		return fault.Read(doc, f.target)
	}
	one, err := f.one(c, args)
	return []fault.Fault{one}, err
}

// one is the fault that the flags ask for.
func (f *faultFlags) one(c *cobra.Command, args []string) (fault.Fault, error) {
	var none fault.Fault
	if len(args) == 0 {
		return none, errUsage{fmt.Errorf("name a kind of fault\nSee: %s --help", c.CommandPath())}
	}
	f.fault.Kind = fault.Kind(args[0])
	var err error
	if f.fault.Target, err = fault.ParseTarget(f.target); err != nil {
		return none, errUsage{err}
	}
	if f.of != "" {
		if f.fault.Target.Function != "" {
			return none, errUsage{fmt.Errorf("of: %s is a function; it is for what a function asks for or is handed: hosts, services, queues and tables", f.target)}
		}
		f.fault.Target.Function = f.of
	}
	for flag, name := range map[string]string{"rate": "rate", "one-in": "oneIn", "for": "for", "max": "max"} {
		given := c.Flags().Lookup(flag)
		if err := fault.Positive(name, given.Changed && strings.TrimSuffix(given.Value.String(), "s") == "0"); err != nil {
			return none, err
		}
	}
	for _, m := range f.match {
		path, value, ok := strings.Cut(m, "=")
		if !ok {
			return none, errUsage{fmt.Errorf("match: %q is not of the form $.path=value", m)}
		}
		f.fault.Target.Match = append(f.fault.Target.Match, fault.Match{Path: path, Value: value})
	}
	if f.pattern != "" {
		if !json.Valid([]byte(f.pattern)) {
			return none, errUsage{errors.New("pattern: it is no JSON")}
		}
		f.fault.Target.Pattern = json.RawMessage(f.pattern)
	}
	if c.Flags().Changed("limit") {
		f.fault.With.Limit = &f.limit
	}
	f.fault.With.Latency, f.fault.With.LatencyMax = fault.Duration(f.latency), fault.Duration(f.latencyMax)
	f.fault.With.By = fault.Duration(f.by)
	f.fault.Dose.For, f.fault.Dose.Ramp = fault.Duration(f.lasts), fault.Duration(f.rampFor)
	if f.effect != "" {
		if !json.Valid([]byte(f.effect)) {
			return none, errUsage{errors.New("effect: it is no JSON")}
		}
		f.fault.With.Effect = json.RawMessage(f.effect)
	}
	return f.fault, f.fault.Validate()
}

func countSet(c *cobra.Command, names ...string) (n int) {
	for _, name := range names {
		if c.Flags().Changed(name) {
			n++
		}
	}
	return n
}

func (f *faultFlags) read(w world) ([]byte, error) {
	if f.from == "-" {
		return io.ReadAll(w.in)
	}
	return os.ReadFile(w.path(f.from))
}

func faultStartCommand(w world) *cobra.Command {
	kinds := make([]string, 0, len(fault.Kinds()))
	for _, k := range fault.Kinds() {
		kinds = append(kinds, string(k))
	}
	c := &cobra.Command{
		Use:   "start KIND --target TARGET",
		Short: "Put a fault in force until Ctrl-C, or until its time is over",
		Long: `Put a fault in force. This command holds it: the fault ends when the command
does, however that happens, and at the latest after --for. Kinds are
` + wrap(strings.Join(kinds, ", "), 78) + `.`,
		Example: `  daruma fault start error --target Charge --message 'card declined' --one-in 10
  daruma fault start timeout --target Charge:live --when after --max 1
  daruma fault start blackhole --target host:bank.example.com --of Charge
  daruma fault start error --target service:dynamodb/PutItem/Orders --code throttled --rate 0.5
  daruma fault start permission --target service:sqs/SendMessage/Jobs --of Charge
  daruma fault start poison-record --target queue:Jobs --one-in 20
  daruma fault start queue-delay --target queue:Jobs --latency 30s --rate 0.1
  daruma fault start bad-release --target Charge:live --rate 0.2
  daruma fault start clock-skew --target Charge --by -20m --one-in 2
  daruma fault start kill --target 'Order*' --match '$.detail.vip=true'
  daruma fault start --from slow-bank.yaml`,
		Args: cobra.MaximumNArgs(1),
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	var f faultFlags
	f.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		all, err := f.faults(w, c, args)
		if err != nil {
			return err
		}
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		return holdFaults(c.Context(), w, a, all, *asJSON)
	}
	return c
}

// wrap breaks a line at spaces.
func wrap(text string, width int) string {
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > width:
			b.WriteByte('\n')
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// holdFaults starts faults and stays until all have ended. When one cannot be
// started the others end.
func holdFaults(ctx context.Context, w world, a node.Address, all []fault.Fault, asJSON bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var said sync.Mutex
	out := w
	out.out = &lines{to: w.out, mu: &said}
	errs := make([]error, len(all))
	var held sync.WaitGroup
	for i, f := range all {
		held.Go(func() {
			doc, err := json.Marshal(f)
			if err == nil {
				err = holdFault(ctx, out, a, doc, asJSON)
			}
			if errs[i] = err; err != nil {
				cancel()
			}
		})
	}
	held.Wait()
	return errors.Join(errs...)
}

// lines is a writer for several at once, of a line at a time.
type lines struct {
	to io.Writer
	mu *sync.Mutex
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// holdFault starts a fault and stays until it has ended.
func holdFault(ctx context.Context, w world, a node.Address, doc []byte, asJSON bool) error {
	held, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	req, err := http.NewRequestWithContext(held, "POST", a.Console+"/api/faults", bytes.NewReader(doc))
	if err != nil {
		return err
	}
	answer, err := send(req, a)
	if err != nil {
		return err
	}
	defer answer.Close()
	dec := json.NewDecoder(answer)
	var begun, ended fault.State
	if err := dec.Decode(&begun); err != nil {
		return err
	}
	if asJSON {
		_ = printJSON(w.out, begun)
	} else {
		fmt.Fprintf(w.out, "%s  %s, until %s (seed %d); Ctrl-C ends it\n", begun.ID, begun.Text, begun.Until.Local().Format("15:04:05"), begun.Fault.Seed)
	}
	// It is stopped in words, so that what it met is told; if that fails the connection's end stops it.
	stop := context.AfterFunc(ctx, func() {
		asked, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if _, err := removeFaults(asked, a, url.Values{"id": {begun.ID.String()}}); err != nil {
			release()
		}
	})
	defer stop()
	if err := dec.Decode(&ended); err != nil {
		return fmt.Errorf("%s: the node is gone, and the fault with it", begun.ID)
	}
	if asJSON {
		return printJSON(w.out, ended)
	}
	fmt.Fprintf(w.out, "%s  ended (%s): it met %d of %d\n", ended.ID, ended.Ending, ended.Met, ended.Seen)
	return nil
}

func removeFaults(ctx context.Context, a node.Address, q url.Values) (n console.Stopped, err error) {
	body, err := ask(ctx, a, "DELETE", "/api/faults?"+q.Encode())
	if err != nil {
		return n, err
	}
	defer body.Close()
	return n, json.NewDecoder(body).Decode(&n)
}

func faultListCommand(w world) *cobra.Command {
	return list[fault.State]{path: "/api/faults", header: faultColumns, cells: faultCells, none: "there is no fault"}.verb(w,
		&cobra.Command{Use: "ls", Short: "List the faults in force, and those that ended last", Args: cobra.NoArgs})
}

const faultColumns = "FAULT\tWHAT\tSTATE\tMET\tOF\tSEED\tWHY"

func faultCells(s fault.State) []any {
	state := "until " + s.Until.Local().Format("15:04:05")
	if !s.Ended.IsZero() {
		state = "ended (" + s.Ending + ")"
	}
	return []any{s.ID, s.Text, state, s.Met, s.Seen, s.Fault.Seed, dash(firstLine(s.Fault.Why))}
}

func showFaults(out io.Writer, all []fault.State) {
	table(out, faultColumns, func(row func(...any)) {
		for _, s := range all {
			row(faultCells(s)...)
		}
	})
}

func faultStopCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use: "stop [FT-N…]", Short: "End faults; all of them with --all",
		Example: "  daruma fault stop FT-3\n  daruma fault stop --all",
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	all := c.Flags().Bool("all", false, "every fault")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *all == (len(args) > 0) {
			return errUsage{errors.New("name faults, or say --all")}
		}
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		asked := []url.Values{{"all": {"true"}}}
		if !*all {
			asked = nil
			for _, id := range args {
				asked = append(asked, url.Values{"id": {id}})
			}
		}
		var sum console.Stopped
		for _, q := range asked {
			n, err := removeFaults(c.Context(), a, q)
			if err != nil {
				return err
			}
			sum.Stopped += n.Stopped
		}
		if *asJSON {
			return printJSON(w.out, sum)
		}
		fmt.Fprintf(w.out, "%d stopped\n", sum.Stopped)
		return nil
	}
	return c
}
