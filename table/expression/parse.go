package expression

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/value"
)

// keywords cannot be names, nor functions.
var keywords = map[Kind][]string{
	Condition: {"AND", "OR", "NOT", "IN", "BETWEEN"},
	Update:    {"SET", "REMOVE", "ADD", "DELETE"},
}

// A parser reads one expression, by recursive descent. A syntax error ends it
// with a panic of type *Error, which Parse recovers.
type parser struct {
	e        *Expression
	text     string
	tok      token
	last     token // the one before tok
	keywords []string
	depth    int // parentheses, functions and negations around tok
}

// depthMax bounds the parser's recursion; no expression of [OperatorsMax] needs more.
const depthMax = 2*OperatorsMax + value.DepthMax

// within parses something that lies within something else.
func within[T any](p *parser, f func() T) T {
	if p.depth++; p.depth > depthMax {
		panic(wrong(p.e.kind, "The expression is nested too deeply;"))
	}
	defer func() { p.depth-- }()
	return f()
}

// Parse reads an expression of a kind. The error is an [*Error]; mistakes that
// are none of syntax are told when it is bound, since that is where their turn comes.
func Parse(kind Kind, text string) (e *Expression, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, wrong(kind, "The expression can not be empty;")
	}
	p := &parser{e: &Expression{kind: kind}, text: text}
	switch kind {
	case Condition, Filter, KeyCondition:
		p.keywords = keywords[Condition]
	case Update:
		p.keywords = keywords[Update]
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			e, err = nil, r
		default:
			panic(r)
		}
	}()
	p.tok = next(text, 0)
	switch kind {
	case Projection:
		p.e.paths = p.pathList()
	case Update:
		p.update()
	default:
		p.e.condition = p.wholeCondition()
	}
	if p.tok.kind != tokenEnd {
		p.syntax()
	}
	return p.e, nil
}

// syntax ends parsing at the token that does not belong.
func (p *parser) syntax() {
	near := p.tok
	if after := next(p.text, p.tok.to); p.tok.kind == tokenEnd && p.last.to > 0 {
		near.to = p.last.to
	} else if after.kind != tokenEnd {
		near.to = after.to
	}
	if p.last.to > 0 {
		near.from = p.last.from
	}
	e := wrong(p.e.kind, `Syntax error; token: "`+p.tok.text+`", near: "`+p.text[near.from:near.to]+`"`)
	e.At = p.tok.from
	panic(e)
}

func (p *parser) advance() token {
	t := p.tok
	p.last, p.tok = t, next(p.text, t.to)
	return t
}

