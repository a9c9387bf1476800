package mapping

import (
	"errors"
	"maps"
	"reflect"
	"slices"

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
	commandTag     = "tag"

	prefix = "m/" // m/<UUID>: a Mapping
)

// mappings is how they are written. Version 1 is the first.
func mappings() cell.Format[Mapping] { return cell.Format[Mapping]{Kind: "mapping", Version: 1} }

func keyOf(uuid string) []byte { return []byte(prefix + uuid) }

// A Machine applies the commands of mappings. Each cell has its own.
type Machine struct {
	list *cell.List[Mapping] // all of them, by UUID
}

// NewMachine returns a machine for one cell.
func NewMachine() *Machine { return &Machine{cell.NewList(read)} }

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load reads the mappings there are.
func (m *Machine) Load(r *cell.Reader) error {
	m.list.Load(r)
	return nil
}

func read(s cell.State) []*Mapping { return mappings().Slice(s, cell.Prefix([]byte(prefix))) }

type deployment struct {
	Wishes []Wish   `json:"wishes"`
	IDs    []string `json:"ids"` // of those that are new
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	answer, err := commands.Apply(tx, cmd)
	if err != nil {
		return nil, err
	}
	m.list.Follow(tx)
	return answer, nil
}

// commands is what mappings can be asked for.
var commands = cell.Commands[*cell.Tx]{
	commandCreate:  cell.Answering(create),
	commandChange:  cell.Answering(change),
	commandDelete:  cell.Answering(func(tx *cell.Tx, m Mapping) (*Mapping, error) { return remove(tx, m.UUID) }),
	commandAdvance: cell.Answering(advance),
	commandDeploy:  cell.Doing(deploy),
	commandTag:     cell.Answering(tag),
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
		return nil, daruma.Invalidf("a mapping has an ID, a source and a function")
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
		return daruma.Invalidf("%d IDs for %d mappings", len(d.IDs), len(d.Wishes))
	}
	var kept []string
	for i, w := range d.Wishes {
		m := declared(tx, w)
		if m == nil {
			made, err := create(tx, Mapping{UUID: d.IDs[i], Source: w.Source, Settings: w.Settings, Tags: w.Tags, Declared: w.Tags, LogicalID: w.LogicalID})
			if err != nil {
				return daruma.Wrap("", w.LogicalID, err)
			}
			kept = append(kept, made.UUID)
			continue
		}
		kept = append(kept, m.UUID)
		same := reflect.DeepEqual(m.Settings, w.Settings)
		retagged := !maps.Equal(m.Declared, w.Tags)
		if same && m.LogicalID == w.LogicalID && !retagged {
			continue
		}
		was := m.Disabled
		m.LogicalID, m.Settings = w.LogicalID, w.Settings
		if retagged {
			m.Tags, m.Declared = w.Tags, w.Tags
		}
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
