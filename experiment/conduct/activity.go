package conduct

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// outputMax bounds what is kept of an activity's output.
const outputMax = 64 << 10

// perform does an activity and returns what came of it.
func (r *run) perform(ctx context.Context, a experiment.Activity) ActivityRun {
	done := ActivityRun{Name: a.Name, Status: "succeeded", Started: time.Now(), Document: a.Document}
	out, err := r.do(ctx, a)
	done.Output, done.Ended = out, time.Now()
	if err != nil {
		done.Status, done.Error, done.overdue = "failed", err.Error(), overdue(err)
	}
	return done
}

func (r *run) do(ctx context.Context, a experiment.Activity) (any, error) {
	p := a.Provider
	switch {
	case p.HTTP != nil:
		ctx, cancel := context.WithTimeout(ctx, p.HTTP.Timeout)
		defer cancel()
		return r.answer(ctx, Request{HTTP: p.HTTP})
	case p.Invoke != nil:
		return r.answer(ctx, Request{Invoke: p.Invoke})
	case p.Queue != nil:
		return r.answer(ctx, Request{Queue: p.Queue})
	case p.Process != nil:
		return r.process(ctx, p.Process)
	case p.Metric != nil:
		m := r.metric(ctx, *p.Metric)
		if m.none != "" {
			return nil, errors.New(m.none)
		}
		return m.value, nil
	case p.Alarm != "":
		state, err := r.cfg.Platform.Alarm(ctx, p.Alarm)
		if err != nil {
			return nil, err
		}
		return state, nil
	case p.Fault != nil:
		return r.breaks(ctx, a)
	case p.Kill != nil:
		return r.kills(ctx, a)
	}
	return nil, r.cfg.Clock.Sleep(ctx, p.Wait)
}

// answer sends a request and returns {status, headers, body}.
func (r *run) answer(ctx context.Context, q Request) (any, error) {
	reply := r.cfg.Platform.Send(ctx, q)
	if reply.Err != nil {
		return nil, reply.Err
	}
	out := map[string]any{"status": float64(reply.Status), "headers": reply.Headers, "body": string(reply.Body)}
	if strings.HasPrefix(reply.Headers["Content-Type"], "application/json") || q.HTTP == nil {
		var v any
		if json.Unmarshal(reply.Body, &v) == nil {
			out["body"] = v
		}
	}
	return out, nil
}

func (r *run) process(ctx context.Context, p *experiment.Process) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	args := p.Arguments
	path := p.Path
	if p.Shell != "" {
		path, args = "/bin/sh", []string{"-c", p.Path + " " + p.Shell}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = r.cfg.WorkDir, r.cfg.Environ
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &capped{&out}, &capped{&errs}
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s did not end within %v: %w", p.Path, p.Timeout, ctx.Err())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	return map[string]any{"status": float64(cmd.ProcessState.ExitCode()), "stdout": out.String(), "stderr": errs.String()}, nil
}

// A capped writer keeps what comes first.
type capped struct{ to *bytes.Buffer }

func (c *capped) Write(b []byte) (int, error) {
	if left := outputMax - c.to.Len(); left > 0 {
		_, _ = io.Copy(c.to, bytes.NewReader(b[:min(left, len(b))])) // a buffer takes everything
	}
	return len(b), nil
}

// breaks puts a fault in force until the method has ended.
func (r *run) breaks(ctx context.Context, a experiment.Activity) (any, error) {
	in, err := r.cfg.Platform.Break(ctx, a.Provider.Fault)
	if err != nil {
		return nil, err
	}
	s, err := in.Status(ctx)
	if err != nil {
		return nil, errors.Join(err, in.Mend(context.WithoutCancel(ctx)))
	}
	r.mu.Lock()
	r.injections = append(r.injections, &injection{Injection: in, name: a.Name, document: a.Provider.Fault, last: s, from: time.Now(), began: r.cfg.Clock.Now()})
	r.mu.Unlock()
	r.say("fault      %s: %s (%s)", a.Name, s.Text, s.ID)
	return s.ID, nil
}

// An injection is a fault of this run.
type injection struct {
	Injection
	name     string
	document json.RawMessage // as it was asked for
	last     Injected
	from, to time.Time // by the machine's clock
	met      time.Time // when it met something last, by the machine's clock
	began    time.Time // by the app's
}

// hangs returns how long a run that the fault keeps from answering takes to come to its time-out; 0 when it keeps none.
func (in *injection) hangs(now Counts) (longest time.Duration) {
	var f struct {
		Kind   string
		Target struct{ Function string }
	}
	if json.Unmarshal(in.document, &f) != nil || f.Kind != "timeout" && f.Kind != "blackhole" {
		return 0
	}
	one, named := now.Functions[f.Target.Function]
	if named {
		return one.Timeout
	}
	for _, each := range now.Functions {
		longest = max(longest, each.Timeout)
	}
	return longest
}

// mend ends every fault of this run, also when ctx has ended.
func (r *run) mend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var errs []error
	for _, in := range r.inForce() {
		r.ask(ctx, in)
		if err := in.Mend(ctx); err != nil {
			errs = append(errs, fmt.Errorf("end the fault %s: %w", in.name, err))
		}
		r.mu.Lock()
		in.to = time.Now()
		r.mu.Unlock()
		r.say("mended     %s", in.name)
	}
	return errors.Join(errs...)
}

// inForce returns the faults of this run that have not been ended.
func (r *run) inForce() []*injection {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*injection
	for _, in := range r.injections {
		if in.to.IsZero() {
			list = append(list, in)
		}
	}
	return list
}

// ask notes how a fault goes, and has it go on.
func (r *run) ask(ctx context.Context, in *injection) {
	if s, err := in.Status(ctx); err == nil {
		r.note(in, s)
	}
}

func (r *run) note(in *injection, s Injected) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Met > in.last.Met {
		in.met = time.Now()
	}
	in.last = s
}
