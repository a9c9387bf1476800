// Package drill holds drills: plans that say in which order what is broken, for
// how long, and what came of each time that one was carried out.
//
//	plan ── begin ──► run: pending ─► initiating ─► running ─┬─► completed
//	                                                         ├─► stopping ─► stopped
//	                                                         └─► failed
//
// What a plan says is kept as the document that the door took, word for word;
// what it means is [Stage], which the door makes of it and who carries it out is
// given. A run keeps the document as it was when it began, and how far each of
// its stages came.
//
// It promises that a plan outlives the platform, that a run which the platform's
// end cut off says so ([Drills.Abandon]), and that asking twice with one token
// makes one plan, or one run. It breaks nothing itself. The methods of [Drills]
// may be called from any goroutine.
package drill

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/fault"
)

// Limits of drills.
const (
	PlansMax  = 500
	ActiveMax = 5   // runs that have not ended
	StagesMax = 20  // of one plan
	AlarmsMax = 5   // that stop one run
	RunsMax   = 200 // that are remembered; the oldest that have ended are forgotten
	TagsMax   = 50

	documentBytesMax = 256 << 10
	textBytesMax     = 1 << 10
	tokenBytesMax    = 1 << 10
)

// What is refused, beside what is wrong with a request. Match with errors.Is.
var (
	ErrPlan   = errors.New("there is no such plan")
	ErrRun    = errors.New("there is no such run")
	ErrToken  = errors.New("the token was used before, for something else")
	ErrPlans  = errors.New("there are as many plans as there may be")
	ErrActive = errors.New("as many drills are under way as may be")
	ErrEnded  = errors.New("it has ended")
)

