package expression

import (
	"strings"
	"unicode/utf8"

	"github.com/daruma-io/daruma/table/value"
)

// Matches says whether a condition, or a filter, holds for an item; nil is an
// item without attributes, which is what an item that does not exist is.
func (b *Bound) Matches(it value.Item) bool { return b.holds(b.condition, it) }

func (b *Bound) holds(c *condition, it value.Item) bool {
	switch c.op {
	case opAnd:
		for _, k := range c.kids {
			if !b.holds(k, it) {
				return false
			}
		}
		return true
	case opOr:
		for _, k := range c.kids {
			if b.holds(k, it) {
				return true
			}
		}
		return false
	case opNot:
		return !b.holds(c.kids[0], it)
	case opCall:
		return b.call(c, it)
	case opBetween:
		x, low, high := b.operand(c.args[0], it), b.operand(c.args[1], it), b.operand(c.args[2], it)
		return compared(opMoreEqual, x, low) && compared(opLessEqual, x, high)
	case opIn:
		x := b.operand(c.args[0], it)
		for _, a := range c.args[1:] {
			if compared(opEqual, x, b.operand(a, it)) {
				return true
			}
		}
		return false
	}
	return compared(c.op, b.operand(c.args[0], it), b.operand(c.args[1], it))
}

// compared compares two values. One that is missing is unequal to everything,
// and so are values of different types; they have no order.
func compared(o op, x, y value.Value) bool {
	switch o {
	case opEqual:
		return x.Kind() != value.None && value.Equal(x, y)
	case opUnequal:
		return x.Kind() == value.None || !value.Equal(x, y)
	}
	order, ok := value.Compare(x, y)
	if !ok {
		return false
	}
	switch o {
	case opLess:
		return order < 0
	case opLessEqual:
		return order <= 0
	case opMore:
		return order > 0
	}
	return order >= 0
}

func (b *Bound) call(c *condition, it value.Item) bool {
	first := b.operand(c.args[0], it)
	switch c.name {
	case "attribute_exists":
		return first.Kind() != value.None
	case "attribute_not_exists":
		return first.Kind() == value.None
	}
	second := b.operand(c.args[1], it)
	if first.Kind() == value.None || second.Kind() == value.None {
		return false
	}
	switch c.name {
	case "attribute_type":
		return second.Kind() == value.String && first.Kind().String() == second.Text()
	case "begins_with":
		return first.Kind() == second.Kind() && (first.Kind() == value.String || first.Kind() == value.Binary) && strings.HasPrefix(first.Text(), second.Text())
	}
	return contains(first, second)
}

// contains says whether text has a part, a set or a list an element.
func contains(in, x value.Value) bool {
	switch k := in.Kind(); {
	case k == value.String || k == value.Binary:
		return k == x.Kind() && strings.Contains(in.Text(), x.Text())
	case k == value.List || k.Set() && k.Element() == x.Kind():
		return in.Has(x)
	}
	return false
}

// operand returns the value of an operand of a condition; None when there is none.
func (b *Bound) operand(o *operand, it value.Item) value.Value {
	switch o.kind {
	case ofPath:
		return b.resolve(o.path, it)
	case ofValue:
		return b.values[o.slot]
	case ofCall: // of size: the others are refused when they are bound
		return size(b.operand(o.args[0], it))
	}
	return value.Value{}
}

// size is how long a text is, in UTF-16 units as the service counts, or how
// many bytes or elements there are.
func size(v value.Value) value.Value {
	switch k := v.Kind(); {
	case k == value.String:
		n := 0
		for _, r := range v.Text() {
			n++
			if r > 0xffff && r != utf8.RuneError {
				n++
			}
		}
		return value.OfInt(int64(n))
	case k == value.Binary:
		return value.OfInt(int64(len(v.Text())))
	case k == value.Map:
		return value.OfInt(int64(len(v.Map())))
	case k == value.List || k.Set():
		return value.OfInt(int64(len(v.List())))
	}
	return value.Value{}
}

// resolve follows a path into an item; None when it leads nowhere.
func (b *Bound) resolve(p path, it value.Item) value.Value {
	v, _ := it.Get(b.nameOf(&p[0]))
	for i := range p[1:] {
		s := &p[i+1]
		switch {
		case s.index >= 0 && v.Kind() == value.List && s.index < len(v.List()):
			v = v.List()[s.index]
		case s.index < 0 && v.Kind() == value.Map:
			v, _ = v.Map().Get(b.nameOf(s))
		default:
			return value.Value{}
		}
	}
	return v
}
