// Package alarm holds alarms: each watches one metric, and says whether it is as
// it should be.
//
//	                 ┌──────────────── a judgement ────────────────┐
//	put ──► INSUFFICIENT_DATA ◄──► OK ◄──► ALARM ◄──► INSUFFICIENT_DATA
//	                 └── set by hand, until the next judgement ────┘
//
// What an alarm makes of points is [Definition.Judge], which depends on nothing
// else; who measures and asks is package raise. A change of state, its place in
// the alarm's history and what its actions hand over are one atomic step: an
// action cannot be lost, and happens once for each change. An action that cannot
// be taken is in the history, with the reason, and changes nothing else.
//
// It promises that definitions, states and histories outlive the platform. It
// measures nothing itself. In memory there are all alarms. The methods of
// [Alarms] may be called from any goroutine.
package alarm

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Limits of alarms.
const (
	Max            = 500
	NameBytesMax   = 255
	ActionsMax     = 5 // for each state
	DimensionsMax  = 30
	TagsMax        = 50
	ItemsMax       = 100 // of history that are kept of each alarm
	ReasonBytesMax = 1023
	DataBytesMax   = 4000
	PeriodsMax     = 24 * 60 * 6 // of one alarm: a day of the shortest

	textBytesMax = 1 << 10
)

// What is refused, beside what is wrong with a request. Match with errors.Is.
var (
	ErrMissing = errors.New("there is no such alarm")
	ErrTooMany = errors.New("there are as many alarms as there may be")
)

// A State is what an alarm says.
type State string

// The states.
const (
	OK           State = "OK"
	Alarmed      State = "ALARM"
	Insufficient State = "INSUFFICIENT_DATA" // too little is known
)

// A Metric is what an alarm watches, in the words of whoever made the alarm.
type Metric struct {
	Namespace  string      `json:"namespace"`
	Name       string      `json:"name"`
	Dimensions []Dimension `json:"dimensions,omitempty"` // by name
}

// A Dimension says of what a metric is.
type Dimension struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Definition says when an alarm goes off, and what happens then.
type Definition struct {
	Name        string        `json:"name"`
	Description string        `json:"description,omitempty"`
	Metric      Metric        `json:"metric"`
	Statistic   string        `json:"statistic,omitempty"`  // "Sum", "Average", …
	Percentile  string        `json:"percentile,omitempty"` // "p99": instead of Statistic
	Unit        string        `json:"unit,omitempty"`
	Period      time.Duration `json:"period"`
	Periods     int           `json:"periods"`           // that are judged together
	ToAlarm     int           `json:"toAlarm,omitempty"` // of these, how many are beyond the threshold for an alarm; all when 0
	Threshold   float64       `json:"threshold"`
	Comparison  string        `json:"comparison"`
	Missing     string        `json:"missing,omitempty"`    // what is made of periods without data; [AsMissing] when ""
	FewSamples  string        `json:"fewSamples,omitempty"` // "ignore": a percentile of too few values is not judged
	Muted       bool          `json:"muted,omitempty"`      // its actions are not taken

	OnAlarm        []string `json:"onAlarm,omitempty"` // actions when it comes into the state
	OnOK           []string `json:"onOK,omitempty"`
	OnInsufficient []string `json:"onInsufficient,omitempty"`
}

// What is made of periods without data.
const (
	AsMissing      = "missing"
	AsBreaching    = "breaching"
	AsNotBreaching = "notBreaching"
	AsBefore       = "ignore" // the state stays
)

// Actions are those of a state.
func (d *Definition) Actions(s State) []string {
	switch s {
	case Alarmed:
		return d.OnAlarm
	case OK:
		return d.OnOK
	}
	return d.OnInsufficient
}

// A Situation is a state with its reason.
type Situation struct {
	State  State     `json:"state"`
	Reason string    `json:"reason"`
	Data   string    `json:"data,omitempty"` // the reason as JSON
	At     time.Time `json:"at"`
}

// An Alarm is one alarm.
type Alarm struct {
	Definition
	Situation  Situation         `json:"situation"`
	Came       time.Time         `json:"came"`     // into its state
	Changed    time.Time         `json:"changed"`  // its definition
	Revision   uint64            `json:"revision"` // of its definition, from 1
	Tags       map[string]string `json:"tags,omitempty"`
	LogicalID  string            `json:"logicalID,omitempty"`
	Declared   string            `json:"declared,omitempty"` // what the template said when it last made it
	Retain     bool              `json:"retain,omitempty"`   // it stays when the template names it no more
	ItemNumber uint64            `json:"itemNumber"`         // of the last item of its history
}

// Kinds of items of a history.
const (
	Configured = "configuration"
	Moved      = "state"
	Acted      = "action"
)

