package write

import (
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
)

// A Target is an action with what it is about.
type Target struct {
	*Action
	Schema    *schema.Table
	Key       []byte
	condition *expression.Bound
	update    *expression.Bound
}

// Resolve checks an action against its expressions and its table, in the order
// in which the service does.
func Resolve(expressions *expression.Cache, tables func(name string) *schema.Table, a *Action) (*Target, error) {
	t := &Target{Action: a}
	scope := expression.Scope{Names: a.Names, Values: a.Values}
	var err error
	if a.Update != "" {
		if t.update, err = expressions.Bind(&scope, expression.Update, a.Update); err != nil {
			return nil, refuse.Said(err)
		}
	}
	if a.Condition != "" {
		if t.condition, err = expressions.Bind(&scope, expression.Condition, a.Condition); err != nil {
			return nil, refuse.Said(err)
		}
	}
	if err := scope.Unused(); err != nil {
		return nil, refuse.Said(err)
	}
	s := tables(a.Table)
	if s == nil {
		return nil, refuse.NoResource()
	}
	t.Schema = s
	if a.Kind == Put {
		if err := s.CheckItem(a.Item); err != nil {
			return nil, err
		}
		if err := s.CheckIndexKeys(a.Item, false); err != nil {
			return nil, err
		}
	} else if err := s.CheckKey(a.Item); err != nil {
		return nil, err
	}
	if t.update != nil {
		for _, n := range t.update.Heads() {
			if n == s.Hash || n == s.Sort {
				return nil, refuse.Invalid("%sCannot update attribute %s. This attribute is part of the key", refuse.WrongParameters, n)
			}
		}
		if err := s.CheckIndexKinds(t.update); err != nil {
			return nil, err
		}
		if err := s.CheckPaths(t.update); err != nil {
			return nil, err
		}
	}
	t.Key = s.ItemKey(a.Item)
	return t, nil
}

// ActionsMax is how many actions a transaction has.
const ActionsMax = 100

// An Outcome is what came of an action.
type Outcome struct {
	Attributes value.Item // what was asked for; nil when there is nothing
	Capacity   throughput.Capacity
	// Collection is the partition that was written, of a table with local
	// indexes; nil otherwise.
	Collection value.Item
}

// Distinct refuses two actions on one item. Targets may be nil.
func Distinct(targets []*Target, m Mode) error {
	seen := make(map[string]bool, len(targets))
	for _, t := range targets {
		if t == nil {
			continue // its action is refused by itself
		}
		if seen[string(t.Key)] {
			if m == Transaction {
				return refuse.Invalid("Transaction request cannot include multiple operations on one item")
			}
			return refuse.Invalid("Provided list of item keys contains duplicates")
		}
		seen[string(t.Key)] = true
	}
	return nil
}

// BatchMax is how many actions a batch has.
const BatchMax = 25