// A Plan says what is broken.
type Plan struct {
	ID          string            `json:"id"`
	Description string            `json:"description,omitempty"`
	Document    json.RawMessage   `json:"document"` // in the words of the door that took it
	Tags        map[string]string `json:"tags,omitempty"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
	Token       string            `json:"token,omitempty"` // of whoever made it
	Sum         string            `json:"sum,omitempty"`   // of what was asked for with the token

	LogicalID string `json:"logicalID,omitempty"` // in the template that declares it
	Declared  string `json:"declared,omitempty"`  // what that said when it last made it
	Retain    bool   `json:"retain,omitempty"`    // it stays when the template names it no more
}

// A State is how far a run, or a stage of one, has come.
type State string

// The states. A stage may also be skipped.
const (
	Pending    State = "pending"
	Initiating State = "initiating"
	Running    State = "running"
	Completed  State = "completed"
	Stopping   State = "stopping"
	Stopped    State = "stopped"
	Failed     State = "failed"
	Cancelled  State = "cancelled"
	Skipped    State = "skipped"
)

// Over says whether nothing follows a state.
func (s State) Over() bool {
	switch s {
	case Completed, Stopped, Failed, Cancelled, Skipped:
		return true
	}
	return false
}

// A Run is one time that a plan is carried out.
type Run struct {
	ID       string            `json:"id"`
	Plan     string            `json:"plan"`
	Document json.RawMessage   `json:"document"`          // of the plan, when it began
	Targets  json.RawMessage   `json:"targets,omitempty"` // what is met, in the door's words
	Steps    []Step            `json:"steps"`
	Tags     map[string]string `json:"tags,omitempty"`
	State    State             `json:"state"`
	Reason   string            `json:"reason,omitempty"` // of State, in words
	Alarms   []string          `json:"alarms,omitempty"` // that stop it when one goes off, by name
	Halted   string            `json:"halted,omitempty"` // which of them did
	Created  time.Time         `json:"created"`
	Started  time.Time         `json:"started,omitzero"`
	Ended    time.Time         `json:"ended,omitzero"`
	Token    string            `json:"token,omitempty"`
	Sum      string            `json:"sum,omitempty"`
}

// A Step is how far one stage of a run has come.
type Step struct {
	Name    string    `json:"name"`
	State   State     `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// A Stage is what one step of a run does.
type Stage struct {
	Name   string
	After  []string      // stages that must be completed before
	For    time.Duration // by the app's clock
	Faults []fault.Fault // in force all that time; none: it only takes time
	Expect *Expectation  // instead of taking time: what has to be so
	Skip   string        // why it is not done; "" when it is
	Fail   string        // why it cannot be done, and so the run fails before anything is broken; "" when it can
}

// An Expectation is that alarms, by name, are each in one of some states.
type Expectation struct{ Alarms, States []string }

const (
	machineName    = "drill"
	commandPut     = "put"
	commandDeploy  = "deploy"
	commandRemove  = "remove"
	commandTag     = "tag"
	commandBegin   = "begin"
	commandNote    = "note"
	commandAbandon = "abandon"

	prefixPlan      = "p/"  // p/<id>
	prefixRun       = "r/"  // r/<id>
	prefixPlanToken = "kp/" // kp/<token>: the plan's ID
	prefixRunToken  = "kr/" // kr/<token>: the run's ID
)

// Version 1 is the first of both.
func plans() cell.Format[Plan] { return cell.Format[Plan]{Kind: "plan of a drill", Version: 1} }
func runs() cell.Format[Run]   { return cell.Format[Run]{Kind: "run of a drill", Version: 1} }

func key(prefix, id string) []byte { return []byte(prefix + id) }

// Drills is the drills of one cell, of which Machine is one of the machines.
type Drills struct{ cell *cell.Cell }

// New returns the drills that lie in c. It starts nothing.
func New(c *cell.Cell) *Drills { return &Drills{c} }

// Put makes a plan, or with an ID changes the one there is. Times and a new ID
// are given here. A plan that was made with the same token is returned as it is.
//
// Errors: KindNotFound ([ErrPlan]), KindConflict ([ErrToken]), KindFull
// ([ErrPlans]), KindInvalid, and those of the cell.
func (d *Drills) Put(ctx context.Context, p Plan) (*Plan, error) {
	got, err := d.do(ctx, "keep the plan of a drill", p.ID, commandPut, p)
	if err != nil {
		return nil, err
	}
	return got.(*Plan), nil
}

// A Wish is a plan that a template declares, under an ID of its own.
type Wish struct {
	ID          string            `json:"id"`
	LogicalID   string            `json:"logicalID"`
	Description string            `json:"description,omitempty"`
	Document    json.RawMessage   `json:"document"`
	Tags        map[string]string `json:"tags,omitempty"`
	Retain      bool              `json:"retain,omitempty"`
}

// Deploy makes the plans that templates declare those of wishes, in one step: new
// ones and those whose declaration is another are put, those that are gone are
// removed unless they are retained. It returns the logical IDs of the removed. Runs
// stay, and go on.
//
// Errors: KindFull ([ErrPlans]), KindInvalid, and those of the cell.
func (d *Drills) Deploy(ctx context.Context, wishes []Wish) (removed []string, err error) {
	got, err := d.do(ctx, "deploy the plans of drills", "", commandDeploy, wishes)
	if err != nil {
		return nil, err
	}
	return got.([]string), nil
}

// Remove removes a plan and returns it. Its runs stay. Errors: KindNotFound ([ErrPlan]).
func (d *Drills) Remove(ctx context.Context, id string) (*Plan, error) {
	got, err := d.do(ctx, "remove the plan of a drill", id, commandRemove, id)
	if err != nil {
		return nil, err
	}
	return got.(*Plan), nil
}

// A tagging changes the tags of a plan, or of a run.
type tagging struct {
	Plan   string            `json:"plan,omitempty"`
	Run    string            `json:"run,omitempty"`
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// TagPlan sets and removes tags of a plan.
func (d *Drills) TagPlan(ctx context.Context, id string, set map[string]string, remove []string) error {
	_, err := d.do(ctx, "tag the plan of a drill", id, commandTag, tagging{Plan: id, Set: set, Remove: remove})
	return err
}

// TagRun sets and removes tags of a run.
func (d *Drills) TagRun(ctx context.Context, id string, set map[string]string, remove []string) error {
	_, err := d.do(ctx, "tag a drill", id, commandTag, tagging{Run: id, Set: set, Remove: remove})
	return err
}

// Begin keeps a new run, which is pending. One that was begun with the same
// token is returned, and then again is true.
//
// Errors: KindConflict ([ErrToken]), KindThrottled ([ErrActive]), KindInvalid,
// and those of the cell.
func (d *Drills) Begin(ctx context.Context, r Run) (_ *Run, again bool, err error) {
	got, err := d.do(ctx, "begin a drill", r.Plan, commandBegin, r)
	if err != nil {
		return nil, false, err
	}
	b := got.(begun)
	return b.run, b.again, nil
}

type begun struct {
	run   *Run
	again bool
}

// Note keeps how far a run has come: its state, steps and times. What has ended stays as it is.
func (d *Drills) Note(ctx context.Context, r Run) error {
	_, err := d.do(ctx, "note how far a drill is", r.ID, commandNote, r)
	return err
}

// Abandon has every run that has not ended be failed, for a reason: nobody
// carries it out any more. It returns their IDs.
func (d *Drills) Abandon(ctx context.Context, reason string) ([]string, error) {
	got, err := d.do(ctx, "give drills up", "", commandAbandon, reason)
	if err != nil {
		return nil, err
	}
	return got.([]string), nil
}

func (d *Drills) do(ctx context.Context, op, ref, name string, arguments any) (any, error) {
	got, err := d.cell.Ask(ctx, machineName, name, arguments)
	return got, daruma.Wrap(op, ref, err)
}

// Plan returns a plan. Errors: KindNotFound ([ErrPlan]).
func (d *Drills) Plan(ctx context.Context, id string) (*Plan, error) {
	return find(ctx, d.cell, plans(), key(prefixPlan, id), id, ErrPlan)
}

// Run returns a run. Errors: KindNotFound ([ErrRun]).
func (d *Drills) Run(ctx context.Context, id string) (*Run, error) {
	return find(ctx, d.cell, runs(), key(prefixRun, id), id, ErrRun)
}

func find[T any](ctx context.Context, c *cell.Cell, f cell.Format[T], key []byte, id string, missing error) (found *T, err error) {
	err = c.View(ctx, machineName, func(r *cell.Reader) error {
		if found = f.Get(r, key); found == nil {
			return &daruma.Error{Kind: daruma.KindNotFound, Err: missing}
		}
		return nil
	})
	return found, daruma.Wrap("find a drill", id, err)
}

// Plans returns all plans, in the order of their IDs.
func (d *Drills) Plans(ctx context.Context) ([]Plan, error) {
	return all(ctx, d.cell, plans(), prefixPlan)
}

// Runs returns the runs that are remembered, in the order of their IDs.
func (d *Drills) Runs(ctx context.Context) ([]Run, error) {
	return all(ctx, d.cell, runs(), prefixRun)
}

func all[T any](ctx context.Context, c *cell.Cell, f cell.Format[T], prefix string) (list []T, err error) {
	err = c.View(ctx, machineName, func(r *cell.Reader) error {
		for _, one := range f.All(r, cell.Prefix([]byte(prefix))) {
			list = append(list, *one)
		}
		return nil
	})
	return list, daruma.Wrap("list drills", "", err)
}
