package statement

import (
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// A parser reads one statement.
type parser struct {
	tokens []token
	params []value.Value
	used   int
	depth  int
}

// Parse reads a statement with its parameters, one for each ?. Errors: *Error.
func Parse(text string, params []value.Value) (*Statement, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, params: params}
	s, err := p.statement()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, malformed(t, "Unexpected %v", t)
	}
	if p.used != len(params) {
		return nil, errParameters()
	}
	return s, nil
}

func errParameters() error {
	return invalid("Number of parameters in request and statement don't match.")
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != tokenEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) word(word string) bool {
	if p.peek().is(word) {
		p.next()
		return true
	}
	return false
}

func (p *parser) sign(text string) bool {
	if p.peek().sign(text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) need(what string) error {
	t := p.next()
	if t.is(what) || t.sign(what) {
		return nil
	}
	return malformed(t, "Expected %s, found %v", what, t)
}

func (p *parser) needAll(what ...string) error {
	for _, w := range what {
		if err := p.need(w); err != nil {
			return err
		}
	}
	return nil
}

// deeper bounds how deep things are within one another.
func (p *parser) deeper() error {
	if p.depth++; p.depth > depthMax {
		return malformed(p.peek(), "Nested too deeply")
	}
	return nil
}

func (p *parser) statement() (*Statement, error) {
	t := p.next()
	switch {
	case t.is("SELECT"):
		return p.selection(Select)
	case t.is("EXISTS"):
		if err := p.needAll("(", "SELECT"); err != nil {
			return nil, err
		}
		s, err := p.selection(Exists)
		if err != nil {
			return nil, err
		}
		return s, p.need(")")
	case t.is("INSERT"):
		return p.insertion()
	case t.is("UPDATE"):
		return p.change()
	case t.is("DELETE"):
		if err := p.need("FROM"); err != nil {
			return nil, err
		}
		s := &Statement{Kind: Delete}
		if err := p.table(s, false); err != nil {
			return nil, err
		}
		return s, p.rest(s)
	}
	return nil, malformed(t, "Expected SELECT, INSERT, UPDATE, DELETE or EXISTS, found %v", t)
}

// table reads a table's name, and an index's where there may be one.
func (p *parser) table(s *Statement, index bool) error {
	t := p.next()
	if t.kind != tokenWord && t.kind != tokenQuoted {
		return malformed(t, "Expected the name of a table, found %v", t)
	}
	s.Table = t.text
	if !index || !p.sign(".") {
		return nil
	}
	if t = p.next(); t.kind != tokenWord && t.kind != tokenQuoted {
		return malformed(t, "Expected the name of an index, found %v", t)
	}
	s.Index = t.text
	return nil
}

func (p *parser) selection(kind Kind) (*Statement, error) {
	s := &Statement{Kind: kind}
	if !p.sign("*") {
		for more := true; more; more = p.sign(",") {
			to, err := p.path()
			if err != nil {
				return nil, err
			}
			s.paths = append(s.paths, to)
		}
		if err := distinct(s.paths); err != nil {
			return nil, err
		}
	}
	if err := p.need("FROM"); err != nil {
		return nil, err
	}
	if err := p.table(s, true); err != nil {
		return nil, err
	}
	if err := p.condition(s); err != nil {
		return nil, err
	}
	if !p.word("ORDER") {
		return s, nil
	}
	if err := p.need("BY"); err != nil {
		return nil, err
	}
	for more := true; more; more = p.sign(",") {
		to, err := p.path()
		if err != nil {
			return nil, err
		}
		o := ordering{path: to, backward: p.word("DESC")}
		if !o.backward {
			p.word("ASC")
		}
		s.order = append(s.order, o)
	}
	return s, nil
}

// distinct refuses two paths whose values would be answered under one name, which
// would lose one of them. Elements are answered together, within their list.
func distinct(paths []path) error {
	seen := map[string]path{}
	for _, p := range paths {
		name := p.answered()
		if before, ok := seen[name]; ok && (!p.element() || !before.element()) {
			return malformed(p[0].at, "Two paths are answered under the name %s: select what they lie in", name)
		}
		seen[name] = p
	}
	return nil
}

func (p *parser) insertion() (*Statement, error) {
	s := &Statement{Kind: Insert}
	if err := p.need("INTO"); err != nil {
		return nil, err
	}
	if err := p.table(s, false); err != nil {
		return nil, err
	}
	if err := p.need("VALUE"); err != nil {
		return nil, err
	}
	at := p.peek()
	v, err := p.literal()
	if err != nil {
		return nil, err
	}
	if v.Kind() != value.Map {
		return nil, malformed(at, "Expected a tuple: VALUE {'name': value, …}")
	}
	s.item = v.Map()
	if v.Depth() > value.DepthMax+1 {
		return nil, errDepth()
	}
	return s, nil
}

func (p *parser) change() (*Statement, error) {
	s := &Statement{Kind: Update}
	if err := p.table(s, false); err != nil {
		return nil, err
	}
	for {
		switch t := p.peek(); {
		case t.is("SET"):
			p.next()
			if err := p.assignments(s); err != nil {
				return nil, err
			}
		case t.is("REMOVE"):
			p.next()
			for more := true; more; more = p.sign(",") {
				to, err := p.path()
				if err != nil {
					return nil, err
				}
				s.removes = append(s.removes, to)
			}
		case len(s.sets)+len(s.removes) == 0:
			return nil, malformed(t, "Expected SET or REMOVE, found %v", t)
		default:
			return s, p.rest(s)
		}
	}
}

func (p *parser) assignments(s *Statement) error {
	for more := true; more; more = p.sign(",") {
		to, err := p.path()
		if err != nil {
			return err
		}
		if err := p.need("="); err != nil {
			return err
		}
		v, err := p.sum()
		if err != nil {
			return err
		}
		a := assignment{path: to, value: v}
		switch v.call {
		case "set_add", "set_delete":
			if len(v.args) != 2 || v.args[1].path != nil || v.args[1].call != "" {
				return malformed(to[0].at, "%s takes the attribute and a set", v.call)
			}
			a.value, a.verb = v.args[1], map[string]string{"set_add": "ADD", "set_delete": "DELETE"}[v.call]
		}
		s.sets = append(s.sets, a)
	}
	return nil
}

// rest reads the condition of a write, and what it returns.
func (p *parser) rest(s *Statement) error {
	if err := p.condition(s); err != nil {
		return err
	}
	if !p.word("RETURNING") {
		return nil
	}
	t := p.next()
	all, old := t.is("ALL"), p.peek().is("OLD")
	if !all && !t.is("MODIFIED") {
		return malformed(t, "Expected ALL or MODIFIED, found %v", t)
	}
	if t = p.next(); !old && !t.is("NEW") {
		return malformed(t, "Expected OLD or NEW, found %v", t)
	}
	if s.Kind == Delete && (!all || !old) {
		return malformed(t, "DELETE can only return ALL OLD *")
	}
	switch {
	case all && old:
		s.returns = write.ReturnAllOld
	case all:
		s.returns = write.ReturnAllNew
	case old:
		s.returns = write.ReturnUpdatedOld
	default:
		s.returns = write.ReturnUpdatedNew
	}
	return p.need("*")
}

func (p *parser) path() (path, error) {
	t := p.next()
	if t.kind != tokenWord && t.kind != tokenQuoted {
		return nil, malformed(t, "Expected the name of an attribute, found %v", t)
	}
	to := path{{name: t.text, at: t}}
	for {
		switch {
		case p.sign("."):
			if t = p.next(); t.kind != tokenWord && t.kind != tokenQuoted {
				return nil, malformed(t, "Unexpected path component %v", t)
			}
			to = append(to, step{name: t.text, at: t})
		case p.sign("["):
			t = p.next()
			n, err := strconv.Atoi(t.text)
			switch {
			case t.kind == tokenText && t.text != "":
				to = append(to, step{name: t.text, at: t})
			case t.kind == tokenNumber && err == nil:
				to = append(to, step{index: n, at: t})
			default:
				return nil, malformed(t, "Unexpected path component %v", t)
			}
			if err := p.need("]"); err != nil {
				return nil, err
			}
		default:
			if len(to) > depthMax {
				return nil, malformed(t, "Nested too deeply")
			}
			return to, nil
		}
	}
}

func (p *parser) condition(s *Statement) error {
	if !p.word("WHERE") {
		return nil
	}
	var err error
	s.where, err = p.or()
	return err
}

func (p *parser) or() (*condition, error) {
	return p.chain("OR", func() (*condition, error) { return p.chain("AND", p.not) })
}

func (p *parser) chain(op string, each func() (*condition, error)) (*condition, error) {
	c, err := each()
	for err == nil && p.word(op) {
		var next *condition
		if next, err = each(); err == nil {
			c = &condition{op: op, kids: []*condition{c, next}}
		}
	}
	return c, err
}

func (p *parser) not() (*condition, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if p.word("NOT") {
		c, err := p.not()
		return &condition{op: "NOT", kids: []*condition{c}}, err
	}
	if p.sign("(") {
		c, err := p.or()
		if err != nil {
			return nil, err
		}
		return c, p.need(")")
	}
	return p.comparison()
}

// functions are those of conditions, with the number of their arguments.
var functions = map[string]int{"begins_with": 2, "contains": 2, "attribute_type": 2}

func (p *parser) comparison() (*condition, error) {
	at := p.peek()
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	if n, ok := functions[left.call]; ok {
		if len(left.args) != n {
			return nil, malformed(at, "%s takes %d arguments", left.call, n)
		}
		return &condition{op: left.call, args: left.args}, nil
	}
	t := p.next()
	switch {
	case t.is("IS"):
		return p.is(left)
	case t.is("BETWEEN"):
		low, err := p.operand()
		if err == nil {
			err = p.need("AND")
		}
		if err != nil {
			return nil, err
		}
		high, err := p.operand()
		return &condition{op: "BETWEEN", args: []*operand{left, low, high}}, err
	case t.is("IN"):
		return p.in(left)
	case t.kind == tokenSign && slices.Contains([]string{"=", "<>", "!=", "<", "<=", ">", ">="}, t.text):
		op := t.text
		if op == "!=" {
			op = "<>"
		}
		right, err := p.operand()
		if err == nil && left.path == nil && left.call == "" && right.path != nil { // the attribute comes first
			left, right = right, left
			if turned, ok := map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]; ok {
				op = turned
			}
		}
		return &condition{op: op, args: []*operand{left, right}}, err
	}
	return nil, malformed(t, "Expected a comparison, found %v", t)
}

