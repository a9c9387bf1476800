package delivery

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// Limits of a policy (Lambda API, EventInvokeConfig).
const (
	RetriesMax     = 2
	RetriesDefault = 2
	AgeMin         = 60 * time.Second
	AgeMax         = 6 * time.Hour
	AgeDefault     = 6 * time.Hour
)

const latest = "$LATEST"

// A Policy says how hard an event is tried and who is told.
type Policy struct {
	Retries    *int          `json:"retries,omitempty"` // 0 to RetriesMax; nil: RetriesDefault
	Age        time.Duration `json:"ageNs,omitempty"`   // whole seconds from AgeMin to AgeMax; 0: AgeDefault
	OnSuccess  *Destination  `json:"onSuccess,omitempty"`
	OnFailure  *Destination  `json:"onFailure,omitempty"`
	DeadLetter *Destination  `json:"deadLetter,omitempty"` // receives the event itself, beside OnFailure
}

// FunctionKind is the kind of a destination that is a function. Other kinds
// are those of [Config.Sinks].
const FunctionKind = "function"

// A Destination is where something is handed on to.
type Destination struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Qualifier string `json:"qualifier,omitempty"` // of a function
	ARN       string `json:"arn,omitempty"`       // as it was configured
}

func (p Policy) retries() int {
	if p.Retries == nil {
		return RetriesDefault
	}
	return *p.Retries
}

func (p Policy) age() time.Duration {
	if p.Age == 0 {
		return AgeDefault
	}
	return p.Age
}

// Check says whether a function may have this policy: KindInvalid when a value
// is out of its range or the function is its own destination, KindUnsupported
// for a kind of destination nothing here takes.
func (m *Machine) Check(function string, p Policy) error {
	switch {
	case p.retries() < 0 || p.retries() > RetriesMax:
		return daruma.InvalidAt(function, "%d retries: from 0 to %d are possible", p.retries(), RetriesMax)
	case p.age() < AgeMin || p.age() > AgeMax || p.age()%time.Second != 0:
		return daruma.InvalidAt(function, "a maximum age of %v: from %v to %v in whole seconds are possible", p.age(), AgeMin, AgeMax)
	}
	for _, d := range []*Destination{p.OnSuccess, p.OnFailure, p.DeadLetter} {
		switch {
		case d == nil:
		case d.Name == "" || hasZero(d.Name) || len(d.Name)+len(d.Qualifier)+len(d.ARN) > fieldBytesMax/4:
			return daruma.InvalidAt(function, "a destination without a name, or with one that is too long")
		case d.Kind == FunctionKind && d == p.DeadLetter:
			return daruma.InvalidAt(function, "a function cannot be where dead letters go")
		case d.Kind == FunctionKind && d.Name == function:
			return daruma.InvalidAt(function, "You can't specify the function as a destination for itself.")
		case d.Kind == FunctionKind:
		case m.cfg.Sinks[d.Kind] == nil:
			return &daruma.Error{Kind: daruma.KindUnsupported, Ref: d.ARN, Err: errNoSink(d.Kind), Hint: "kinds of destination here: " + strings.Join(m.kinds(), ", ")}
		}
	}
	return nil
}

type errNoSink string

func (e errNoSink) Error() string { return "nothing here takes what is sent to a " + string(e) }

