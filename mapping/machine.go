package mapping

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

const (
	machineName    = "mapping"
	commandCreate  = "create"
	commandChange  = "change"
	commandDelete  = "delete"
	commandAdvance = "advance"
	commandDeploy  = "deploy"

	prefix = "m/" // m/<UUID>: a Mapping
)

// mappings is how they are written. Version 1 is the first.
func mappings() cell.Format[Mapping] { return cell.Format[Mapping]{Kind: "mapping", Version: 1} }

func keyOf(uuid string) []byte { return []byte(prefix + uuid) }

// A Machine applies the commands of mappings. Each cell has its own.
type Machine struct {
	now atomic.Pointer[[]*Mapping] // all of them, by UUID; replaced, never changed
}

// NewMachine returns a machine for one cell.
func NewMachine() *Machine { return &Machine{} }

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load reads the mappings there are.
func (m *Machine) Load(r *cell.Reader) error {
	m.publish(read(r))
	return nil
}

func read(s cell.State) []*Mapping {
	var all []*Mapping
	for _, one := range mappings().All(s, cell.Prefix([]byte(prefix))) {
		all = append(all, one)
	}
	return all
}

func (m *Machine) publish(all []*Mapping) { m.now.Store(&all) }

func (m *Machine) all() []*Mapping {
	if all := m.now.Load(); all != nil {
		return *all
	}
	return nil
}

type deployment struct {
	Wishes []Wish   `json:"wishes"`
	IDs    []string `json:"ids"` // of those that are new
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	var given Mapping
	var d deployment
	var into any = &given
	if cmd.Name == commandDeploy {
		into = &d
	}
	if err := json.Unmarshal(cmd.Body, into); err != nil {
		return nil, invalid("%s: %w", cmd.Name, err)
	}
	var answer any
	var err error
	switch cmd.Name {
	case commandCreate:
		answer, err = create(tx, given)
	case commandChange:
		answer, err = change(tx, given)
	case commandDelete:
		answer, err = remove(tx, given.UUID)
	case commandAdvance:
		answer, err = advance(tx, given)
	case commandDeploy:
		err = deploy(tx, d)
	default:
		err = &daruma.Error{Kind: daruma.KindUnsupported, Ref: cmd.Name, Err: errors.New("mappings know no such command")}
	}
	if err != nil {
		return nil, err
	}
	all := read(tx)
	tx.Then(func() { m.publish(all) })
	return answer, nil
}

// other returns a mapping of the same source to the same function.
func other(tx *cell.Tx, m *Mapping) *Mapping {
	for _, o := range read(tx) {
		if o.Source.ARN == m.Source.ARN && o.Target() == m.Target() && o.UUID != m.UUID && o.State != Deleting {
			return o
		}
	}
	return nil
}

func put(tx *cell.Tx, m *Mapping) *Mapping {
	m.Changed = tx.Now()
	mappings().Put(tx, keyOf(m.UUID), m)
	return m
}

func create(tx *cell.Tx, m Mapping) (*Mapping, error) {
	switch {
	case m.UUID == "" || m.Source.ARN == "" || m.Source.Kind == "" || m.Function == "":
		return nil, invalid("a mapping has an ID, a source and a function")
	case len(read(tx)) >= Max:
		return nil, &daruma.Error{Kind: daruma.KindThrottled, Err: errors.New("there are too many event source mappings")}
	}
	if o := other(tx, &m); o != nil {
		return nil, &daruma.Error{Kind: daruma.KindExists, Err: &Exists{o.UUID}}
	}
	m.Revision, m.State = 1, Creating
	if m.Disabled {
		m.State = Disabling
	}
	return put(tx, &m), nil
}

func change(tx *cell.Tx, given Mapping) (*Mapping, error) {
	m := mappings().Get(tx, keyOf(given.UUID))
	switch {
	case m == nil:
		return nil, notFound(given.UUID)
	case m.State == Deleting, m.Revision != given.Revision:
		return nil, &daruma.Error{Kind: daruma.KindConflict, Ref: given.UUID, Err: errors.New("the mapping is in use: it is being changed")}
	}
	was := m.Disabled
	m.Settings = given.Settings
	if o := other(tx, m); o != nil {
		return nil, &daruma.Error{Kind: daruma.KindExists, Err: &Exists{o.UUID}}
	}
	m.Revision++
	m.State = turned(was, m.Disabled)
	return put(tx, m), nil
}

// turned is the state of a mapping that was, and is now, disabled or not.
func turned(was, is bool) State {
	switch {
	case is:
		return Disabling
	case was:
		return Enabling
	}
	return Updating
}

func remove(tx *cell.Tx, uuid string) (*Mapping, error) {
	m := mappings().Get(tx, keyOf(uuid))
	if m == nil {
		return nil, notFound(uuid)
	}
	m.State = Deleting
	return put(tx, m), nil
}

func advance(tx *cell.Tx, given Mapping) (*Mapping, error) {
	m := mappings().Get(tx, keyOf(given.UUID))
	switch {
	case m == nil:
		return nil, notFound(given.UUID)
	case m.State != given.State:
		return nil, &daruma.Error{Kind: daruma.KindConflict, Ref: given.UUID, Err: errors.New("it is in another state")}
	case m.State == Deleting:
		tx.Delete(keyOf(m.UUID))
		return m, nil
	}
	to, ok := next[m.State]
	if !ok {
		return m, nil
	}
	m.State = to
	mappings().Put(tx, keyOf(m.UUID), m)
	return m, nil
}

// deploy makes the declared mappings those of d.
func deploy(tx *cell.Tx, d deployment) error {
	if len(d.IDs) != len(d.Wishes) {
		return invalid("%d IDs for %d mappings", len(d.IDs), len(d.Wishes))
	}
	var kept []string
	for i, w := range d.Wishes {
		m := declared(tx, w)
		if m == nil {
			made, err := create(tx, Mapping{UUID: d.IDs[i], Source: w.Source, Settings: w.Settings, Tags: w.Tags, LogicalID: w.LogicalID})
			if err != nil {
				return &daruma.Error{Kind: daruma.KindOf(err), Ref: w.LogicalID, Err: err}
			}
			kept = append(kept, made.UUID)
			continue
		}
		kept = append(kept, m.UUID)
		same := reflect.DeepEqual(m.Settings, w.Settings)
		if same && m.LogicalID == w.LogicalID && reflect.DeepEqual(m.Tags, w.Tags) {
			continue
		}
		was := m.Disabled
		m.LogicalID, m.Tags, m.Settings = w.LogicalID, w.Tags, w.Settings
		if !same {
			m.Revision++
			m.State = turned(was, m.Disabled)
		}
		put(tx, m)
	}
	for _, m := range read(tx) {
		if m.LogicalID != "" && m.State != Deleting && !slices.Contains(kept, m.UUID) {
			m.State = Deleting
			put(tx, m)
		}
	}
	return nil
}

// declared returns the mapping that w is about, or nil.
func declared(tx *cell.Tx, w Wish) *Mapping {
	wanted := Mapping{Settings: w.Settings, Source: w.Source}
	return other(tx, &wanted)
}