// An Item is one piece of an alarm's history.
type Item struct {
	Alarm  string      `json:"alarm"`
	At     time.Time   `json:"at"`
	Kind   string      `json:"kind"`
	Did    string      `json:"did,omitempty"`    // of Configured: "created", "updated", "deleted"
	Is     *Definition `json:"is,omitempty"`     // of Configured
	From   *Situation  `json:"from,omitempty"`   // of Moved
	To     *Situation  `json:"to,omitempty"`     // of Moved
	State  State       `json:"state,omitempty"`  // of Acted
	Action string      `json:"action,omitempty"` // of Acted
	Failed string      `json:"failed,omitempty"` // of Acted: why it was not taken
}

const (
	machineName   = "alarm"
	commandPut    = "put"
	commandDelete = "delete"
	commandSet    = "set"
	commandJudge  = "judge"
	commandMute   = "mute"
	commandTag    = "tag"
	commandDeploy = "deploy"

	prefixAlarm = "a/" // a/<name>
	prefixItem  = "h/" // h/<name>\x00<number>
)

// Version 1 is the first of both.
func alarms() cell.Format[Alarm] { return cell.Format[Alarm]{Kind: "alarm", Version: 1} }
func items() cell.Format[Item]   { return cell.Format[Item]{Kind: "history of an alarm", Version: 1} }

// Alarms is the alarms of one cell.
type Alarms struct {
	cell    *cell.Cell
	machine *Machine
}

// New returns the alarms that lie in c, of which m is one of the machines. It starts nothing.
func New(c *cell.Cell, m *Machine) *Alarms { return &Alarms{c, m} }

// All returns all alarms, by name. They must not be changed.
func (a *Alarms) All() []*Alarm { return a.machine.list.All() }

// Alarm returns one alarm, or nil. It must not be changed.
func (a *Alarms) Alarm(name string) *Alarm {
	for _, one := range a.All() {
		if one.Name == name {
			return one
		}
	}
	return nil
}

// A putting makes an alarm, or defines it anew.
type putting struct {
	Definition
	Tags map[string]string `json:"tags,omitempty"` // of a new one
}

// Put makes an alarm, or gives one another definition: its state stays then,
// and so do its tags. Errors: KindInvalid, KindFull ([ErrTooMany]), and those of the cell.
func (a *Alarms) Put(ctx context.Context, d Definition, tags map[string]string) error {
	return a.do(ctx, "put alarm", d.Name, commandPut, putting{d, tags})
}

// Delete removes alarms: all that are named or, when one is missing, none.
// Their history goes with them. Errors: KindNotFound ([ErrMissing]).
func (a *Alarms) Delete(ctx context.Context, names ...string) error {
	return a.do(ctx, "delete alarms", "", commandDelete, names)
}

type setting struct {
	Name string    `json:"name"`
	To   Situation `json:"to"`
}

// Set has an alarm be in a state until it is judged the next time. Its actions
// are taken. Errors: KindNotFound ([ErrMissing]), KindInvalid.
func (a *Alarms) Set(ctx context.Context, name string, s State, reason, data string) error {
	return a.do(ctx, "set alarm", name, commandSet, setting{name, Situation{State: s, Reason: reason, Data: data}})
}

// A Judgement says in what state an alarm is.
type Judgement struct {
	Name     string    `json:"name"`
	Revision uint64    `json:"revision"` // of the definition that was judged by
	To       Situation `json:"to"`
}

// Judge has alarms be in the states they were found in. One that was defined
// anew meanwhile, or is gone, or is in that state already, is left as it is.
func (a *Alarms) Judge(ctx context.Context, all ...Judgement) error {
	return a.do(ctx, "judge alarms", "", commandJudge, all)
}

type muting struct {
	Names []string `json:"names"`
	Muted bool     `json:"muted"`
}

// Mute says whether actions of alarms are taken. Names that there are not are passed over.
func (a *Alarms) Mute(ctx context.Context, muted bool, names ...string) error {
	return a.do(ctx, "mute alarms", "", commandMute, muting{names, muted})
}

