package expression

import (
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/value"
)

// A Scope is the names and values that the expressions of one request refer
// to. It notes which of them are used.
type Scope struct {
	Names  value.Item // "#a" to a String
	Values value.Item // ":v" to any value

	usedNames, usedValues []bool
}

// Bind gives e its names and values, and checks what can be checked without an
// item. The error is an [*Error].
func (s *Scope) Bind(e *Expression) (*Bound, error) {
	b := &Bound{Expression: e, slots: make([]string, len(e.names)), values: make([]value.Value, len(e.values))}
	c := checker{b: b, faults: e.faults, noName: make([]bool, len(e.names))}
	for i, name := range e.names {
		v, ok := lookup(s.Names, &s.usedNames, name)
		b.slots[i], c.noName[i] = v.Text(), !ok
		if !ok && e.condition == nil {
			c.undefinedName(i)
		}
	}
	for i, name := range e.values {
		v, ok := lookup(s.Values, &s.usedValues, name)
		b.values[i] = v
		if !ok && e.condition == nil {
			c.undefinedValue(i)
		}
	}
	if e.condition != nil {
		c.condition(e.condition)
	}
	for i := range e.actions {
		c.action(&e.actions[i])
	}
	c.overlaps(e.paths)
	if err := c.faults.first(e.kind); err != nil {
		return nil, err
	}
	return b, nil
}

func lookup(all value.Item, used *[]bool, name string) (value.Value, bool) {
	if len(*used) < len(all) {
		*used = make([]bool, len(all))
	}
	i, ok := slices.BinarySearchFunc(all, name, func(a value.Attribute, n string) int { return strings.Compare(a.Name, n) })
	if !ok {
		return value.Value{}, false
	}
	(*used)[i] = true
	return all[i].Value, true
}

// Unused reports names and values that no expression bound so far has used.
func (s *Scope) Unused() error {
	if keys := unused(s.Names, s.usedNames); keys != "" {
		return &Error{Message: "Value provided in ExpressionAttributeNames unused in expressions: keys: {" + keys + "}", At: -1}
	}
	if keys := unused(s.Values, s.usedValues); keys != "" {
		return &Error{Message: "Value provided in ExpressionAttributeValues unused in expressions: keys: {" + keys + "}", At: -1}
	}
	return nil
}

func unused(all value.Item, used []bool) string {
	var names []string
	for i := range all {
		if i >= len(used) || !used[i] {
			names = append(names, all[i].Name)
		}
	}
	return strings.Join(names, ", ")
}

// A checker finds mistakes in an expression that has its names and values.
type checker struct {
	b      *Bound
	faults faults
	noName []bool // which names are not defined; a value that is not has no kind
}

func (c *checker) undefinedName(slot int) {
	c.faults.add(faultPlaceholder, "An expression attribute name used in the document path is not defined; attribute name: "+c.b.names[slot])
}

func (c *checker) undefinedValue(slot int) {
	c.faults.add(faultPlaceholder, "An expression attribute value used in expression is not defined; attribute value: "+c.b.Expression.values[slot])
}

// undefined looks for names and values that are not defined, from left to right.
func (c *checker) undefined(args []*operand) {
	for _, a := range args {
		for _, s := range a.path {
			if s.slot >= 0 && c.noName[s.slot] {
				c.undefinedName(s.slot)
			}
		}
		if a.kind == ofValue && c.b.values[a.slot].Kind() == value.None {
			c.undefinedValue(a.slot)
		}
		c.undefined(a.args)
	}
}

