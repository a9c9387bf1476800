// Package statement is the SQL of tables: statements about one table, parsed and
// made into the requests that package table knows.
//
//	SELECT * | paths FROM "T"["."I"] [WHERE condition] [ORDER BY path [ASC|DESC]]
//	INSERT INTO "T" VALUE {'a': ?, …}
//	UPDATE "T" SET path = value … REMOVE path … WHERE condition [RETURNING …]
//	DELETE FROM "T" WHERE condition [RETURNING ALL OLD *]
//	EXISTS(SELECT * FROM "T" WHERE condition)
//
// It follows the AWS Developer Guide of tables ("PartiQL"): what of a condition a
// key answers becomes a query, or the key of a write, and the rest a filter, or
// what is expected of the item. Errors say what was expected, and where.
//
// A Statement does not change; it may be used from any goroutine.
package statement

import (
	"fmt"
	"strings"

	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// Limits of statements.
const (
	TextBytesMax = 8192
	depthMax     = 64 // of conditions and values within one another
)

// An Error says what is wrong with a statement, in the service's words.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func malformed(at token, format string, args ...any) error {
	return &Error{fmt.Sprintf("Statement wasn't well formed, can't be processed: %s at %d:%d", fmt.Sprintf(format, args...), at.line, at.column)}
}

func invalid(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// A Kind is what a statement does.
type Kind uint8

// The kinds of statement.
const (
	Select Kind = iota
	Insert
	Update
	Delete
	Exists
)

// Reads says whether a kind changes nothing.
func (k Kind) Reads() bool { return k == Select || k == Exists }

// A Statement is one that was parsed, with its parameters.
type Statement struct {
	Kind         Kind
	Table, Index string

	paths   []path // of Select; none for *
	where   *condition
	order   []ordering
	item    value.Item // of Insert
	sets    []assignment
	removes []path
	returns write.Returns
}

// A path leads to an attribute, or into one.
type path []step

type step struct {
	name  string
	index int // of an element, when name is ""
	at    token
}

// head is the attribute a path is, and "" when it leads into one.
func (p path) head() string {
	if len(p) == 1 {
		return p[0].name
	}
	return ""
}

// element says whether a path ends with an index.
func (p path) element() bool { return p[len(p)-1].name == "" }

// answered is the name under which a Select answers what a path leads to: its last,
// or its first for an element, which is answered within what it lies in.
func (p path) answered() string {
	if p.element() {
		return p[0].name
	}
	return p[len(p)-1].name
}

type ordering struct {
	path     path
	backward bool
}

// An assignment sets a path to what an operand is.
type assignment struct {
	path  path
	value *operand
	verb  string // "ADD" or "DELETE" for sets; "" for SET
}

// An operand is a path, a value, a function of operands, or two of them with an
// operator between.
type operand struct {
	path  path
	value value.Value
	call  string // a function, or "+" or "-"
	args  []*operand
}

// A condition is true or false of an item.
type condition struct {
	op   string // "AND", "OR", "NOT", a comparison, "BETWEEN", "IN", or a function
	kids []*condition
	args []*operand
}

// key is the attribute and the value of a condition that compares the two.
func (c *condition) key() (name string, ok bool) {
	if len(c.args) == 0 || c.args[0].path == nil {
		return "", false
	}
	for _, a := range c.args[1:] {
		if a.path != nil || a.call != "" {
			return "", false
		}
	}
	return c.args[0].path.head(), c.args[0].path.head() != ""
}

// parts returns the conditions that must all hold.
func (c *condition) parts() []*condition {
	if c == nil {
		return nil
	}
	if c.op != "AND" {
		return []*condition{c}
	}
	return append(c.kids[0].parts(), c.kids[1].parts()...)
}

// mentions says whether a condition looks at an attribute.
func (c *condition) mentions(name string) bool {
	for _, k := range c.kids {
		if k.mentions(name) {
			return true
		}
	}
	for _, a := range c.args {
		if a.mentions(name) {
			return true
		}
	}
	return false
}

func (o *operand) mentions(name string) bool {
	if o.path != nil && o.path[0].name == name {
		return true
	}
	for _, a := range o.args {
		if a.mentions(name) {
			return true
		}
	}
	return false
}

// A writer writes expressions, with a placeholder for each name and value.
type writer struct {
	names, values value.Item
	known         map[string]string
}

func (w *writer) name(n string) string {
	if w.known == nil {
		w.known = map[string]string{}
	}
	if p, ok := w.known[n]; ok {
		return p
	}
	p := fmt.Sprintf("#n%03d", len(w.names))
	w.names = append(w.names, value.Attribute{Name: p, Value: value.OfString(n)})
	w.known[n] = p
	return p
}

func (w *writer) value(v value.Value) string {
	p := fmt.Sprintf(":v%04d", len(w.values))
	w.values = append(w.values, value.Attribute{Name: p, Value: v})
	return p
}

func (w *writer) path(p path) string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.name == "":
			fmt.Fprintf(&b, "[%d]", s.index)
		case i > 0:
			b.WriteString("." + w.name(s.name))
		default:
			b.WriteString(w.name(s.name))
		}
	}
	return b.String()
}

func (w *writer) operand(o *operand) string {
	switch {
	case o.path != nil:
		return w.path(o.path)
	case o.call == "+" || o.call == "-":
		return w.operand(o.args[0]) + " " + o.call + " " + w.operand(o.args[1])
	case o.call != "":
		return o.call + "(" + w.operands(o.args) + ")"
	}
	return w.value(o.value)
}

func (w *writer) operands(all []*operand) string {
	texts := make([]string, len(all))
	for i, o := range all {
		texts[i] = w.operand(o)
	}
	return strings.Join(texts, ", ")
}

// condition writes a condition, with parentheses where it needs them: the
// service takes none that are redundant.
func (w *writer) condition(c *condition) string {
	switch c.op {
	case "AND", "OR":
		texts := make([]string, len(c.kids))
		for i, k := range c.kids {
			texts[i] = w.condition(k)
			if c.op == "AND" && k.op == "OR" {
				texts[i] = "(" + texts[i] + ")"
			}
		}
		return strings.Join(texts, " "+c.op+" ")
	case "NOT":
		text := w.condition(c.kids[0])
		if op := c.kids[0].op; op == "AND" || op == "OR" {
			text = "(" + text + ")"
		}
		return "NOT " + text
	case "BETWEEN":
		return w.operand(c.args[0]) + " BETWEEN " + w.operand(c.args[1]) + " AND " + w.operand(c.args[2])
	case "IN":
		return w.operand(c.args[0]) + " IN (" + w.operands(c.args[1:]) + ")"
	case "=", "<>", "<", "<=", ">", ">=":
		return w.operand(c.args[0]) + " " + c.op + " " + w.operand(c.args[1])
	}
	return c.op + "(" + w.operands(c.args) + ")"
}

func (w *writer) all(parts []*condition) string {
	texts := make([]string, len(parts))
	for i, c := range parts {
		texts[i] = w.condition(c)
		if c.op == "OR" && len(parts) > 1 {
			texts[i] = "(" + texts[i] + ")"
		}
	}
	return strings.Join(texts, " AND ")
}
