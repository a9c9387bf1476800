// Package expression is the language in which requests say what they expect of
// an item, what they want of it, and what they do to it: conditions, filters,
// key conditions, projections and updates.
//
//	text ──Parse──► Expression ──Scope.Bind──► Bound ──► Matches, Project, Update, Keys
//	                (kept, by text)            (with the names and values of one request)
//
// Grammar, checks, their order and their words are those of the AWS Developer
// Guide of tables ("Using expressions") and of the service: mappers and SDKs
// depend on the texts. Evaluation is deterministic and never fails because of
// the item, but for updates, whose errors are [*Error] too.
//
// An Expression and a Bound may be used from any goroutine; a Scope by one.
package expression

import (
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/value"
)

// Limits of expressions, which whoever takes them from outside must hold to.
const (
	TextBytesMax = 4 << 10 // of one expression's text
	OperatorsMax = 300     // operators and functions in one
	InMax        = 100     // operands of IN
)

// A Kind is what an expression is for.
type Kind uint8

// The kinds of expression.
const (
	Condition Kind = iota
	Filter
	KeyCondition
	Projection
	Update
)

var kindNames = [...]string{"ConditionExpression", "FilterExpression", "KeyConditionExpression", "ProjectionExpression", "UpdateExpression"}

// String returns the name of the parameter that holds such expressions.
func (k Kind) String() string { return kindNames[k] }

// An Error says what is wrong with an expression, or with an item for it, in
// the service's words.
type Error struct {
	Message string
	At      int // the byte of the text where a syntax error is; -1 for other errors
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func wrong(kind Kind, text string) *Error {
	return &Error{Message: "Invalid " + kind.String() + ": " + text, At: -1}
}

// An Expression is one that has been parsed. It does not change.
type Expression struct {
	kind      Kind
	names     []string // placeholders of names, "#a", each once, in order of first use
	values    []string // placeholders of values, ":v", likewise
	condition *condition
	actions   []action // of an update
	paths     []path   // of a projection; of an update, what it touches
	faults    faults   // that the text alone shows
	operators int
}

// Kind is what it is for.
func (e *Expression) Kind() Kind { return e.kind }

// Operators is how many operators and functions are in it.
func (e *Expression) Operators() int { return e.operators }

// A step is one piece of a path: a name, a placeholder of one, or an index.
type step struct {
	name  string
	slot  int // of the placeholder, when it is one; otherwise -1
	index int // in a list; -1 for a name
}

// A path leads to an attribute, or to something within one.
type path []step

// An operandKind says what an operand is.
type operandKind uint8

const (
	ofPath operandKind = iota
	ofValue
	ofCall
	ofSum
	ofDifference
)

// An operand is what can be compared, tested or assigned.
type operand struct {
	kind operandKind
	path path
	slot int        // of a value's placeholder
	name string     // of a function
	args []*operand // of a function, of an arithmetic operator
}

// An op is what a condition does.
type op uint8

const (
	opAnd op = iota
	opOr
	opNot
	opEqual
	opUnequal
	opLess
	opLessEqual
	opMore
	opMoreEqual
	opBetween
	opIn
	opCall
)

var opNames = [...]string{"AND", "OR", "NOT", "=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN", ""}

// A condition is a node of a condition's tree.
type condition struct {
	op   op
	kids []*condition // of AND, OR, NOT
	args []*operand   // of all others
	name string       // of a function
}

// A clause is what an action of an update does.
type clause uint8

const (
	clauseSet clause = iota
	clauseRemove
	clauseAdd
	clauseDelete
)

var clauseNames = [...]string{"SET", "REMOVE", "ADD", "DELETE"}

// An action is one change an update makes.
type action struct {
	clause clause
	path   path
	value  *operand // nil for REMOVE
}

// A fault is a class of mistakes. The first of its class is kept, and the
// first class is what is told.
type fault uint8

const (
	faultParens fault = iota
	faultUnknownFunction
	faultMisusedFunction
	faultReserved
	faultPath // of one path, whatever it leads to
	faultSection
	faultPlaceholder
	faultOverlap
	faultConflict
	faultOperands
	faultDistinct
	faultOperandType
	faultOperator  // of ADD and DELETE
	faultCondition // of one comparison or function of a condition
	faultCount
)

// The order in which an expression's faults are told.
var (
	conditionFaults  = []fault{faultParens, faultUnknownFunction, faultMisusedFunction, faultReserved, faultPath, faultCondition}
	leafFaults       = []fault{faultPlaceholder, faultOperands, faultDistinct, faultOperandType} // of one comparison or function
	updateFaults     = []fault{faultParens, faultReserved, faultPath, faultUnknownFunction, faultSection, faultPlaceholder, faultOverlap, faultConflict, faultOperator, faultOperandType}
	projectionFaults = []fault{faultReserved, faultPath, faultPlaceholder, faultOverlap, faultConflict}
)

type faults [faultCount]string

func (f *faults) add(class fault, text string) {
	if f[class] == "" {
		f[class] = text
	}
}

func (f *faults) first(kind Kind) *Error {
	order := conditionFaults
	switch kind {
	case Update:
		order = updateFaults
	case Projection:
		order = projectionFaults
	}
	for _, class := range order {
		if f[class] != "" {
			return wrong(kind, f[class])
		}
	}
	return nil
}

// A Bound is an expression with the names and values of a request.
type Bound struct {
	*Expression
	slots  []string // names by slot
	values []value.Value
}

// nameOf is the name a step stands for.
func (b *Bound) nameOf(s *step) string {
	if s.slot >= 0 {
		return b.slots[s.slot]
	}
	return s.name
}

// describe writes a path as the service does: [a, b, [1]].
func (b *Bound) describe(p path) string {
	var t strings.Builder
	t.WriteByte('[')
	for i := range p {
		if i > 0 {
			t.WriteString(", ")
		}
		if p[i].index >= 0 {
			t.WriteString("[" + strconv.Itoa(p[i].index) + "]")
		} else {
			t.WriteString(b.nameOf(&p[i]))
		}
	}
	t.WriteByte(']')
	return t.String()
}