// Functions of conditions and updates, with how many operands they take.
var (
	conditionFunctions = map[string]int{"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2, "size": 1}
	updateFunctions    = map[string]int{"if_not_exists": 2, "list_append": 2}
)

func (c *checker) condition(n *condition) {
	for _, k := range n.kids {
		c.condition(k)
	}
	if len(n.args) == 0 {
		return
	}
	c.leaf(n)
	for _, class := range leafFaults {
		if text := c.faults[class]; text != "" {
			c.faults.add(faultCondition, text)
		}
		c.faults[class] = ""
	}
}

// leaf checks one comparison or function. The first of a condition that has a
// mistake is the one that is told of.
func (c *checker) leaf(n *condition) {
	c.undefined(n.args)
	for _, a := range n.args {
		c.operand(a)
	}
	switch n.op {
	case opCall:
		if n.name == "size" {
			c.misused(n.name)
		}
		c.function(conditionFunctions, n.name, n.args)
	default:
		for _, a := range n.args {
			if a.kind == ofCall && a.name != "size" {
				c.misused(a.name)
			}
		}
		c.comparison(n)
	}
}

func (c *checker) misused(name string) {
	if _, known := conditionFunctions[name]; known {
		c.faults.add(faultMisusedFunction, "The function is not allowed to be used this way in an expression; function: "+name)
	}
}

func (c *checker) comparison(n *condition) {
	name := opNames[n.op]
	if n.op == opIn && len(n.args) > InMax+1 {
		c.faults.add(faultOperands, incorrectNumber(name, len(n.args)-1))
	}
	c.distinct(name, n.args)
	if n.op == opEqual || n.op == opUnequal || n.op == opIn {
		return
	}
	for _, a := range n.args {
		if t := c.typeOf(a); t != value.None && !ordered(t) {
			c.incorrectType(name, t.String())
		}
	}
	if n.op == opBetween {
		c.bounds(n.args[1], n.args[2])
	}
}

func ordered(k value.Kind) bool {
	return k == value.String || k == value.Number || k == value.Binary
}

// bounds checks the two of BETWEEN, where both are values.
func (c *checker) bounds(low, high *operand) {
	if low.kind != ofValue || high.kind != ofValue {
		return
	}
	a, b := c.b.values[low.slot], c.b.values[high.slot]
	if a.Kind() == value.None || b.Kind() == value.None {
		return
	}
	which := "; lower bound operand: AttributeValue: " + describeValue(a) + ", upper bound operand: AttributeValue: " + describeValue(b)
	if a.Kind() != b.Kind() {
		c.faults.add(faultOperandType, "The BETWEEN operator requires same data type for lower and upper bounds"+which)
	} else if order, ok := value.Compare(a, b); ok && order > 0 {
		c.faults.add(faultOperandType, "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"+which)
	}
}

func describeValue(v value.Value) string {
	text := v.Text()
	if v.Kind() == value.Binary {
		text = strings.Trim(string(value.AppendJSON(nil, v)[len(`{"B":`):]), `"}`)
	}
	return "{" + v.Kind().String() + ":" + text + "}"
}

func (c *checker) operand(o *operand) {
	for _, a := range o.args {
		c.operand(a)
	}
	switch o.kind {
	case ofCall:
		known := conditionFunctions
		if c.b.kind == Update {
			known = updateFunctions
		} else {
			for _, a := range o.args {
				if a.kind == ofCall && a.name != "size" {
					c.misused(a.name)
				}
			}
		}
		c.function(known, o.name, o.args)
	case ofSum, ofDifference:
		sign := "+"
		if o.kind == ofDifference {
			sign = "-"
		}
		for _, a := range o.args {
			if t := c.given(a); t != value.None && t != value.Number {
				c.incorrectType(sign, t.String())
			}
		}
	}
}

func incorrectNumber(name string, n int) string {
	return "Incorrect number of operands for operator or function; operator or function: " + name + ", number of operands: " + strconv.Itoa(n)
}

func (c *checker) incorrectType(name, kind string) {
	c.faults.add(faultOperandType, "Incorrect operand type for operator or function; operator or function: "+name+", operand type: "+kind)
}

// attributeTypes are in the service's own order, which clients get to see.
const attributeTypes = "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}"

func (c *checker) function(known map[string]int, name string, args []*operand) {
	n, ok := known[name]
	if !ok {
		text := "Invalid function name; function: "
		if updateFunctions[name] > 0 {
			text = "The function is not allowed in a condition expression; function: "
		}
		c.faults.add(faultUnknownFunction, text+name)
		return
	}
	if n != len(args) {
		class := faultOperands
		if c.b.kind == Update {
			class = faultOperandType // the first of both is told
		}
		c.faults.add(class, incorrectNumber(name, len(args)))
		return
	}
	if known["size"] > 0 {
		c.distinct(name, args)
	}
	switch name {
	case "attribute_exists", "attribute_not_exists", "if_not_exists":
		if args[0].kind != ofPath {
			c.faults.add(faultOperandType, "Operator or function requires a document path; operator or function: "+name)
		}
	case "begins_with":
		for _, a := range args {
			if t := c.typeOf(a); t != value.None && t != value.String && t != value.Binary {
				c.incorrectType(name, t.String())
			}
		}
	case "attribute_type":
		c.attributeType(args[1])
	case "size":
		if t := c.typeOf(args[0]); t == value.Number || t == value.Bool || t == value.Null {
			c.incorrectType(name, t.String())
		}
	case "list_append":
		for _, a := range args {
			if t := c.given(a); t != value.None && t != value.List {
				c.incorrectType(name, t.String())
			}
		}
	}
}

func (c *checker) attributeType(o *operand) {
	t := c.typeOf(o)
	switch {
	case o.kind == ofValue && t == value.None: // not defined, which is said already
	case t == value.None:
		c.incorrectType("attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
	case t != value.String:
		c.incorrectType("attribute_type", t.String())
	case o.kind == ofValue && value.KindOf(c.b.values[o.slot].Text()) == value.None:
		c.faults.add(faultOperandType, "Invalid attribute type name found; type: "+c.b.values[o.slot].Text()+", valid types: "+attributeTypes)
	}
}

// given is what an operand is that is a value, and None for all others.
func (c *checker) given(o *operand) value.Kind {
	if o.kind != ofValue {
		return value.None
	}
	return c.b.values[o.slot].Kind()
}

// typeOf is what an operand certainly is, and None when that depends on the item.
func (c *checker) typeOf(o *operand) value.Kind {
	switch o.kind {
	case ofValue:
		return c.b.values[o.slot].Kind()
	case ofSum, ofDifference:
		return value.Number
	case ofCall:
		switch o.name {
		case "size":
			return value.Number
		case "list_append":
			return value.List
		case "if_not_exists":
			if len(o.args) == 2 {
				return c.typeOf(o.args[1])
			}
		case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains":
			return value.Bool
		}
	}
	return value.None
}

// distinct refuses an operand that is compared with itself.
func (c *checker) distinct(name string, args []*operand) {
	if len(args) < 2 || args[0].kind != ofPath {
		return
	}
	for _, a := range args[1:] {
		if a.kind == ofPath && c.samePath(args[0].path, a.path) {
			c.faults.add(faultDistinct, "The first operand must be distinct from the remaining operands for this operator or function; operator: "+name+", first operand: "+c.b.describe(args[0].path))
		}
	}
}

func (c *checker) samePath(a, b path) bool {
	return len(a) == len(b) && c.agree(a, b) == len(a)
}

// agree counts the steps that two paths begin with alike.
func (c *checker) agree(a, b path) int {
	n := 0
	for n < len(a) && n < len(b) && a[n].index == b[n].index && (a[n].index >= 0 || c.b.nameOf(&a[n]) == c.b.nameOf(&b[n])) {
		n++
	}
	return n
}

// overlaps refuses two paths of which one lies within the other, or that
// disagree about what something is.
func (c *checker) overlaps(all []path) {
	heads := make(map[string][]path, len(all))
	for _, b := range all {
		head := c.b.nameOf(&b[0])
		for _, a := range heads[head] {
			n := c.agree(a, b)
			both := "; must remove or rewrite one of these paths; path one: " + c.b.describe(a) + ", path two: " + c.b.describe(b)
			switch {
			case n == len(a) || n == len(b):
				c.faults.add(faultOverlap, "Two document paths overlap with each other"+both)
			case (a[n].index >= 0) != (b[n].index >= 0):
				c.faults.add(faultConflict, "Two document paths conflict with each other"+both)
			}
		}
		heads[head] = append(heads[head], b)
	}
}

var longNames = map[value.Kind]string{value.String: "STRING", value.Number: "NUMBER", value.Binary: "BINARY", value.Bool: "BOOLEAN", value.Null: "NULL", value.List: "LIST", value.Map: "MAP"}

func (c *checker) action(a *action) {
	if a.value == nil {
		return
	}
	c.operand(a.value)
	if a.clause == clauseSet {
		return
	}
	t := c.typeOf(a.value)
	if long := longNames[t]; long != "" && (a.clause != clauseAdd || t != value.Number) {
		name := clauseNames[a.clause]
		c.faults.add(faultOperator, "Incorrect operand type for operator or function; operator: "+name+", operand type: "+long+", typeSet: ALLOWED_FOR_"+name+"_OPERAND")
	}
}
