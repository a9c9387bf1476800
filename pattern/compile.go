package pattern

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// or is the key that is no field but a choice between objects.
const or = "$or"

// reserved are the names that fields within $or may not have.
var reserved = []string{"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr", "=", "<", "<=", ">", ">=",
	"regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
	"ip-address-in-range", "ip-address-not-in-range"}

// fields are what one alternative asks of an event, by path. Where a path
// comes twice, the last one counts.
type fields map[string]*leaf

// A leaf is what is asked of one field: one of its tests must hold.
type leaf struct {
	path   []string
	tests  []test
	absent bool // it is also satisfied when the field is not there
}

// A compiler reads the tokens of a pattern.
type compiler struct {
	text      string
	tokens    []token
	at        int  // behind the token that was read last
	asked     bool // the text of that token was looked at
	wildcards bool // whether the dialect knows them
	leaves    int
}

// pattern reads the whole pattern into its alternatives.
func (c *compiler) pattern() (all []fields, err error) {
	defer func() {
		if r := recover(); r != nil {
			is, ok := r.(*SyntaxError) // c.refuse
			if !ok {
				panic(r)
			}
			all, err = nil, is
		}
	}()
	if c.next().kind != objectStart {
		c.refuse("Filter is not an object")
	}
	c.object(&all, "", false)
	if c.at < len(c.tokens) {
		c.next() // broken: something lies behind
	}
	return all, nil
}

func (c *compiler) next() token {
	t := c.tokens[min(c.at, len(c.tokens)-1)]
	c.at, c.asked = c.at+1, false
	if t.kind == broken {
		line, column := place(c.text, t.end)
		panic(&SyntaxError{t.text, c.text, line, column})
	}
	return t
}

// said returns the text of t, which was read last.
func (c *compiler) said(t token) string {
	c.asked = true
	return t.text
}

// refuse ends the reading with what is wrong, and where the reader stands.
func (c *compiler) refuse(reason string) {
	last := c.tokens[min(c.at, len(c.tokens))-1]
	at := last.end
	switch {
	case last.kind == fieldName && c.at < len(c.tokens):
		at = c.tokens[c.at].begun // it has looked at what the value is
	case last.kind == text && !c.asked:
		at = last.begun
	}
	line, column := place(c.text, at)
	panic(&SyntaxError{reason, c.text, line, column})
}

// object reads the fields of an object into every alternative there is so far.
func (c *compiler) object(all *[]fields, path string, chosen bool) {
	empty := true
	for t := c.next(); t.kind != objectEnd; t = c.next() {
		empty = false
		name := t.text
		if name == or {
			c.choice(all, path)
			continue
		}
		if chosen && slices.Contains(reserved, name) {
			c.refuse(name + " is Ruler reserved fieldName which cannot be used inside $or.")
		}
		full := name
		if path != "" {
			full = path + "." + name
		}
		switch c.next().kind {
		case objectStart:
			c.object(all, full, chosen)
		case arrayStart:
			c.field(all, full)
		default:
			c.refuse(fmt.Sprintf(`"%s" must be an object or an array`, name))
		}
	}
	if empty {
		c.refuse("Empty objects are not allowed")
	}
}

// choice reads the objects of $or: each makes alternatives of its own of those there are.
func (c *compiler) choice(all *[]fields, path string) {
	before := *all
	if len(before) == 0 {
		before = []fields{{}}
	}
	if c.next().kind != arrayStart {
		c.refuse("It must be an Array followed with $or.")
	}
	*all = nil
	n := 0
	for t := c.next(); t.kind != arrayEnd; t = c.next() {
		if t.kind != objectStart {
			c.refuse("Only JSON object is allowed in array of $or relationship.")
		}
		n++
		if len(*all)+len(before) > AlternativesMax {
			c.refuse(fmt.Sprintf("Rule is too complex - $or makes more than %d combinations", AlternativesMax))
		}
		mine := make([]fields, len(before))
		for i, f := range before {
			mine[i] = maps.Clone(f)
			c.count(len(f))
		}
		c.object(&mine, path, true)
		*all = append(*all, mine...)
	}
	if n < 2 {
		c.refuse("There must have at least 2 Objects in $or relationship.")
	}
}

func (c *compiler) count(n int) {
	if c.leaves += n; c.leaves > leavesMax {
		c.refuse(fmt.Sprintf("Rule is too complex - $or multiplies to more than %d fields", leavesMax))
	}
}

// field reads what is asked of the field at path.
func (c *compiler) field(all *[]fields, path string) {
	l := &leaf{path: strings.Split(path, ".")}
	n := 0
	for t := c.next(); t.kind != arrayEnd; t = c.next() {
		n++
		switch t.kind {
		case objectStart:
			if is := c.operator(); is == nil {
				l.absent = true
			} else {
				l.tests = append(l.tests, is)
			}
		case text:
			l.tests = append(l.tests, exactly(t.text))
		case number:
			l.tests = append(l.tests, equals{decimalOf(t.text)})
		case literal:
			l.tests = append(l.tests, literally(t.text))
		default:
			c.refuse("Match value must be String, number, true, false, or null")
		}
	}
	if n == 0 {
		c.refuse("Empty arrays are not allowed")
	}
	if len(*all) == 0 {
		*all = []fields{{}}
	}
	c.count(len(*all))
	for _, f := range *all {
		f[path] = l
	}
}
