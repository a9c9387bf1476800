package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

const (
	machineName         = "ledger"
	commandRecord       = "record"
	commandRedrive      = "redrive"
	commandResolve      = "resolve"
	commandDiscard      = "discard"
	commandResolveGroup = "resolve-group"
	commandBegin        = "begin-repair"
	commandComplete     = "complete-repair"
	commandRetain       = "retain"
	commandTold         = "told"
)

// resolveMax is how many failures of a group one command resolves.
const resolveMax = 256

// A Machine applies the ledger's commands. Its limits must be the same
// wherever the commands are applied. Zero values stand for the defaults.
type Machine struct {
	KeepAge   time.Duration // 30 days; counted from the failure
	KeepBytes int64         // 1 GiB of records and events
	KeepMax   int64         // 100,000 failures
}

func (m Machine) withDefaults() Machine {
	m.KeepAge = cmp.Or(m.KeepAge, 30*24*time.Hour)
	m.KeepBytes = cmp.Or(m.KeepBytes, 1<<30)
	m.KeepMax = cmp.Or(m.KeepMax, 100_000)
	return m
}

// Name is the machine's name in its cell.
func (Machine) Name() string { return machineName }

// Apply takes one step.
func (m Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	switch m = m.withDefaults(); cmd.Name {
	case commandRecord:
		f, event, err := decodeRecord(cmd.Body)
		if err != nil {
			return nil, err
		}
		return m.record(tx, f, event)
	case commandRetain:
		m.retain(tx)
		return nil, nil
	}
	return commands.Apply(tx, cmd)
}

// commands is what the ledger can be asked for, besides what its limits bear on.
var commands = cell.Commands[*cell.Tx]{
	commandRedrive:      cell.Answering(redrive),
	commandResolve:      cell.Doing(func(tx *cell.Tx, c change) error { return closeOne(tx, c, Resolved) }),
	commandDiscard:      cell.Doing(func(tx *cell.Tx, c change) error { return closeOne(tx, c, Discarded) }),
	commandResolveGroup: cell.Answering(resolveGroup),
	commandBegin:        cell.Answering(begin),
	commandComplete:     cell.Doing(complete),
	commandTold:         cell.Doing(told),
}

// A change is what becomes of one failure.
type change struct {
	ID     ID     `json:"id"`
	Reason string `json:"reason,omitempty"`
	Strict bool   `json:"strict,omitempty"` // a failure that is not there, or closed otherwise, is an error
}

type groupChange struct {
	ID     GroupID `json:"id"`
	Reason string  `json:"reason,omitempty"`
}

// redriven is what the redrive command answers.
type redriven struct {
	failure *Failure
	event   []byte
	already bool
}

func (m Machine) record(tx *cell.Tx, f *Failure, event []byte) (ID, error) {
	if f.Hop == "" || f.Function == "" {
		return 0, invalid("a failure without its hop or its function")
	}
	f.Number, f.At, f.State = ID(next(tx, 'F')), tx.Now(), Open
	f.Closed, f.To, f.Group = time.Time{}, 0, 0
	clean, hit, secrets := redact(event, f.Sensitive)
	f.Correlations = correlate(clean, f.Correlate)
	f.Sensitive, f.Correlate = nil, nil
	f.Redacted, f.EventBytes = hit, len(clean)
	if f.Next == "" {
		f.Next = advice(f)
	}
	f.conceal(secrets)
	f.trim()
	g := join(tx, f)
	announceGroup(tx, g, f)
	groups().Put(tx, numbered(spaceGroup, uint64(g.Number)), g)
	index(f, func(key []byte) { tx.Set(key, nil) })
	tx.Set(indexKey(byState, string(Open), f.Number), nil)
	need(tx, f, 1)
	bytes := put(tx, f)
	tx.Set(numbered(spaceEvent, uint64(f.Number)), cell.Seal(eventVersion, clean))
	u := usage(tx)
	u.Failures++
	u.Open++
	u.Recorded++
	u.Bytes += bytes + int64(len(clean))
	usages().Put(tx, []byte{spaceUsage}, u)
	if f.From != 0 {
		if before := failures().Get(tx, numbered(spaceFailure, uint64(f.From))); before != nil {
			before.To = f.Number
			rewrite(tx, before)
		}
	}
	m.keep(tx, u)
	return f.Number, nil
}

// advice says what a person can do about f.
func advice(f *Failure) string {
	switch {
	case f.Hop == Call:
		return "fix the cause and call again, or redrive it: its event is kept"
	case f.Hop != Async:
		return "make " + f.Function + " able to take it, then redrive it"
	case len(f.Redacted) > 0:
		return "fix the cause, then redrive it with its whole event: sensitive fields were not kept"
	}
	return "fix the cause, then redrive it, or discard it with a reason"
}

