package expression

import (
	"cmp"
	"slices"

	"github.com/daruma-io/daruma/table/value"
)

// Project returns what the paths of a projection, or of an update, lead to in
// an item, each within what it lies in. Elements of lists close up.
func (b *Bound) Project(it value.Item) value.Item {
	var plain value.Item
	for _, p := range b.paths {
		if len(p) > 1 {
			return projectItem(b.grow(b.paths), it)
		}
		name := b.nameOf(&p[0])
		if v, ok := it.Get(name); ok {
			plain = append(plain, value.Attribute{Name: name, Value: v})
		}
	}
	out, _, _ := value.Sorted(plain)
	return out
}

// Leaves returns what the paths of a projection lead to in an item, each under the
// name that its path ends with. Names must differ. What a path that ends with an
// index leads to is within what it lies in, as Project returns it.
func (b *Bound) Leaves(it value.Item) value.Item {
	var elements []path
	var all []value.Attribute
	for _, p := range b.paths {
		last := &p[len(p)-1]
		if last.index >= 0 {
			elements = append(elements, p)
		} else if v := b.resolve(p, it); v.Kind() != value.None {
			all = append(all, value.Attribute{Name: b.nameOf(last), Value: v})
		}
	}
	if elements != nil {
		all = append(all, projectItem(b.grow(elements), it)...)
	}
	out, _, _ := value.Sorted(all)
	return out
}

// A branch is where paths that begin alike part.
type branch struct {
	name  string
	index int
	leaf  bool
	kids  []*branch
}

// grow makes a tree of paths.
func (b *Bound) grow(all []path) *branch {
	root := &branch{}
	for _, p := range all {
		at := root
		for i := range p {
			at = at.kid(b.nameOf(&p[i]), p[i].index)
		}
		at.leaf = true
	}
	return root
}

// kid returns the branch for a name or an index, in order.
func (t *branch) kid(name string, index int) *branch {
	if index >= 0 {
		name = ""
	}
	i, found := slices.BinarySearchFunc(t.kids, 0, func(k *branch, _ int) int {
		return cmp.Or(cmp.Compare(k.index, index), cmp.Compare(k.name, name))
	})
	if !found {
		t.kids = slices.Insert(t.kids, i, &branch{name: name, index: index})
	}
	return t.kids[i]
}

func projectItem(t *branch, it value.Item) value.Item {
	var out value.Item
	for _, k := range t.kids {
		if k.index >= 0 {
			continue
		}
		if v, ok := it.Get(k.name); ok {
			if v, ok = projectValue(k, v); ok {
				out = append(out, value.Attribute{Name: k.name, Value: v})
			}
		}
	}
	return out
}

func projectValue(t *branch, v value.Value) (value.Value, bool) {
	if t.leaf {
		return v, true
	}
	switch v.Kind() {
	case value.Map:
		if inside := projectItem(t, v.Map()); len(inside) > 0 {
			return value.OfMap(inside), true
		}
	case value.List:
		var out []value.Value
		for _, k := range t.kids {
			if k.index < 0 || k.index >= len(v.List()) {
				continue
			}
			if e, ok := projectValue(k, v.List()[k.index]); ok {
				out = append(out, e)
			}
		}
		if len(out) > 0 {
			return value.OfList(out), true
		}
	}
	return value.Value{}, false
}

// Heads returns the names of the attributes that an expression's paths begin
// with: what a projection wants, what an update touches, what a condition looks at.
func (b *Bound) Heads() []string {
	return b.heads(func(path) bool { return true }, false)
}

// Nested returns the names of the attributes that paths of an expression lead on
// into, those of what an update assigns, too.
func (b *Bound) Nested() []string {
	return b.heads(func(p path) bool { return len(p) > 1 }, true)
}

func (b *Bound) heads(want func(path) bool, assigned bool) []string {
	var all []string
	note := func(p path) {
		if name := b.nameOf(&p[0]); want(p) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, p := range b.paths {
		note(p)
	}
	var operands func(...*operand)
	operands = func(args ...*operand) {
		for _, a := range args {
			if a.kind == ofPath {
				note(a.path)
			}
			operands(a.args...)
		}
	}
	var walk func(*condition)
	walk = func(c *condition) {
		for _, k := range c.kids {
			walk(k)
		}
		operands(c.args...)
	}
	if b.condition != nil {
		walk(b.condition)
	}
	for i := range b.actions {
		if v := b.actions[i].value; assigned && v != nil {
			operands(v)
		}
	}
	return all
}

// Assigned is what an update certainly makes of an attribute, and None when it does
// not, or when that depends on the item.
func (b *Bound) Assigned(name string) value.Kind {
	for i := range b.actions {
		if a := &b.actions[i]; a.value != nil && len(a.path) == 1 && b.nameOf(&a.path[0]) == name {
			return (&checker{b: b}).typeOf(a.value)
		}
	}
	return value.None
}