func (m *Machine) kinds() []string {
	all := []string{FunctionKind}
	for k := range m.cfg.Sinks {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// A Setting is the policy that is kept for a function as it is invoked through a qualifier.
type Setting struct {
	Target   daruma.Target `json:"-"`
	Policy   Policy        `json:"policy"`
	Modified time.Time     `json:"modified"`
}

// A Wish is a policy wanted for a target; nil removes it.
type Wish struct {
	Function  string  `json:"function"`
	Qualifier string  `json:"qualifier,omitempty"` // "" is $LATEST
	Policy    *Policy `json:"policy"`
}

// Declared is what a template says of a function's events, for the ledger.
type Declared struct {
	Owner     string            `json:"owner,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	Sensitive []string          `json:"sensitive,omitempty"` // JSON paths of the event that are not kept
	Correlate []string          `json:"correlate,omitempty"` // JSON paths of the event that it is found by
}

type configuration struct {
	Wishes   []Wish              `json:"wishes"`
	Declared map[string]Declared `json:"declared,omitempty"` // by function
	All      bool                `json:"all,omitempty"`      // remove every other setting
}

// Version 1 of each is the first.
func settings() cell.Format[Setting] {
	return cell.Format[Setting]{Kind: "setting of asynchronous events", Version: 1}
}

func declarations() cell.Format[Declared] {
	return cell.Format[Declared]{Kind: "declaration of a function's events", Version: 1}
}

// Configure changes the policies of targets, all or none, and takes effect for
// events on their way, too. A target without a setting of its own has the
// defaults: there is no inheritance between qualifiers. Errors are those of
// [Machine.Check].
func (d *Deliveries) Configure(ctx context.Context, wishes ...Wish) error {
	return d.configure(ctx, configuration{Wishes: wishes})
}

// ConfigureAll makes the given policies, and what is declared of functions, the only ones there are.
func (d *Deliveries) ConfigureAll(ctx context.Context, wishes []Wish, declared map[string]Declared) error {
	for f, is := range declared {
		for _, path := range append(slices.Clone(is.Sensitive), is.Correlate...) {
			if err := ledger.CheckPath(path); err != nil {
				return &daruma.Error{Op: "configure asynchronous events", Ref: f, Kind: daruma.KindInvalid, Err: err}
			}
		}
	}
	return d.configure(ctx, configuration{Wishes: wishes, Declared: declared, All: true})
}

func (d *Deliveries) configure(ctx context.Context, c configuration) error {
	_, err := d.do(ctx, commandConfigure, c)
	return daruma.Wrap("configure asynchronous events", "", err)
}

// Setting returns what is configured for a target, or nil.
func (d *Deliveries) Setting(ctx context.Context, t daruma.Target) (s *Setting, err error) {
	err = d.view(ctx, "read setting", func(r *cell.Reader) error {
		if s = settings().Get(r, settingKey(t.Function, t.Qualifier)); s != nil {
			s.Target = t
		}
		return nil
	})
	return s, err
}

// Settings returns what is configured for a function, by qualifier.
func (d *Deliveries) Settings(ctx context.Context, function string) (list []Setting, err error) {
	err = d.view(ctx, "read settings", func(r *cell.Reader) error {
		prefix := append(append([]byte{spaceSetting}, function...), 0)
		for key, s := range settings().All(r, cell.Prefix(prefix)) {
			s.Target.Function, s.Target.Qualifier = settingOf(key)
			list = append(list, *s)
		}
		return nil
	})
	return list, err
}

func (d *Deliveries) view(ctx context.Context, op string, f func(r *cell.Reader) error) error {
	return daruma.Wrap(op, "", d.cell.View(ctx, machineName, f))
}

func (m *Machine) configure(tx *cell.Tx, c configuration) error {
	keep := map[string]*Setting{}
	for _, w := range c.Wishes {
		if w.Function == "" || hasZero(w.Function) || hasZero(w.Qualifier) || len(w.Function)+len(w.Qualifier) > fieldBytesMax/8 {
			return daruma.InvalidAt(w.Function, "not a function's name")
		}
		key := settingKey(w.Function, w.Qualifier)
		if w.Policy == nil {
			tx.Delete(key)
			continue
		}
		if err := m.Check(w.Function, *w.Policy); err != nil {
			return err
		}
		s := &Setting{Policy: *w.Policy, Modified: tx.Now()}
		if old := settings().Get(tx, key); c.All && old != nil && samePolicy(old.Policy, s.Policy) {
			s = old // a deployment that changes nothing
		}
		keep[string(key)] = s
		settings().Put(tx, key, s)
	}
	if !c.All {
		return nil
	}
	for key := range tx.Scan(cell.Prefix([]byte{spaceSetting})) {
		if keep[string(key)] == nil {
			tx.Delete(key)
		}
	}
	tx.DeleteRange(cell.Prefix([]byte{spaceDeclared}))
	for _, f := range slices.Sorted(maps.Keys(c.Declared)) {
		is := c.Declared[f]
		declarations().Put(tx, declaredKey(f), &is)
	}
	return nil
}

func samePolicy(a, b Policy) bool {
	same := func(x, y *Destination) bool { return x == y || x != nil && y != nil && *x == *y }
	return a.retries() == b.retries() && (a.Retries == nil) == (b.Retries == nil) && a.Age == b.Age &&
		same(a.OnSuccess, b.OnSuccess) && same(a.OnFailure, b.OnFailure) && same(a.DeadLetter, b.DeadLetter)
}
