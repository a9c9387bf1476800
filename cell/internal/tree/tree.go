// Package tree holds an ordered map of byte strings that never changes: every
// change returns a new map and leaves the old one as it was.
//
// It is the working copy of a command while it is being applied (undoing a
// command is forgetting its map) and the store of the memory journal (a
// snapshot is a copy of the map's value). Keys and values are kept, not
// copied: who passes them in must not change them afterwards. A map may be
// read from any goroutine.
package tree

import (
	"bytes"
	"iter"
)

// A Map is an ordered map from byte strings to V. The zero value is empty.
// Get, Set and Delete take time logarithmic in the number of keys.
type Map[V any] struct {
	root *node[V]
}

// A node is part of a treap: ordered by key from left to right, and by weight
// from top to bottom. The weight is a hash of the key, so that the same keys
// always form the same tree, whatever order they came in.
type node[V any] struct {
	key         []byte
	value       V
	weight      uint64
	size        int
	left, right *node[V]
}

// Len returns the number of keys.
func (m Map[V]) Len() int { return m.root.count() }

// Get returns the value of key.
func (m Map[V]) Get(key []byte) (value V, ok bool) {
	n := m.root
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value, true
		}
	}
	return value, false
}

// Set returns the map with key set to value.
func (m Map[V]) Set(key []byte, value V) Map[V] {
	return Map[V]{root: set(m.root, &node[V]{key: key, value: value, weight: weigh(key), size: 1})}
}

// Delete returns the map without key.
func (m Map[V]) Delete(key []byte) Map[V] {
	if _, ok := m.Get(key); !ok {
		return m
	}
	return Map[V]{root: remove(m.root, key)}
}

// DeleteRange returns the map without the keys from lower up to but not
// including upper. A nil upper has no end.
func (m Map[V]) DeleteRange(lower, upper []byte) Map[V] {
	below, rest := split(m.root, lower)
	if upper == nil {
		return Map[V]{root: below}
	}
	_, above := split(rest, upper)
	return Map[V]{root: merge(below, above)}
}

// Ascend yields the keys from lower up to but not including upper, in order.
// A nil lower starts at the first key, a nil upper has no end.
func (m Map[V]) Ascend(lower, upper []byte) iter.Seq2[[]byte, V] {
	return func(yield func([]byte, V) bool) { ascend(m.root, lower, upper, yield) }
}

// Descend yields what Ascend does, from the last key to the first.
func (m Map[V]) Descend(lower, upper []byte) iter.Seq2[[]byte, V] {
	return func(yield func([]byte, V) bool) { descend(m.root, lower, upper, yield) }
}

func ascend[V any](n *node[V], lower, upper []byte, yield func([]byte, V) bool) bool {
	if n == nil {
		return true
	}
	above := lower == nil || bytes.Compare(n.key, lower) >= 0
	if above && !ascend(n.left, lower, upper, yield) {
		return false
	}
	if upper != nil && bytes.Compare(n.key, upper) >= 0 {
		return true
	}
	if above && !yield(n.key, n.value) {
		return false
	}
	return ascend(n.right, lower, upper, yield)
}

func descend[V any](n *node[V], lower, upper []byte, yield func([]byte, V) bool) bool {
	if n == nil {
		return true
	}
	below := upper == nil || bytes.Compare(n.key, upper) < 0
	if below && !descend(n.right, lower, upper, yield) {
		return false
	}
	if lower != nil && bytes.Compare(n.key, lower) < 0 {
		return true
	}
	if below && !yield(n.key, n.value) {
		return false
	}
	return descend(n.left, lower, upper, yield)
}

// set returns n with leaf added, or put in the place of the node of the same key.
func set[V any](n, leaf *node[V]) *node[V] {
	if n == nil {
		return leaf
	}
	c := bytes.Compare(leaf.key, n.key)
	if c == 0 {
		leaf.left, leaf.right = n.left, n.right
		return leaf.fix()
	}
	if leaf.weight > n.weight {
		leaf.left, leaf.right = split(n, leaf.key) // a heavier key is not below n: the key is new here
		return leaf.fix()
	}
	copied := *n
	if c < 0 {
		copied.left = set(n.left, leaf)
	} else {
		copied.right = set(n.right, leaf)
	}
	return copied.fix()
}

// remove returns n without key, which must be there.
func remove[V any](n *node[V], key []byte) *node[V] {
	c := bytes.Compare(key, n.key)
	if c == 0 {
		return merge(n.left, n.right)
	}
	copied := *n
	if c < 0 {
		copied.left = remove(n.left, key)
	} else {
		copied.right = remove(n.right, key)
	}
	return copied.fix()
}

// split returns the keys below key, and the others.
func split[V any](n *node[V], key []byte) (below, others *node[V]) {
	if n == nil {
		return nil, nil
	}
	copied := *n
	if bytes.Compare(n.key, key) < 0 {
		copied.right, others = split(n.right, key)
		return copied.fix(), others
	}
	below, copied.left = split(n.left, key)
	return below, copied.fix()
}

// merge joins two trees of which all keys of a are below all keys of b.
func merge[V any](a, b *node[V]) *node[V] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.weight >= b.weight:
		copied := *a
		copied.right = merge(a.right, b)
		return copied.fix()
	default:
		copied := *b
		copied.left = merge(a, b.left)
		return copied.fix()
	}
}

func (n *node[V]) count() int {
	if n == nil {
		return 0
	}
	return n.size
}

// fix brings the size up to date after its children were set.
func (n *node[V]) fix() *node[V] {
	n.size = 1 + n.left.count() + n.right.count()
	return n
}

// weigh is FNV-1a with its bits mixed, so that neighbouring keys have weights far apart.
func weigh(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range key {
		h = (h ^ uint64(b)) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
