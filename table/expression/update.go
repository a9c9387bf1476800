package expression

import (
	"slices"

	"github.com/daruma-io/daruma/table/value"
)

// What can be wrong with an item for an update, in the service's words.
const (
	textMissing   = "The provided expression refers to an attribute that does not exist in the item"
	textWrongType = "An operand in the update expression has an incorrect data type"
	textBadPath   = "The document path provided in the update expression is invalid for update"
)

func unfit(text string) error { return &Error{Message: text, At: -1} }

// Update returns what an item becomes. Everything that is assigned is worked
// out of the item as it was; of elements of lists, all indexes mean that item too.
//
// The error is an [*Error] and says what in the item does not fit.
func (b *Bound) Update(it value.Item) (value.Item, error) {
	values := make([]value.Value, len(b.actions))
	for i := range b.actions {
		v, err := b.outcome(&b.actions[i], it)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	order := b.order()
	out := it
	for _, i := range order {
		a := &b.actions[i]
		if a.clause != clauseSet && values[i].Kind() == value.None && b.resolve(a.path, it).Kind() == value.None && len(a.path) == 1 {
			continue // nothing to remove
		}
		v, err := b.place(a.path[1:], value.OfMap(out), b.nameOf(&a.path[0]), -1, values[i])
		if err != nil {
			return nil, err
		}
		out = v.Map()
	}
	return out, nil
}

// RemovesOnly says whether an update takes away and gives nothing.
func (b *Bound) RemovesOnly() bool {
	return !slices.ContainsFunc(b.actions, func(a action) bool { return a.clause != clauseRemove && a.clause != clauseDelete })
}

// order returns the actions so that what is removed from lists goes last, from
// their ends: so each index still means what it meant. What is put behind the
// end of a list goes there in the order of the indexes.
func (b *Bound) order() []int {
	order := make([]int, len(b.actions))
	lists := false
	for i := range order {
		order[i] = i
		lists = lists || b.actions[i].path[len(b.actions[i].path)-1].index >= 0
	}
	if !lists {
		return order
	}
	last := func(i int) (remove bool, index int) {
		a := &b.actions[i]
		index = a.path[len(a.path)-1].index
		return index >= 0 && a.clause == clauseRemove, index
	}
	slices.SortStableFunc(order, func(i, j int) int {
		ri, xi := last(i)
		rj, xj := last(j)
		switch {
		case ri != rj && ri:
			return 1
		case ri != rj:
			return -1
		case ri:
			return xj - xi
		}
		return xi - xj
	})
	return order
}

// outcome works out what an action assigns; None removes.
func (b *Bound) outcome(a *action, it value.Item) (value.Value, error) {
	switch a.clause {
	case clauseSet:
		return b.assigned(a.value, it)
	case clauseRemove:
		return value.Value{}, nil
	}
	old, change := b.resolve(a.path, it), b.values[a.value.slot]
	switch {
	case old.Kind() == value.None && a.clause == clauseDelete:
		return value.Value{}, nil
	case old.Kind() == value.None:
		return change, nil
	case old.Kind() != change.Kind():
		return value.Value{}, unfit(textWrongType)
	case change.Kind() == value.Number:
		return arithmetic(ofSum, old, change)
	}
	var left []value.Value
	for _, e := range old.List() {
		if a.clause == clauseAdd || !change.Has(e) {
			left = append(left, e)
		}
	}
	if a.clause == clauseAdd {
		for _, e := range change.List() {
			if !old.Has(e) {
				left = append(left, e)
			}
		}
	}
	return value.OfSet(old.Kind(), left), nil
}

// assigned works out an operand of SET, which must be there.
func (b *Bound) assigned(o *operand, it value.Item) (value.Value, error) {
	switch o.kind {
	case ofValue:
		return b.values[o.slot], nil
	case ofPath:
		v := b.resolve(o.path, it)
		if v.Kind() == value.None {
			return v, unfit(textMissing)
		}
		return v, nil
	case ofCall:
		if o.name == "if_not_exists" {
			if v := b.resolve(o.args[0].path, it); v.Kind() != value.None {
				return v, nil
			}
			return b.assigned(o.args[1], it)
		}
	}
	x, err := b.assigned(o.args[0], it)
	if err != nil {
		return x, err
	}
	y, err := b.assigned(o.args[1], it)
	if err != nil {
		return y, err
	}
	if o.kind != ofCall {
		return arithmetic(o.kind, x, y)
	}
	if x.Kind() != value.List || y.Kind() != value.List {
		return value.Value{}, unfit(textWrongType)
	}
	return value.OfList(slices.Concat(x.List(), y.List())), nil
}

func arithmetic(kind operandKind, x, y value.Value) (value.Value, error) {
	if x.Kind() != value.Number || y.Kind() != value.Number {
		return value.Value{}, unfit(textWrongType)
	}
	f := value.Decimal.Add
	if kind == ofDifference {
		f = value.Decimal.Sub
	}
	d, err := f(x.Decimal(), y.Decimal())
	if err != nil {
		return value.Value{}, unfit(err.Error())
	}
	return value.OfDecimal(d), nil
}

// place returns in with v where a path leads: first to a name or an index of
// in, then along rest. A v that is None removes what is there.
func (b *Bound) place(rest path, in value.Value, name string, index int, v value.Value) (value.Value, error) {
	var at value.Value
	switch {
	case index < 0 && in.Kind() == value.Map:
		at, _ = in.Map().Get(name)
	case index >= 0 && in.Kind() == value.List:
		if index < len(in.List()) {
			at = in.List()[index]
		}
	default:
		return in, unfit(textBadPath)
	}
	if len(rest) > 0 {
		if at.Kind() == value.None {
			return in, unfit(textBadPath)
		}
		var err error
		if v, err = b.place(rest[1:], at, b.nameOf(&rest[0]), rest[0].index, v); err != nil {
			return in, err
		}
	}
	if index < 0 {
		return value.OfMap(in.Map().With(name, v)), nil
	}
	old := in.List()
	switch {
	case index < len(old) && v.Kind() == value.None:
		return value.OfList(slices.Concat(old[:index], old[index+1:])), nil
	case v.Kind() == value.None:
		return in, nil
	case index < len(old):
		out := slices.Clone(old)
		out[index] = v
		return value.OfList(out), nil
	}
	return value.OfList(append(old[:len(old):len(old)], v)), nil
}