// conceal removes what was redacted from everything else that is kept.
func (f *Failure) conceal(secrets []string) {
	if len(secrets) == 0 {
		return
	}
	slices.SortStableFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		pairs = append(pairs, s, redactedText)
	}
	r := strings.NewReplacer(pairs...)
	f.Message, f.Reason, f.Did = r.Replace(f.Message), r.Replace(f.Reason), r.Replace(f.Did)
	f.Handover = []byte(r.Replace(string(f.Handover)))
	for i := range f.Stack {
		f.Stack[i] = r.Replace(f.Stack[i])
	}
	for i := range f.Log {
		f.Log[i] = r.Replace(f.Log[i])
	}
	for i := range f.Attempts {
		f.Attempts[i].Message = r.Replace(f.Attempts[i].Message)
	}
}

// put writes f and returns the size of its record.
func put(tx *cell.Tx, f *Failure) int64 {
	record, err := failures().Encode(f)
	if err != nil {
		failures().Put(tx, nil, f) // cannot be written: undoes the command
		return 0
	}
	tx.Set(numbered(spaceFailure, uint64(f.Number)), record)
	return int64(len(record))
}

// rewrite writes f again and keeps account of its size.
func rewrite(tx *cell.Tx, f *Failure) {
	old, _ := tx.Get(numbered(spaceFailure, uint64(f.Number)))
	u := usage(tx)
	u.Bytes += put(tx, f) - int64(len(old))
	usages().Put(tx, []byte{spaceUsage}, u)
}

// move gives f another state, and its group and the usage their counts.
func move(tx *cell.Tx, f *Failure, to State, reason string) *Group {
	tx.Delete(indexKey(byState, string(f.State), f.Number))
	tx.Set(indexKey(byState, string(to), f.Number), nil)
	lower(tx, to, f.Number)
	g := groups().Get(tx, numbered(spaceGroup, uint64(f.Group)))
	if f.State == Open {
		need(tx, f, -1)
		if g != nil {
			g.Open--
			groups().Put(tx, numbered(spaceGroup, uint64(f.Group)), g)
		}
		u := usage(tx)
		u.Open--
		usages().Put(tx, []byte{spaceUsage}, u)
	}
	f.State, f.Reason, f.Closed = to, Cut(reason, textBytesMax), tx.Now()
	rewrite(tx, f)
	return g
}

func redrive(tx *cell.Tx, c change) (redriven, error) {
	id := c.ID
	f := failures().Get(tx, numbered(spaceFailure, uint64(id)))
	if f == nil {
		return redriven{}, missing(id)
	}
	event, err := eventOf(tx, id)
	if err != nil {
		return redriven{}, err
	}
	before := *f
	switch f.State {
	case Redriven:
		return redriven{failure: &before, already: true}, nil
	case Resolved:
		return redriven{}, &daruma.Error{Kind: daruma.KindConflict, Ref: id.String(), Err: errors.New("it is resolved: nothing is left to do again")}
	}
	move(tx, f, Redriven, "")
	return redriven{failure: &before, event: event}, nil
}

func closeOne(tx *cell.Tx, c change, to State) error {
	if to == Discarded && c.Reason == "" {
		return invalid("a failure is discarded with a reason")
	}
	f := failures().Get(tx, numbered(spaceFailure, uint64(c.ID)))
	switch {
	case f == nil && c.Strict:
		return missing(c.ID)
	case f == nil || f.State == to:
		return nil
	case f.State == Open || f.State == Redriven && to == Resolved:
		g := move(tx, f, to, c.Reason)
		settleGroup(tx, g)
		return nil
	case c.Strict:
		return &daruma.Error{Kind: daruma.KindConflict, Ref: c.ID.String(), Err: fmt.Errorf("it is %s already", f.State)}
	}
	return nil
}

// settleGroup notes that a group of which nothing is open is resolved.
func settleGroup(tx *cell.Tx, g *Group) {
	if g == nil || g.Open > 0 || !g.Resolved.IsZero() {
		return
	}
	g.Resolved, g.Regressed = tx.Now(), time.Time{}
	groups().Put(tx, numbered(spaceGroup, uint64(g.Number)), g)
}

func resolveGroup(tx *cell.Tx, c groupChange) (int64, error) {
	g := groups().Get(tx, numbered(spaceGroup, uint64(c.ID)))
	if g == nil {
		return 0, missing(c.ID)
	}
	done := 0
	for key := range tx.ScanBack(cell.Prefix(indexPrefix(byGroup, c.ID.String()))) {
		if done == resolveMax || g.Open == int64(done) {
			break
		}
		f := failures().Get(tx, numbered(spaceFailure, number(key)))
		if f != nil && f.State == Open {
			move(tx, f, Resolved, c.Reason)
			done++
		}
	}
	g = groups().Get(tx, numbered(spaceGroup, uint64(c.ID)))
	if g == nil {
		return 0, missing(c.ID)
	}
	settleGroup(tx, g)
	return g.Open, nil
}
