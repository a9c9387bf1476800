package expression

import (
	"cmp"

	"github.com/daruma-io/daruma/table/value"
)

// A Comparison is how a key condition compares.
type Comparison uint8

// The comparisons of key conditions.
const (
	Equal Comparison = iota
	Less
	LessEqual
	More
	MoreEqual
	Between
	BeginsWith
	NotIndexable // nothing that an item can be found by; no expression asks for it
)

// A Key is what a key condition asks of one attribute.
type Key struct {
	Name string
	Is   Comparison
	Low  value.Value // what it is compared with
	High value.Value // of Between, the other bound
}

// Keys returns what a key condition asks of each attribute, in its order.
// Errors: an [*Error] for what no key condition may ask.
func (b *Bound) Keys() ([]Key, error) {
	k := keyReader{b: b}
	if err := k.read(b.condition); err != nil {
		return nil, err
	}
	return k.keys, nil
}

type keyReader struct {
	b    *Bound
	keys []Key
}

func (k *keyReader) read(c *condition) error {
	switch c.op {
	case opAnd:
		for _, kid := range c.kids {
			if err := k.read(kid); err != nil {
				return err
			}
		}
		return nil
	case opOr, opNot, opIn, opUnequal:
		return unfit("Invalid operator used in KeyConditionExpression: " + opNames[c.op])
	case opCall:
		if c.name != "begins_with" {
			return unfit("Invalid operator used in KeyConditionExpression: " + c.name)
		}
	}
	return k.one(c)
}

// one reads a single comparison.
func (k *keyReader) one(c *condition) error {
	const invalid = "Invalid condition in KeyConditionExpression: "
	if (c.op == opBetween || c.op == opCall) && c.args[0].kind != ofPath {
		return unfit(invalid + cmp.Or(opNames[c.op], c.name) + " operator must have the key attribute as its first operand")
	}
	at := -1
	for i, a := range c.args {
		switch {
		case a.kind == ofCall:
			return unfit("KeyConditionExpressions cannot contain nested operations")
		case a.kind != ofPath:
		case at >= 0:
			return unfit(invalid + "Multiple attribute names used in one condition")
		case len(a.path) > 1:
			return unfit("KeyConditionExpressions cannot have conditions on nested attributes")
		default:
			at = i
		}
	}
	if at < 0 {
		return unfit(invalid + "No key attribute specified")
	}
	key := Key{Name: k.b.nameOf(&c.args[at].path[0]), Is: comparisonOf(c.op, at > 0)}
	if at > 0 {
		key.Low = k.b.values[c.args[0].slot]
	} else {
		key.Low = k.b.values[c.args[1].slot]
	}
	if c.op == opBetween {
		key.High = k.b.values[c.args[2].slot]
	}
	for i := range k.keys {
		if k.keys[i].Name == key.Name {
			return unfit("KeyConditionExpressions must only contain one condition per key")
		}
	}
	k.keys = append(k.keys, key)
	return nil
}

// comparisonOf is that of an operator, from the attribute's side.
func comparisonOf(o op, reversed bool) Comparison {
	c := map[op]Comparison{opEqual: Equal, opLess: Less, opLessEqual: LessEqual, opMore: More, opMoreEqual: MoreEqual, opBetween: Between, opCall: BeginsWith}[o]
	if reversed {
		c = map[Comparison]Comparison{Equal: Equal, Less: More, More: Less, LessEqual: MoreEqual, MoreEqual: LessEqual}[c]
	}
	return c
}
