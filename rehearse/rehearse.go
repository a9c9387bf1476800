// Package rehearse carries drills out: it puts the faults of each stage in force
// when those before it are completed, holds them for their time, and writes down
// in package drill how far it is.
//
// Whatever happens, nothing stays broken: a fault ends with its stage, with its
// run, with [Rehearser.Stop], and with the process. A run that ends early says
// why: somebody stopped it, an alarm went off that stops it, somebody ended one of
// its faults, a fault could not be put in force, or the platform ended.
//
// It holds nothing durable. [Rehearser.Run] owns all goroutines and waits for
// them. The methods may be called from any goroutine.
package rehearse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/fault/inject"
)

// Starter puts faults in force; [inject.Faults] does.
type Starter interface {
	Start(ctx context.Context, f fault.Fault, lease time.Duration) (*inject.Running, error)
}

// Alarms are what stops runs, and what stages expect something of; [alarm.Alarms] is.
type Alarms interface {
	Alarm(name string) *alarm.Alarm
	Await(ctx context.Context, names ...string) (string, error)
}

// Config says what a Rehearser needs.
type Config struct {
	Drills *drill.Drills // required
	Faults Starter       // required
	Alarms Alarms        // required where runs or stages name some
	Clock  daruma.Clock  // the app's: how long stages last goes by it; daruma.SystemClock when nil
	Logger *slog.Logger  // discarded when nil
}

// noteMax is how long a note may take to become durable when the platform ends.
const noteMax = 5 * time.Second

// A Rehearser carries drills out.
type Rehearser struct {
	cfg Config

	mu    sync.Mutex // guards the rest
	base  context.Context
	under map[string]context.CancelCauseFunc // runs under way, by ID
	all   sync.WaitGroup
}

// Why a run ends before its time.
var (
	errStopped  = errors.New("it was stopped")
	errPlatform = errors.New("the platform was stopped, and the faults ended with it")
)

// Cut is what a run says that was under way when the platform was killed.
const Cut = "the platform ended while it was under way, and its faults ended with it"

// Open returns a rehearser. Runs that another process left are failed, which is
// written down before it returns. It starts nothing.
func Open(ctx context.Context, cfg Config) (*Rehearser, error) {
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if _, err := cfg.Drills.Abandon(ctx, Cut); err != nil {
		return nil, err
	}
	return &Rehearser{cfg: cfg, under: map[string]context.CancelCauseFunc{}}, nil
}

// Run carries out what [Rehearser.Start] begins, until ctx ends. It returns when
// every run has ended and says so.
func (r *Rehearser) Run(ctx context.Context) error {
	r.mu.Lock()
	r.base = ctx
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	r.base = nil
	for _, stop := range r.under {
		stop(errPlatform)
	}
	r.mu.Unlock()
	r.all.Wait()
	return nil
}