// take steps over a sign or keyword, if it is next.
func (p *parser) take(s string) bool {
	if !p.tok.is(s) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expect(s string) {
	if !p.take(s) {
		p.syntax()
	}
}

func (p *parser) keyword() bool {
	return p.tok.kind == tokenWord && slices.ContainsFunc(p.keywords, p.tok.is)
}

// name reads one name of a path, or its placeholder.
func (p *parser) name() step {
	switch {
	case p.tok.kind == tokenName:
		return step{slot: slot(&p.e.names, p.advance().text), index: -1}
	case p.tok.kind == tokenWord && !p.keyword():
		t := p.advance()
		if Reserved(t.text) {
			p.e.faults.add(faultReserved, "Attribute name is a reserved keyword; reserved keyword: "+t.text)
		}
		return step{name: t.text, slot: -1, index: -1}
	}
	p.syntax()
	return step{}
}

// slot returns where a placeholder is in all, and puts it there if it is new.
func slot(all *[]string, placeholder string) int {
	if i := slices.Index(*all, placeholder); i >= 0 {
		return i
	}
	*all = append(*all, placeholder)
	return len(*all) - 1
}

// What a path may be.
const (
	indexMax = math.MaxInt32
	stepsMax = 32 // names and indexes
)

func (p *parser) path() path { return p.further(path{p.name()}) }

// further reads what is behind the beginning of a path.
func (p *parser) further(at path) path {
	for {
		switch {
		case p.take("."):
			at = append(at, p.name())
		case p.take("["):
			if p.tok.kind != tokenIndex {
				p.syntax()
			}
			text := p.advance().text
			i, err := strconv.Atoi(text)
			if err != nil || i > indexMax {
				p.e.faults.add(faultPath, "List index is not within the allowable range; index: ["+text+"]")
			}
			p.expect("]")
			at = append(at, step{slot: -1, index: i})
		default:
			if len(at) > stepsMax {
				p.e.faults.add(faultPath, "The document path has too many nesting levels; nesting levels: "+strconv.Itoa(len(at)))
			}
			return at
		}
	}
}

func (p *parser) pathList() []path {
	all := []path{p.path()}
	for p.take(",") {
		all = append(all, p.path())
	}
	return all
}

func (p *parser) value() *operand {
	if p.tok.kind != tokenValue {
		p.syntax()
	}
	return &operand{kind: ofValue, slot: slot(&p.e.values, p.advance().text)}
}

// operand reads a path, a value or a function; arg reads an argument of one.
func (p *parser) operand(arg func() *operand) *operand {
	if p.tok.kind == tokenValue {
		return p.value()
	}
	if p.tok.kind == tokenWord && !p.keyword() && strings.HasPrefix(strings.TrimLeft(p.text[p.tok.to:], " \t\n\r"), "(") {
		return p.call(arg)
	}
	return &operand{kind: ofPath, path: p.path()}
}

func (p *parser) call(arg func() *operand) *operand {
	o := &operand{kind: ofCall, name: p.advance().text}
	p.e.operators++
	p.expect("(")
	o.args = append(o.args, within(p, arg))
	for p.take(",") {
		o.args = append(o.args, within(p, arg))
	}
	p.expect(")")
	return o
}

// A phrase is what lies between two operators of a condition: something that
// is true or false, or an operand of a comparison.
type phrase struct {
	condition *condition
	operand   *operand
	parens    bool
}

func (p *parser) wholeCondition() *condition { return p.truth(p.or()) }

// truth makes a condition of a phrase: a function stands for itself.
func (p *parser) truth(f phrase) *condition {
	if f.condition != nil {
		return f.condition
	}
	if f.operand.kind != ofCall {
		p.syntax()
	}
	return &condition{op: opCall, name: f.operand.name, args: f.operand.args}
}

func (p *parser) or() phrase  { return p.chain("OR", opOr, p.and) }
func (p *parser) and() phrase { return p.chain("AND", opAnd, p.not) }

func (p *parser) chain(word string, o op, part func() phrase) phrase {
	first := part()
	if !p.tok.is(word) {
		return first
	}
	c := &condition{op: o, kids: []*condition{p.truth(first)}}
	for p.take(word) {
		p.e.operators++
		c.kids = append(c.kids, p.truth(part()))
	}
	return phrase{condition: c}
}

func (p *parser) not() phrase {
	if !p.take("NOT") {
		return p.comparison()
	}
	p.e.operators++
	return phrase{condition: &condition{op: opNot, kids: []*condition{p.truth(within(p, p.not))}}}
}

func (p *parser) comparison() phrase {
	left := p.primary()
	if left.operand == nil {
		return left
	}
	for o := opEqual; o <= opMoreEqual; o++ {
		if p.take(opNames[o]) {
			p.e.operators++
			return phrase{condition: &condition{op: o, args: []*operand{left.operand, p.argument()}}}
		}
	}
	switch {
	case p.take("BETWEEN"):
		p.e.operators++
		low := p.argument()
		p.expect("AND")
		return phrase{condition: &condition{op: opBetween, args: []*operand{left.operand, low, p.argument()}}}
	case p.take("IN"):
		p.e.operators++
		p.expect("(")
		c := &condition{op: opIn, args: []*operand{left.operand, p.argument()}}
		for p.take(",") {
			c.args = append(c.args, p.argument())
		}
		p.expect(")")
		return phrase{condition: c}
	}
	return left
}

// argument reads an operand, in parentheses or not.
func (p *parser) argument() *operand {
	f := p.primary()
	if f.operand == nil {
		p.syntax()
	}
	return f.operand
}

func (p *parser) primary() phrase {
	if p.take("(") {
		f := within(p, p.or)
		if f.parens {
			p.e.faults.add(faultParens, "The expression has redundant parentheses;")
		}
		p.expect(")")
		f.parens = true
		if f.operand != nil && f.operand.kind == ofPath && (p.tok.is(".") || p.tok.is("[")) {
			return phrase{operand: &operand{kind: ofPath, path: p.further(f.operand.path)}}
		}
		return f
	}
	return phrase{operand: p.operand(p.argument)}
}

// update reads the clauses of an update.
func (p *parser) update() {
	var seen [len(clauseNames)]bool
	for p.tok.kind != tokenEnd || len(p.e.actions) == 0 {
		i := slices.IndexFunc(clauseNames[:], p.tok.is)
		if i < 0 {
			p.syntax()
		}
		p.advance()
		if seen[i] {
			p.e.faults.add(faultSection, `The "`+clauseNames[i]+`" section can only be used once in an update expression;`)
		}
		seen[i] = true
		p.action(clause(i))
		for p.take(",") {
			p.action(clause(i))
		}
	}
}

func (p *parser) action(c clause) {
	a := action{clause: c, path: p.path()}
	switch c {
	case clauseSet:
		p.expect("=")
		p.e.operators++
		a.value = p.sum()
	case clauseAdd, clauseDelete:
		p.e.operators++
		a.value = p.value()
	}
	p.e.actions = append(p.e.actions, a)
	p.e.paths = append(p.e.paths, a.path)
}

// sum reads what is assigned: an operand, or two with an operator between them.
func (p *parser) sum() *operand {
	if p.take("(") {
		inner := p.tok.is("(")
		o := within(p, p.sum)
		if inner && o.kind < ofSum {
			p.e.faults.add(faultParens, "The expression has redundant parentheses;")
		}
		p.expect(")")
		return p.arithmetic(o)
	}
	return p.arithmetic(p.updateOperand())
}

func (p *parser) arithmetic(left *operand) *operand {
	if left.kind >= ofSum {
		return left
	}
	o := &operand{kind: ofSum}
	switch {
	case p.take("+"):
	case p.take("-"):
		o.kind = ofDifference
	default:
		return left
	}
	p.e.operators++
	o.args = []*operand{left, p.updateOperand()}
	return o
}

func (p *parser) updateOperand() *operand {
	if p.take("(") {
		o := within(p, p.updateOperand)
		p.expect(")")
		return o
	}
	return p.operand(p.updateOperand)
}
