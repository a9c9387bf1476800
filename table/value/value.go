// Package value is what an attribute of an item can be: text, exact numbers,
// bytes, truth, nothing, lists, maps and sets; and how each is written down.
//
// It holds the rules of the AWS Developer Guide of tables ("Supported data types
// and naming rules", "Item sizes and formats") that are about values alone:
// numbers of 38 digits in one canonical form, sizes, nesting, equality and
// order, and three encodings: a compact one for records ([AppendItem]), one
// whose bytes sort as the values do ([AppendKey]), and JSON with the type
// beside each value ([AppendJSON]).
//
// Values are immutable: whoever has one may keep it, share it, and read it
// from any goroutine. The package does no I/O and keeps nothing.
package value

import (
	"slices"
	"strings"
)

// DepthMax is how many lists and maps may lie within one another.
const DepthMax = 32

// A Kind is the type of a value.
type Kind uint8

// The kinds of value. The zero Kind is that of no value at all.
const (
	None Kind = iota
	Null
	Bool
	Number
	String
	Binary
	StringSet
	NumberSet
	BinarySet
	List
	Map
)

var kindNames = [...]string{"", "NULL", "BOOL", "N", "S", "B", "SS", "NS", "BS", "L", "M"}

// String returns the kind as clients write it: "S", "NS", "BOOL".
func (k Kind) String() string { return kindNames[k] }

// KindOf returns the kind clients write as name, and None when there is none.
func KindOf(name string) Kind {
	for i, n := range kindNames {
		if i > 0 && n == name {
			return Kind(i)
		}
	}
	return None
}

// Set says whether k is a set.
func (k Kind) Set() bool { return k == StringSet || k == NumberSet || k == BinarySet }

// Element is the kind of a set's elements, and None for what is no set.
func (k Kind) Element() Kind {
	switch k {
	case StringSet:
		return String
	case NumberSet:
		return Number
	case BinarySet:
		return Binary
	}
	return None
}

// A Value is one attribute's value. The zero Value is none.
type Value struct {
	kind  Kind
	yes   bool
	text  string  // of a String, a Binary; the canonical text of a Number
	list  []Value // of a List; the elements of a set, in the order in which they came
	attrs Item    // of a Map
}

// An Attribute is a name with a value.
type Attribute struct {
	Name  string
	Value Value
}

// An Item is attributes in ascending order of their names, each name once.
type Item []Attribute

// Nothing is the null value.
func Nothing() Value { return Value{kind: Null} }

// OfBool makes a truth value.
func OfBool(b bool) Value { return Value{kind: Bool, yes: b} }

// OfString makes a text.
func OfString(s string) Value { return Value{kind: String, text: s} }

// OfBinary makes bytes of b, held as a string.
func OfBinary(b string) Value { return Value{kind: Binary, text: b} }

// OfDecimal makes a number.
func OfDecimal(d Decimal) Value { return Value{kind: Number, text: d.String()} }

// OfNumber makes a number of its text. See [ParseDecimal] for its errors.
func OfNumber(text string) (Value, error) {
	if canonicalInteger(text) {
		return Value{kind: Number, text: text}, nil
	}
	d, err := ParseDecimal(text)
	if err != nil {
		return Value{}, err
	}
	return OfDecimal(d), nil
}

// OfList makes a list of elements, which must not be changed afterwards.
func OfList(elements []Value) Value { return Value{kind: List, list: elements} }

// OfMap makes a map of an item, which must not be changed afterwards.
func OfMap(attributes Item) Value { return Value{kind: Map, attrs: attributes} }

// OfSet makes a set of elements, which must be of kind's element kind, distinct,
// and not changed afterwards. A set without elements is None.
func OfSet(kind Kind, elements []Value) Value {
	if len(elements) == 0 {
		return Value{}
	}
	return Value{kind: kind, list: elements}
}

// Kind returns what v is.
func (v Value) Kind() Kind { return v.kind }

// Text returns the text of a String, the bytes of a Binary, and the canonical
// text of a Number.
func (v Value) Text() string { return v.text }

// True says whether v is the truth value true.
func (v Value) True() bool { return v.yes }

// List returns the elements of a list or a set. It must not be changed.
func (v Value) List() []Value { return v.list }

// Map returns the attributes of a map. It must not be changed.
func (v Value) Map() Item { return v.attrs }

// Decimal returns the number v is; zero when it is none.
func (v Value) Decimal() Decimal {
	d, err := ParseDecimal(v.text)
	if v.kind != Number || err != nil {
		return Decimal{}
	}
	return d
}