// Start begins a run of stages and returns it as it is then: pending. With a
// token that was used before, the run that was begun with it is returned.
//
// Errors: KindUnavailable when nothing is carried out now, and those of [drill.Drills.Begin].
func (r *Rehearser) Start(ctx context.Context, run drill.Run, stages []drill.Stage) (*drill.Run, error) {
	run.Steps = make([]drill.Step, len(stages))
	for i, s := range stages {
		run.Steps[i].Name = s.Name
	}
	r.mu.Lock()
	ready := r.base != nil
	r.mu.Unlock()
	if !ready {
		return nil, &daruma.Error{Op: "begin a drill", Kind: daruma.KindUnavailable, Err: errors.New("the platform is starting, or ending")}
	}
	begun, again, err := r.cfg.Drills.Begin(ctx, run)
	if err != nil || again {
		return begun, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.base == nil { // it ends just now: the next process finds the run, and says so
		return begun, nil
	}
	under, stop := context.WithCancelCause(context.WithoutCancel(r.base))
	r.under[begun.ID] = stop
	p := &performance{r: r, run: *begun, stages: stages, ended: make(chan ended, len(stages))}
	p.run.Steps = slices.Clone(begun.Steps)
	r.all.Go(func() {
		defer stop(nil)
		p.perform(under)
		r.mu.Lock()
		delete(r.under, begun.ID)
		r.mu.Unlock()
	})
	return begun, nil
}

// Stop ends a run: its faults end at once. It returns when that is asked for;
// the run says when it has happened. Errors: KindConflict ([drill.ErrEnded])
// when the run is not under way.
func (r *Rehearser) Stop(id string) error {
	r.mu.Lock()
	stop := r.under[id]
	r.mu.Unlock()
	if stop == nil {
		return &daruma.Error{Op: "stop a drill", Ref: id, Kind: daruma.KindConflict, Err: drill.ErrEnded}
	}
	stop(errStopped)
	return nil
}

// A performance is one run being carried out, by one goroutine.
type performance struct {
	r      *Rehearser
	run    drill.Run
	stages []drill.Stage
	ended  chan ended
}

// An ended is a stage that has come to its end.
type ended struct {
	stage int
	state drill.State
	why   string
}

// perform carries the run out until every stage has ended, or ctx has.
func (p *performance) perform(ctx context.Context) {
	now := p.r.cfg.Clock.Now
	p.run.Started = now()
	p.note(drill.Initiating, "its stages begin")
	if i := slices.IndexFunc(p.stages, func(s drill.Stage) bool { return s.Fail != "" }); i >= 0 {
		p.wind(func() {}, 0, drill.Failed, p.stages[i].Name+": "+p.stages[i].Fail)
		return
	}
	staging, over := context.WithCancel(ctx)
	defer over()
	if name, why := p.halts(); why != "" { // nothing is broken then
		p.run.Halted = name
		p.wind(func() {}, 0, drill.Stopped, why)
		return
	}
	halted := p.await(staging)
	active := p.begin(staging)
	p.note(drill.Running, "its stages are under way")
	for active > 0 {
		select {
		case e := <-p.ended:
			active--
			p.end(e)
			if e.state != drill.Completed {
				p.wind(over, active, e.state, p.stages[e.stage].Name+": "+e.why)
				return
			}
			active += p.begin(staging)
			p.note(drill.Running, "its stages are under way")
		case name := <-halted:
			p.run.Halted = name
			p.wind(over, active, drill.Stopped, p.gone(name))
			return
		case <-ctx.Done():
			p.wind(over, active, drill.Stopped, context.Cause(ctx).Error())
			return
		}
	}
	p.run.Ended = now()
	p.note(drill.Completed, "every stage is completed")
}

// halts says which of the run's alarms keeps it from going on now, and why.
func (p *performance) halts() (name, why string) {
	for _, name := range p.run.Alarms {
		if a := p.r.cfg.Alarms.Alarm(name); a == nil || a.Situation.State == alarm.Alarmed {
			return name, p.gone(name)
		}
	}
	return "", ""
}

// gone says in words that an alarm ends the run.
func (p *performance) gone(name string) string {
	switch {
	case name == "":
		return "nobody can say whether an alarm went off that is to stop it"
	case p.r.cfg.Alarms.Alarm(name) == nil:
		return "there is no alarm " + name + ", which is to stop it"
	}
	return "the alarm " + name + " went off"
}

// await waits, until ctx ends, for one of the run's alarms to end it.
func (p *performance) await(ctx context.Context) <-chan string {
	halted := make(chan string, 1)
	if len(p.run.Alarms) == 0 {
		return halted
	}
	p.r.all.Go(func() {
		name, err := p.r.cfg.Alarms.Await(ctx, p.run.Alarms...)
		if err == nil || errors.Is(err, alarm.ErrMissing) || ctx.Err() == nil { // it stops as well when nobody can say any more
			halted <- name
		}
	})
	return halted
}

// wind ends a run early: what is under way is ended and waited for.
func (p *performance) wind(over func(), active int, state drill.State, why string) {
	for i := range p.run.Steps {
		switch s := &p.run.Steps[i]; s.State {
		case drill.Running, drill.Initiating:
			s.State, s.Reason = drill.Stopping, why
		case drill.Pending:
			s.State, s.Reason = drill.Cancelled, why
		}
	}
	p.note(drill.Stopping, why)
	over()
	for range active {
		e := <-p.ended
		e.state, e.why = drill.Stopped, why
		p.end(e)
	}
	p.run.Ended = p.r.cfg.Clock.Now()
	p.note(state, why)
}

func (p *performance) end(e ended) {
	s := &p.run.Steps[e.stage]
	s.State, s.Reason, s.Ended = e.state, e.why, p.r.cfg.Clock.Now()
}

// begin starts every stage whose turn it is, and says how many there are. A
// stage that is skipped lets those behind it begin at once.
func (p *performance) begin(ctx context.Context) (n int) {
	for again := true; again; {
		again = false
		for i, stage := range p.stages {
			step := &p.run.Steps[i]
			if step.State != drill.Pending || !p.after(stage.After) {
				continue
			}
			if stage.Skip != "" {
				step.State, step.Reason, again = drill.Skipped, stage.Skip, true
				continue
			}
			n++
			step.Started, step.State, step.Reason = p.r.cfg.Clock.Now(), drill.Running, "under way"
			p.r.all.Go(func() { p.ended <- p.stage(ctx, i, stage) })
		}
	}
	return n
}

// after says whether stages are behind us.
func (p *performance) after(names []string) bool {
	for i, s := range p.stages {
		if state := p.run.Steps[i].State; slices.Contains(names, s.Name) && state != drill.Completed && state != drill.Skipped {
			return false
		}
	}
	return true
}

// stage carries one stage out: its faults are in force until its time is over, or ctx ends.
func (p *performance) stage(ctx context.Context, i int, s drill.Stage) ended {
	if s.Expect != nil {
		return p.expect(i, s.Expect)
	}
	if len(s.Faults) == 0 {
		if err := p.r.cfg.Clock.Sleep(ctx, s.For); err != nil {
			return ended{i, drill.Stopped, err.Error()}
		}
		return ended{i, drill.Completed, "its time is over"}
	}
	var running []*inject.Running
	over := make(chan fault.State, len(s.Faults))
	defer func() {
		for _, f := range running {
			f.Stop()
		}
	}()
	for _, f := range s.Faults {
		f.Dose.For = fault.Duration(s.For)
		one, err := p.r.cfg.Faults.Start(context.WithoutCancel(ctx), f, 0) // it is this stage that ends it
		if err != nil {
			return ended{i, drill.Failed, err.Error()}
		}
		running = append(running, one)
		p.r.all.Go(func() {
			<-one.Done()
			over <- one.State()
		})
	}
	met := uint64(0)
	for range running {
		select {
		case state := <-over:
			if !state.InTime() {
				return ended{i, drill.Stopped, fmt.Sprintf("%s ended before its time (%s)", state.ID, state.Ending)}
			}
			met += state.Met
		case <-ctx.Done():
			return ended{i, drill.Stopped, ctx.Err().Error()}
		}
	}
	return ended{i, drill.Completed, fmt.Sprintf("its time is over; its faults met %d", met)}
}

// expect carries out a stage that takes no time.
func (p *performance) expect(i int, e *drill.Expectation) ended {
	for _, name := range e.Alarms {
		a := p.r.cfg.Alarms.Alarm(name)
		switch {
		case a == nil:
			return ended{i, drill.Failed, "there is no alarm " + name}
		case !slices.Contains(e.States, string(a.Situation.State)):
			return ended{i, drill.Failed, fmt.Sprintf("the alarm %s is %s, and not %s", name, a.Situation.State, strings.Join(e.States, " or "))}
		}
	}
	return ended{i, drill.Completed, "the alarms are as they are to be"}
}

// note writes down how far the run is. What cannot be written is logged: the
// run goes on, so that it ends what it broke.
func (p *performance) note(state drill.State, why string) {
	p.run.State, p.run.Reason = state, why
	ctx, cancel := context.WithTimeout(context.Background(), noteMax)
	defer cancel()
	if err := p.r.cfg.Drills.Note(ctx, p.run); err != nil {
		p.r.cfg.Logger.Error("how far a drill is could not be written down", "drill", p.run.ID, "state", state, "error", err)
	}
}
