package pattern

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// operator reads one match expression, whose opening brace was read, to its
// end. It returns nil for {"exists": false}, which no value satisfies.
func (c *compiler) operator() test {
	t := c.next()
	if t.kind != fieldName {
		c.refuse("Match expression name not found")
	}
	switch name := t.text; {
	case name == "exactly":
		return c.last(exactly(c.wanted(name)))
	case name == "prefix" || name == "suffix":
		return c.affix(name)
	case name == "equals-ignore-case":
		return c.last(fold(c.wanted(name)))
	case name == "wildcard" && c.wildcards:
		return c.last(c.glob(c.next()))
	case name == "cidr":
		return c.network()
	case name == "numeric":
		return c.numeric()
	case name == "anything-but":
		return c.anythingBut()
	case name == "exists":
		return c.exists()
	default:
		c.refuse("Unrecognized match type " + name)
		return nil
	}
}

// wanted reads the text that is the value of an operator.
func (c *compiler) wanted(operator string) string {
	t := c.next()
	if t.kind != text {
		c.refuse(operator + " match pattern must be a string")
	}
	return c.said(t)
}

// last sees to it that nothing else is in the expression.
func (c *compiler) last(is test) test {
	if c.next().kind != objectEnd {
		c.refuse("Only one key allowed in match expression")
	}
	return is
}

func (c *compiler) affix(name string) test {
	t := c.next()
	switch {
	case t.kind == text && name == "prefix":
		return c.last(prefix{c.said(t), false})
	case t.kind == text:
		return c.last(suffix{c.said(t), false})
	case t.kind != objectStart:
		c.refuse(name + " match pattern must be a string")
	}
	switch t = c.next(); {
	case t.kind != fieldName:
		c.refuse(strings.ToUpper(name[:1]) + name[1:] + " expression name not found")
	case t.text != "equals-ignore-case":
		c.refuse("Unsupported " + name + " pattern: " + t.text)
	}
	s := c.wanted("equals-ignore-case")
	c.last(nil)
	if name == "prefix" {
		return c.last(prefix{s, true})
	}
	return c.last(suffix{s, true})
}

func (c *compiler) exists() test {
	t := c.next()
	if t.kind != literal || t.text == "null" {
		c.refuse("exists match pattern must be either true or false.")
	}
	if t.text == "true" {
		return c.last(anything{})
	}
	return c.last(nil)
}

// wholeMask is what a mask may look like.
var wholeMask = regexp.MustCompile(`^-?[0-9]{1,9}$`)

// network reads a range of addresses. What is wrong with one is told without a place.
func (c *compiler) network() test {
	t := c.next()
	if t.kind != text {
		c.refuse("prefix match pattern must be a string")
	}
	address, mask, ok := strings.Cut(c.said(t), "/")
	bad := func(reason string) { panic(&SyntaxError{Reason: reason}) }
	if !ok || strings.Contains(mask, "/") {
		bad("Malformed CIDR, one '/' required")
	}
	if !wholeMask.MatchString(mask) {
		bad("Malformed CIDR, mask bits must be an integer")
	}
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" {
		bad("Nonstandard IP address: " + address)
	}
	bits, _ := strconv.Atoi(mask) // nine digits are a number
	switch {
	case bits < 0:
		bad("Malformed CIDR, mask bits must not be negative")
	case addr.Is4() && bits > 32:
		bad("IPv4 mask bits must be < 32")
	case bits > 128:
		bad("IPv6 mask bits must be < 128")
	}
	return c.last(network{netip.PrefixFrom(addr, bits).Masked()})
}

// glob reads a text with wildcards from t.
func (c *compiler) glob(t token) test {
	if t.kind != text {
		c.refuse("wildcard match pattern must be a string")
	}
	w, reason := wildcardOf(c.said(t))
	if reason != "" {
		c.refuse(reason)
	}
	return w
}

