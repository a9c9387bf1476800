package parameter

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// A Machine applies the commands of parameters. Each cell has its own.
type Machine struct{ count atomic.Int64 } // how many there are; written by the apply loop only

// NewMachine returns a machine for one cell.
func NewMachine() *Machine { return &Machine{} }

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load counts the parameters there are.
func (m *Machine) Load(r *cell.Reader) error {
	n := int64(0)
	for range r.Scan(cell.Prefix([]byte(prefixCurrent))) {
		n++
	}
	m.count.Store(n)
	return nil
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	w := &work{tx: tx, count: m.count.Load()}
	answer, err := commands.Apply(w, cmd)
	if err != nil {
		return nil, err
	}
	tx.Then(func() { m.count.Store(w.count) })
	return answer, nil
}

// A work is one command being applied.
type work struct {
	tx    *cell.Tx
	count int64
}

// commands is what parameters can be asked for.
var commands = cell.Commands[*work]{
	commandPut:    cell.Answering((*work).put),
	commandDelete: cell.Answering((*work).delete),
	commandTag:    cell.Answering((*work).tag),
	commandDeploy: cell.Answering((*work).deploy),
}

// put writes the next version of a parameter.
func (w *work) put(p putting) (*Parameter, error) {
	old := parameters().Get(w.tx, currentKey(p.Name))
	switch {
	case old == nil:
		if w.count >= ParametersMax {
			return nil, &daruma.Error{Kind: daruma.KindFull, Err: ErrTooMany}
		}
		w.count++
	case !p.Overwrite:
		return nil, &daruma.Error{Kind: daruma.KindExists, Ref: p.Name, Err: ErrExists}
	default:
		if p.Type = cmp.Or(p.Type, old.Type); p.Type != old.Type {
			return nil, &daruma.Error{Kind: daruma.KindInvalid, Ref: p.Name, Err: ErrType}
		}
		p.Description, p.Pattern, p.Tier = cmp.Or(p.Description, old.Description), cmp.Or(p.Pattern, old.Pattern), cmp.Or(p.Tier, old.Tier)
		p.Tags = old.Tags
		if p.LogicalID == "" {
			p.LogicalID, p.Declared, p.Retain = old.LogicalID, old.Declared, old.Retain
		}
		p.Version = old.Version
	}
	p.Version++
	p.Modified = w.tx.Now()
	if err := p.validate(); err != nil {
		return nil, err
	}
	w.write(&p.Parameter)
	if p.Version > VersionsMax {
		w.tx.Delete(versionKey(p.Name, p.Version-VersionsMax))
	}
	return &p.Parameter, nil
}

func (w *work) write(p *Parameter) {
	parameters().Put(w.tx, currentKey(p.Name), p)
	one := *p
	one.Tags = nil
	parameters().Put(w.tx, versionKey(p.Name, p.Version), &one)
}

func (w *work) delete(names []string) (any, error) {
	deleted := []string{}
	for _, name := range names {
		if parameters().Get(w.tx, currentKey(name)) == nil {
			continue
		}
		w.tx.Delete(currentKey(name))
		w.tx.DeleteRange(cell.Prefix(versions(name)))
		w.count--
		deleted = append(deleted, name)
	}
	return deleted, nil
}

func (w *work) tag(t tagging) (any, error) {
	p := parameters().Get(w.tx, currentKey(t.Name))
	if p == nil {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: t.Name, Err: ErrMissing}
	}
	p.Tags = daruma.Tagged(p.Tags, t.Set, t.Remove)
	if err := p.validate(); err != nil {
		return nil, err
	}
	parameters().Put(w.tx, currentKey(t.Name), p)
	return nil, nil
}

// deploy makes what templates declare what wishes say.
func (w *work) deploy(wishes []Parameter) (any, error) {
	named := map[string]bool{}
	for _, p := range wishes {
		named[p.Name] = true
		p.Declared = declaration(p)
		old := parameters().Get(w.tx, currentKey(p.Name))
		if old != nil && old.Fulfils(p) {
			continue
		}
		if old != nil && old.Type != p.Type { // what a template declares is made anew when its type changes
			if _, err := w.delete([]string{p.Name}); err != nil {
				return nil, err
			}
		}
		if _, err := w.put(putting{p, true}); err != nil {
			return nil, fmt.Errorf("%s: %w", p.LogicalID, err)
		}
		if old != nil {
			w.tagged(p.Name, p.Tags)
		}
	}
	removed := []string{}
	for _, p := range parameters().All(w.tx, cell.Prefix([]byte(prefixCurrent))) {
		switch {
		case p.LogicalID == "" || named[p.Name]:
		case p.Retain:
			p.LogicalID, p.Declared, p.Retain = "", "", false
			parameters().Put(w.tx, currentKey(p.Name), p)
		default:
			removed = append(removed, p.Name)
		}
	}
	if _, err := w.delete(removed); err != nil {
		return nil, err
	}
	return removed, nil
}

// tagged gives a parameter the tags that a template declares.
func (w *work) tagged(name string, tags map[string]string) {
	p := parameters().Get(w.tx, currentKey(name))
	p.Tags = tags
	parameters().Put(w.tx, currentKey(name), p)
}

// declaration is what a template says of a parameter, in short.
func declaration(p Parameter) string {
	lines := []string{p.Type, p.Value, p.Description, p.Pattern, p.Tier}
	for _, name := range slices.Sorted(maps.Keys(p.Tags)) {
		lines = append(lines, name, p.Tags[name])
	}
	text, _ := json.Marshal(lines) // texts always can be written
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
