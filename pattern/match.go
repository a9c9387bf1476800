package pattern

import (
	"maps"
	"slices"
)

// A node is what is asked of a value and of what lies under it.
type node struct {
	leaf  *leaf // of the value itself; nil when nothing is
	names []string
	under []*node // by names
}

// trees makes a tree of the fields of each alternative.
func trees(all []fields) []*node {
	roots := make([]*node, 0, len(all))
	for _, f := range all {
		root := &node{}
		for _, path := range slices.Sorted(maps.Keys(f)) {
			n := root
			for _, name := range f[path].path {
				i, found := slices.BinarySearch(n.names, name)
				if !found {
					n.names = slices.Insert(n.names, i, name)
					n.under = slices.Insert(n.under, i, &node{})
				}
				n = n.under[i]
			}
			n.leaf = f[path]
		}
		roots = append(roots, root)
	}
	return roots
}

// A match is one alternative being matched with one event.
type match struct {
	event any
	known map[*leaf]bool // which fields are not in the event
}

// satisfied says whether v, when it is there, has all that n asks. Of an array
// one element must have all of it: what is asked of one branch is found in one
// element. Each node meets each value at most once.
func (m *match) satisfied(n *node, v any, there bool) bool {
	if list, ok := v.([]any); ok && there && len(list) > 0 {
		return slices.ContainsFunc(list, func(e any) bool { return m.satisfied(n, e, true) })
	}
	o, isObject := v.(map[string]any)
	_, isList := v.([]any)
	if n.leaf != nil && !m.holds(n.leaf, v, there && !isObject && !isList) {
		return false
	}
	for i, name := range n.names {
		member, has := o[name]
		if !m.satisfied(n.under[i], member, has) {
			return false
		}
	}
	return true
}

// holds says whether a test of l accepts v, when there is a value.
func (m *match) holds(l *leaf, v any, there bool) bool {
	if there && slices.ContainsFunc(l.tests, func(t test) bool { return t.accepts(v) }) {
		return true
	}
	return l.absent && !there && m.absent(l)
}

// absent says whether there is no value at l's path, in no element of any array.
func (m *match) absent(l *leaf) bool {
	is, known := m.known[l]
	if !known {
		is = !has(m.event, l.path)
		if m.known == nil {
			m.known = map[*leaf]bool{}
		}
		m.known[l] = is
	}
	return is
}

func has(v any, path []string) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return has(e, path) })
	case map[string]any:
		if len(path) == 0 {
			return false
		}
		member, ok := v[path[0]]
		return ok && has(member, path[1:])
	}
	return len(path) == 0
}