// anythingBut reads what a value must not be.
func (c *compiler) anythingBut() test {
	t := c.next()
	within := ""
	if t.kind == objectStart {
		if t = c.next(); t.kind != fieldName {
			c.refuse("Anything-But expression name not found")
		}
		within = t.text
		if within != "equals-ignore-case" && within != "prefix" && within != "suffix" && (within != "wildcard" || !c.wildcards) {
			c.refuse("Unsupported anything-but pattern: " + within)
		}
		t = c.next()
	}
	not := but{}
	switch t.kind {
	case arrayStart:
		numbers := 0
		for t = c.next(); t.kind != arrayEnd; t = c.next() {
			if within == "" && t.kind != text && t.kind != number {
				c.refuse("Inside anything but list, start|null|boolean is not supported.")
			}
			if t.kind == number {
				numbers++
			}
			not.none = append(not.none, c.notThis(within, t))
		}
		if n := len(not.none); n == 0 || numbers != 0 && numbers != n {
			c.refuse("Inside anything but list, either all values are number or string, mixed type is not supported")
		}
	case text, number:
		not.none = append(not.none, c.notThis(within, t))
	default:
		c.refuse("Value of anything-but must be an array or single string/number value.")
	}
	if within != "" && c.next().kind != objectEnd {
		c.refuse("Too many elements in numeric expression")
	}
	if c.next().kind != objectEnd {
		c.refuse("Too many elements in numeric expression")
	}
	return not
}

// notThis reads one value of anything-but, or of the operator within it.
func (c *compiler) notThis(within string, t token) test {
	switch {
	case within == "" && t.kind == number:
		return equals{decimalOf(t.text)}
	case within == "":
		return exactly(t.text)
	case within == "wildcard":
		return c.glob(t)
	case within == "equals-ignore-case" && t.kind == text:
		return fold(c.said(t))
	case within == "equals-ignore-case":
		c.refuse("Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.")
	case t.kind != text:
		c.refuse("prefix/suffix match pattern must be a string")
	case c.said(t) == "":
		c.refuse("Null prefix/suffix not allowed")
	}
	if within == "prefix" {
		return prefix{t.text, false}
	}
	return suffix{t.text, false}
}

// numeric reads an operator with a number, or two that bound a range.
func (c *compiler) numeric() test {
	if c.next().kind != arrayStart {
		c.refuse("Value of numeric must be an array.")
	}
	t := c.next()
	if t.kind != text {
		c.refuse("Invalid member in numeric match: " + t.text)
	}
	operator := c.said(t)
	t = c.next()
	var r between
	switch operator {
	case "=", "<", "<=", ">", ">=":
	default:
		c.refuse("Unrecognized numeric range operator: " + operator)
	}
	if t.kind != number {
		if operator == "=" {
			operator = "equals"
		}
		c.refuse("Value of " + operator + " must be numeric")
	}
	n := decimalOf(t.text)
	switch operator {
	case "=":
		r = between{low: &n, high: &n, lowIn: true, highIn: true}
	case "<", "<=":
		r = between{high: &n, highIn: operator == "<="}
	default:
		r = between{low: &n, lowIn: operator == ">="}
	}
	t = c.next()
	if t.kind != arrayEnd && r.high != nil {
		c.refuse("Too many elements in numeric expression")
	}
	if t.kind != arrayEnd {
		c.top(&r, t)
	}
	if c.next().kind != objectEnd {
		c.refuse("Too many elements in numeric expression")
	}
	return r
}

// top reads the upper bound of a range, whose operator is t.
func (c *compiler) top(r *between, t token) {
	if t.kind != text {
		c.refuse("Bad value in numeric range: " + t.text)
	}
	operator := c.said(t)
	if operator != "<" && operator != "<=" {
		c.refuse("Bad numeric range operator: " + operator)
	}
	if t = c.next(); t.kind != number {
		c.refuse("Value of " + operator + " must be numeric")
	}
	n := decimalOf(t.text)
	if c.next().kind != arrayEnd {
		c.refuse("Too many terms in numeric range expression")
	}
	if r.low.compare(n) >= 0 {
		c.refuse("Bottom must be less than top")
	}
	r.high, r.highIn = &n, operator == "<="
}