type tagging struct {
	Name   string            `json:"name"`
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// Tag sets and removes tags of an alarm. Errors: KindNotFound ([ErrMissing]), KindInvalid.
func (a *Alarms) Tag(ctx context.Context, name string, set map[string]string, remove []string) error {
	return a.do(ctx, "tag alarm", name, commandTag, tagging{name, set, remove})
}

// A Wish is an alarm that a template declares.
type Wish struct {
	Definition
	Tags      map[string]string `json:"tags,omitempty"`
	LogicalID string            `json:"logicalID"`
	Retain    bool              `json:"retain,omitempty"`
}

// Deploy makes the alarms that templates declare those of wishes, in one step:
// new ones and those whose declaration is another are put, those that are gone
// are removed unless they are retained. It returns the names of the removed.
func (a *Alarms) Deploy(ctx context.Context, wishes []Wish) (removed []string, err error) {
	got, err := a.cell.Ask(ctx, machineName, commandDeploy, wishes)
	if err != nil {
		return nil, daruma.Wrap("deploy alarms", "", err)
	}
	return got.([]string), nil
}

func (a *Alarms) do(ctx context.Context, op, ref, name string, arguments any) error {
	_, err := a.cell.Ask(ctx, machineName, name, arguments)
	return daruma.Wrap(op, ref, err)
}

// History returns the items that are kept of an alarm, of all when name is "",
// the newest first. It is empty for an alarm that there is not.
func (a *Alarms) History(ctx context.Context, name string) (all []Item, err error) {
	within := cell.Prefix([]byte(prefixItem))
	if name != "" {
		within = cell.Prefix(itemsOf(name))
	}
	err = a.cell.View(ctx, machineName, func(r *cell.Reader) error {
		for _, i := range items().All(r, within) {
			all = append(all, *i)
		}
		return nil
	})
	slices.Reverse(all) // of one moment, the later is first
	slices.SortStableFunc(all, func(a, b Item) int { return b.At.Compare(a.At) })
	return all, daruma.Wrap("read the history of alarms", name, err)
}

// Await waits until one of the named alarms is in the state [Alarmed], and
// returns its name. Errors: KindExpired when ctx ends before, KindNotFound
// ([ErrMissing]) when one is not there, or not any more.
func (a *Alarms) Await(ctx context.Context, names ...string) (string, error) {
	for after := uint64(0); ; {
		mark, err := a.cell.Changed(ctx, machineName, after)
		if err != nil {
			return "", daruma.Wrap("await an alarm", "", err)
		}
		after = mark
		for _, name := range names {
			switch is := a.Alarm(name); {
			case is == nil:
				return name, &daruma.Error{Op: "await an alarm", Kind: daruma.KindNotFound, Ref: name, Err: ErrMissing}
			case is.Situation.State == Alarmed:
				return name, nil
			}
		}
	}
}

// Validate says what is wrong with a definition, whatever its metric is.
func (d *Definition) Validate() error {
	tooLong := max(len(d.Description), len(d.Metric.Namespace), len(d.Metric.Name)) > textBytesMax
	for _, x := range d.Metric.Dimensions {
		tooLong = tooLong || max(len(x.Name), len(x.Value)) > textBytesMax
	}
	for _, x := range slices.Concat(d.OnAlarm, d.OnOK, d.OnInsufficient) {
		tooLong = tooLong || len(x) > textBytesMax
	}
	switch {
	case d.Name == "" || len(d.Name) > NameBytesMax:
		return daruma.Invalidf("a name has 1 to %d characters", NameBytesMax)
	case tooLong:
		return daruma.Invalidf("a description, a metric or an action has at most %d characters", textBytesMax)
	case len(d.Metric.Dimensions) > DimensionsMax:
		return daruma.Invalidf("a metric has at most %d dimensions", DimensionsMax)
	case max(len(d.OnAlarm), len(d.OnOK), len(d.OnInsufficient)) > ActionsMax:
		return daruma.Invalidf("there are at most %d actions for each state", ActionsMax)
	case (d.Statistic == "") == (d.Percentile == ""):
		return daruma.Invalidf("one statistic is needed, and not two")
	case d.Period <= 0 || d.Periods < 1 || d.Periods > PeriodsMax:
		return daruma.Invalidf("a period, and from 1 to %d of them, are judged", PeriodsMax)
	case d.ToAlarm < 0 || d.ToAlarm > d.Periods:
		return daruma.Invalidf("of %d periods, %d cannot be beyond the threshold", d.Periods, d.ToAlarm)
	case math.IsNaN(d.Threshold) || math.IsInf(d.Threshold, 0):
		return daruma.Invalidf("a threshold is a finite number")
	case comparisons[d.Comparison].beyond == nil:
		return daruma.Invalidf("%q is no comparison", d.Comparison)
	case !slices.Contains([]string{"", AsMissing, AsBreaching, AsNotBreaching, AsBefore}, d.Missing):
		return daruma.Invalidf("%q is not what is made of missing data", d.Missing)
	case !slices.Contains([]string{"", "evaluate", "ignore"}, d.FewSamples):
		return daruma.Invalidf("%q is not what is made of few samples", d.FewSamples)
	}
	return nil
}

func (s *Situation) validate() error {
	switch {
	case !slices.Contains([]State{OK, Alarmed, Insufficient}, s.State):
		return daruma.Invalidf("%q is no state of an alarm", s.State)
	case len(s.Reason) > ReasonBytesMax:
		return daruma.Invalidf("a reason has at most %d characters", ReasonBytesMax)
	case len(s.Data) > DataBytesMax || s.Data != "" && !json.Valid([]byte(s.Data)):
		return daruma.Invalidf("the data of a reason is JSON of at most %d characters", DataBytesMax)
	}
	return nil
}