func (p *parser) is(left *operand) (*condition, error) {
	not := p.word("NOT")
	var c *condition
	switch t := p.next(); {
	case t.is("MISSING") && not:
		return &condition{op: "attribute_exists", args: []*operand{left}}, nil
	case t.is("MISSING"):
		return &condition{op: "attribute_not_exists", args: []*operand{left}}, nil
	case t.is("NULL"):
		c = &condition{op: "attribute_type", args: []*operand{left, {value: value.OfString("NULL")}}}
	default:
		return nil, malformed(t, "Expected MISSING or NULL, found %v", t)
	}
	if not {
		c = &condition{op: "NOT", kids: []*condition{c}}
	}
	return c, nil
}

func (p *parser) in(left *operand) (*condition, error) {
	end := ")"
	if p.sign("[") {
		end = "]"
	} else if err := p.need("("); err != nil {
		return nil, err
	}
	c := &condition{op: "IN", args: []*operand{left}}
	for more := true; more; more = p.sign(",") {
		o, err := p.operand()
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, o)
	}
	return c, p.need(end)
}

// sum reads what a path is set to.
func (p *parser) sum() (*operand, error) {
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.sign("+") || t.sign("-") {
		p.next()
		right, err := p.operand()
		return &operand{call: t.text, args: []*operand{left, right}}, err
	}
	return left, nil
}

// calls are the functions that operands can be.
var calls = map[string]bool{"begins_with": true, "contains": true, "attribute_type": true, "size": true, "list_append": true, "if_not_exists": true, "set_add": true, "set_delete": true}

func (p *parser) operand() (*operand, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	t := p.peek()
	name := strings.ToLower(t.text)
	switch {
	case t.kind == tokenWord && calls[name] && len(p.tokens) > 1 && p.tokens[1].sign("("):
		p.next()
		p.next()
		o := &operand{call: name}
		for more := true; more; more = p.sign(",") {
			a, err := p.operand()
			if err != nil {
				return nil, err
			}
			o.args = append(o.args, a)
		}
		return o, p.need(")")
	case t.kind == tokenQuoted, t.kind == tokenWord && !t.is("true") && !t.is("false") && !t.is("null"):
		to, err := p.path()
		return &operand{path: to}, err
	}
	v, err := p.literal()
	if err == nil && v.Depth() > value.DepthMax {
		err = errDepth()
	}
	return &operand{value: v}, err
}

func errDepth() error { return invalid("Nesting Levels have exceeded supported limits") }
