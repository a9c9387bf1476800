package alarm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Created is the reason of the state of a new alarm.
const Created = "Unchecked: Initial alarm creation"

// Config is what a machine needs. It must be the same wherever commands are applied.
type Config struct {
	// Act makes the command that takes an action of the state an alarm has come
	// into: it hands a message over, which is known by id. Its error, and that of
	// the command, say why the action is not taken. Required.
	Act func(id string, a *Alarm, was Situation, action string) (cell.Command, error)
}

// A Machine applies the commands of alarms. Each cell has its own; the machines
// that Config.Act speaks to lie in the same cell.
type Machine struct {
	cfg  Config
	list *cell.List[Alarm] // all of them, by name
}

// NewMachine returns a machine for one cell.
func NewMachine(cfg Config) *Machine { return &Machine{cfg, cell.NewList(read)} }

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load reads the alarms there are.
func (m *Machine) Load(r *cell.Reader) error {
	m.list.Load(r)
	return nil
}

func read(s cell.State) []*Alarm { return alarms().Slice(s, cell.Prefix([]byte(prefixAlarm))) }

// A work is one command being applied.
type work struct {
	tx  *cell.Tx
	act func(id string, a *Alarm, was Situation, action string) (cell.Command, error)
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	answer, err := commands.Apply(&work{tx, m.cfg.Act}, cmd)
	if err != nil {
		return nil, err
	}
	m.list.Follow(tx)
	return answer, nil
}

// commands is what alarms can be asked for.
var commands = cell.Commands[*work]{
	commandPut:    cell.Doing((*work).put),
	commandDelete: cell.Doing((*work).delete),
	commandSet:    cell.Doing((*work).set),
	commandJudge:  cell.Doing((*work).judge),
	commandMute:   cell.Doing((*work).mute),
	commandTag:    cell.Doing((*work).tag),
	commandDeploy: cell.Answering((*work).deploy),
}

func keyOf(name string) []byte   { return []byte(prefixAlarm + name) }
func itemsOf(name string) []byte { return []byte(prefixItem + name + "\x00") }

func (w *work) get(name string) (*Alarm, error) {
	if a := alarms().Get(w.tx, keyOf(name)); a != nil {
		return a, nil
	}
	return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: name, Err: ErrMissing}
}

func (w *work) write(a *Alarm) { alarms().Put(w.tx, keyOf(a.Name), a) }

// remember adds an item to the history of an alarm, which is to be written then.
func (w *work) remember(a *Alarm, i Item) {
	a.ItemNumber++
	i.Alarm, i.At = a.Name, w.tx.Now()
	items().Put(w.tx, binary.BigEndian.AppendUint64(itemsOf(a.Name), a.ItemNumber), &i)
	if a.ItemNumber > ItemsMax {
		w.tx.Delete(binary.BigEndian.AppendUint64(itemsOf(a.Name), a.ItemNumber-ItemsMax))
	}
}

func (w *work) put(p putting) error {
	if err := p.Validate(); err != nil {
		return err
	}
	a := alarms().Get(w.tx, keyOf(p.Name))
	did := "updated"
	if a == nil {
		if len(read(w.tx)) >= Max {
			return &daruma.Error{Kind: daruma.KindFull, Err: ErrTooMany}
		}
		if len(p.Tags) > TagsMax {
			return daruma.Invalidf("an alarm has at most %d tags", TagsMax)
		}
		did = "created"
		a = &Alarm{Situation: Situation{State: Insufficient, Reason: Created, At: w.tx.Now()}, Came: w.tx.Now(), Tags: p.Tags}
	}
	a.Definition, a.Changed = p.Definition, w.tx.Now()
	a.Revision++
	w.remember(a, Item{Kind: Configured, Did: did, Is: &a.Definition})
	w.write(a)
	return nil
}

func (w *work) delete(names []string) error {
	for _, name := range names {
		if _, err := w.get(name); err != nil {
			return err
		}
	}
	for _, name := range names {
		w.tx.Delete(keyOf(name))
		w.tx.DeleteRange(cell.Prefix(itemsOf(name)))
	}
	return nil
}