// Get returns the value of an attribute, and false when the item has none.
func (it Item) Get(name string) (Value, bool) {
	if i, ok := it.find(name); ok {
		return it[i].Value, true
	}
	return Value{}, false
}

// find returns where name is, or would be.
func (it Item) find(name string) (int, bool) {
	if len(it) <= 8 {
		for i := range it {
			if it[i].Name >= name {
				return i, it[i].Name == name
			}
		}
		return len(it), false
	}
	return slices.BinarySearchFunc(it, name, func(a Attribute, n string) int { return strings.Compare(a.Name, n) })
}

// With returns the item with name set to v; it itself stays as it is. A v that
// is None removes the attribute.
func (it Item) With(name string, v Value) Item {
	i, found := it.find(name)
	switch {
	case v.kind == None && !found:
		return it
	case v.kind == None:
		return slices.Concat(it[:i], it[i+1:])
	case found:
		out := slices.Clone(it)
		out[i].Value = v
		return out
	}
	out := make(Item, 0, len(it)+1)
	out = append(append(out, it[:i]...), Attribute{name, v})
	return append(out, it[i:]...)
}

// Sorted makes an item of attributes in any order. It reports the first name
// that is there twice. It may reorder attributes in place.
func Sorted(attributes []Attribute) (it Item, twice string, ok bool) {
	byName := func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(attributes, byName) {
		slices.SortStableFunc(attributes, byName)
	}
	for i := 1; i < len(attributes); i++ {
		if attributes[i].Name == attributes[i-1].Name {
			return nil, attributes[i].Name, false
		}
	}
	return attributes, "", true
}

// Equal says whether two values are the same. Sets are equal whatever the
// order of their elements.
func Equal(a, b Value) bool {
	if a.kind != b.kind || a.yes != b.yes || a.text != b.text || len(a.list) != len(b.list) {
		return false
	}
	switch {
	case a.kind == List:
		return slices.EqualFunc(a.list, b.list, Equal)
	case a.kind == Map:
		return EqualItems(a.attrs, b.attrs)
	case a.kind.Set():
		return slices.EqualFunc(a.list, b.list, Equal) || slices.EqualFunc(sortedSet(a.list), sortedSet(b.list), Equal)
	}
	return true
}

// EqualItems says whether two items are the same.
func EqualItems(a, b Item) bool {
	return slices.EqualFunc(a, b, func(x, y Attribute) bool { return x.Name == y.Name && Equal(x.Value, y.Value) })
}

func sortedSet(s []Value) []Value {
	s = slices.Clone(s)
	slices.SortFunc(s, func(a, b Value) int { return strings.Compare(a.text, b.text) })
	return s
}

// Has says whether a set or list has an element equal to x.
func (v Value) Has(x Value) bool {
	return slices.ContainsFunc(v.list, func(e Value) bool { return Equal(e, x) })
}

// Compare orders two values of one kind that has an order: numbers by value,
// text and bytes by their bytes. It is false for anything else.
func Compare(a, b Value) (order int, ok bool) {
	if a.kind != b.kind {
		return 0, false
	}
	switch a.kind {
	case String, Binary:
		return strings.Compare(a.text, b.text), true
	case Number:
		return compareNumbers(a.text, b.text), true
	}
	return 0, false
}

// Depth returns how many lists and maps lie within one another in v.
func (v Value) Depth() int {
	deepest := 0
	switch v.kind {
	case List:
		for i := range v.list {
			deepest = max(deepest, v.list[i].Depth())
		}
	case Map:
		for i := range v.attrs {
			deepest = max(deepest, v.attrs[i].Value.Depth())
		}
	default:
		return 0
	}
	return deepest + 1
}

// Size is what v counts for in the size of its item, in bytes (Developer
// Guide, "Item sizes and formats").
func (v Value) Size() int {
	switch v.kind {
	case None:
		return 0
	case Null, Bool:
		return 1
	case Number:
		return numberSize(v.text)
	case String, Binary:
		return len(v.text)
	case Map:
		n := 3 + len(v.attrs)
		for i := range v.attrs {
			n += len(v.attrs[i].Name) + v.attrs[i].Value.Size()
		}
		return n
	}
	n := 0
	if v.kind == List {
		n = 3 + len(v.list)
	}
	for i := range v.list {
		n += v.list[i].Size()
	}
	return n
}

// Size is what an item counts for, in bytes: its names and its values.
func (it Item) Size() int {
	n := 0
	for i := range it {
		n += len(it[i].Name) + it[i].Value.Size()
	}
	return n
}