func (w *work) set(s setting) error {
	if err := s.To.validate(); err != nil {
		return err
	}
	a, err := w.get(s.Name)
	if err != nil {
		return err
	}
	w.move(a, s.To)
	return nil
}

func (w *work) judge(all []Judgement) error {
	for _, j := range all {
		if err := j.To.validate(); err != nil {
			return err
		}
		a := alarms().Get(w.tx, keyOf(j.Name))
		if a != nil && a.Revision == j.Revision && a.Situation.State != j.To.State {
			w.move(a, j.To)
		}
	}
	return nil
}

// move has an alarm be in a state. Its actions are taken when it was in another.
func (w *work) move(a *Alarm, to Situation) {
	was := a.Situation
	to.At = w.tx.Now()
	a.Situation = to
	if to.State == was.State {
		w.write(a)
		return
	}
	a.Came = to.At
	w.remember(a, Item{Kind: Moved, From: &was, To: &to})
	if !a.Muted {
		for _, action := range a.Actions(to.State) {
			item := Item{Kind: Acted, State: to.State, Action: action}
			if err := w.take(a, was, action); err != nil {
				item.Failed = err.Error()
			}
			w.remember(a, item)
		}
	}
	w.write(a)
}

func (w *work) take(a *Alarm, was Situation, action string) error {
	cmd, err := w.act(w.tx.NewID(), a, was, action)
	if err == nil {
		_, err = w.tx.Do(cmd)
	}
	return err
}

func (w *work) mute(m muting) error {
	for _, name := range m.Names {
		a := alarms().Get(w.tx, keyOf(name))
		if a == nil || a.Muted == m.Muted {
			continue
		}
		a.Muted, a.Changed = m.Muted, w.tx.Now()
		w.remember(a, Item{Kind: Configured, Did: "updated", Is: &a.Definition})
		w.write(a)
	}
	return nil
}

func (w *work) tag(t tagging) error {
	a, err := w.get(t.Name)
	if err != nil {
		return err
	}
	if a.Tags = daruma.Tagged(a.Tags, t.Set, t.Remove); len(a.Tags) > TagsMax {
		return daruma.Invalidf("an alarm has at most %d tags", TagsMax)
	}
	w.write(a)
	return nil
}

// deploy makes what templates declare what wishes say.
func (w *work) deploy(wishes []Wish) ([]string, error) {
	named := map[string]bool{}
	for _, is := range wishes {
		named[is.Name] = true
		declared := declaration(is)
		if old := alarms().Get(w.tx, keyOf(is.Name)); old != nil && old.Declared == declared && old.LogicalID == is.LogicalID {
			continue
		}
		if err := w.put(putting{Definition: is.Definition}); err != nil {
			return nil, fmt.Errorf("%s: %w", is.LogicalID, err)
		}
		a := alarms().Get(w.tx, keyOf(is.Name))
		if a.LogicalID, a.Declared, a.Retain, a.Tags = is.LogicalID, declared, is.Retain, is.Tags; len(a.Tags) > TagsMax {
			return nil, daruma.Invalidf("%s: an alarm has at most %d tags", is.LogicalID, TagsMax)
		}
		w.write(a)
	}
	removed := []string{}
	for _, a := range read(w.tx) {
		switch {
		case a.LogicalID == "" || named[a.Name]:
		case a.Retain:
			a.LogicalID, a.Declared, a.Retain = "", "", false
			w.write(a)
		default:
			removed = append(removed, a.Name)
		}
	}
	return removed, w.delete(removed)
}

// declaration is what a template says of an alarm, in short.
func declaration(is Wish) string {
	text, _ := json.Marshal(is) // what came as JSON can be written
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Same says whether two metrics are the same.
func (m Metric) Same(o Metric) bool {
	return m.Namespace == o.Namespace && m.Name == o.Name && reflect.DeepEqual(Sorted(m.Dimensions), Sorted(o.Dimensions))
}

// Sorted returns dimensions by name.
func Sorted(d []Dimension) []Dimension {
	d = slices.Clone(d)
	slices.SortFunc(d, func(a, b Dimension) int {
		if a.Name < b.Name {
			return -1
		}
		if a.Name > b.Name {
			return 1
		}
		return 0
	})
	return d
}
