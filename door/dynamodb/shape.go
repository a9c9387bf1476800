package dynamodb

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A type is what a member of a request may be.
type typ uint8

const (
	tString typ = iota
	tInteger
	tLong
	tDouble
	tBoolean
	tBlob
	tList
	tMap
	tStruct    // a member that is a structure
	tElement   // a structure within a list or map
	tAttribute // a value, within a list, map, or as a member
)

// A shape is a type with what is within it.
type shape struct {
	typ    typ
	name   string  // of a structure in the service's model; what a map is in its words
	fields []field // of a structure
	of     *shape  // elements of a list or map
	limits []limit // of each element's own; of a map, of its keys
	params bool    // a list or map of lists or maps, or a value that is a member: the service says something else about those
}

// A field is a member of a structure.
type field struct {
	name   string
	shape  *shape
	need   bool // it must be there
	limits []limit
}

// A limit is what the value of a member must satisfy.
type limit struct {
	text string
	ok   func(n *node) bool
}

// A refusal is why a request is refused: its error type and message.
type refusal struct {
	status  int
	typ     string
	key     string // the name of the message's member
	message string
	members []byte // further members, as JSON, each with a comma before it
}

func serialization(message string) *refusal {
	return &refusal{status: 400, typ: framework + "SerializationException", key: "Message", message: message}
}

func validation(message string) *refusal {
	return &refusal{status: 400, typ: "com.amazon.coral.validate#ValidationException", key: "message", message: message}
}

func stringShape(limits ...limit) *shape { return &shape{typ: tString, limits: limits} }

func listOf(of *shape) *shape { return &shape{typ: tList, of: of} }

const (
	model     = "com.amazonaws.dynamodb.v20120810."
	javaMap   = "java.util.Map<java.lang.String, "
	valueName = model + "AttributeValue"
)

func mapOf(of *shape, java string) *shape {
	return &shape{typ: tMap, of: of, name: javaMap + java + ">"}
}

func structure(name string, fields ...field) *shape {
	return &shape{typ: tStruct, name: model + name, fields: fields}
}

// element is a structure as an element.
func element(s *shape) *shape {
	e := *s
	e.typ = tElement
	return &e
}

// cast is what the service says of a scalar where it wants a list or map of
// lists or maps.
const cast = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')"

// truths are the texts that the service takes for true and false.
var truths = map[string]nodeKind{"true": nodeTrue, "1": nodeTrue, "yes": nodeTrue, "false": nodeFalse, "0": nodeFalse, "no": nodeFalse}

const misplaced = "Start of structure or map found where not expected"

var scalarNames = map[typ]string{tString: "String", tInteger: "Integer", tLong: "Long", tDouble: "Double", tBoolean: "Boolean"}

// checkTypes says what in n is not of its type, and "" when all is. A text that
// stands for true or false becomes that.
func (s *shape) checkTypes(n *node) string {
	if n == nil || n.kind == nodeNull {
		return ""
	}
	switch s.typ {
	case tList:
		return s.checkList(n)
	case tMap:
		return s.checkMap(n)
	case tStruct, tElement:
		if text := s.checkObject(n); text != "" {
			return text
		}
		for i := range s.fields {
			if text := s.fields[i].shape.checkTypes(n.get(s.fields[i].name)); text != "" {
				return text
			}
		}
		return ""
	case tAttribute:
		if s.params && n.kind != nodeObject && n.kind != nodeArray {
			return "Unexpected field type"
		}
		return checkAttribute(n)
	case tBlob:
		return checkBlob(n)
	}
	return s.checkScalar(n)
}

func (s *shape) checkObject(n *node) string {
	switch n.kind {
	case nodeObject:
		return ""
	case nodeArray:
		return "Unrecognized collection type class " + s.name
	}
	if s.typ == tElement {
		return "Unexpected value type in payload"
	}
	return "Unexpected field type"
}

func (s *shape) checkList(n *node) string {
	switch {
	case n.kind == nodeObject:
		return misplaced
	case n.kind != nodeArray && s.params:
		return cast
	case n.kind != nodeArray:
		return "Unexpected field type"
	}
	for i := range n.kids {
		if text := s.of.checkTypes(&n.kids[i]); text != "" {
			return text
		}
	}
	return ""
}

func (s *shape) checkMap(n *node) string {
	switch {
	case n.kind == nodeArray:
		return "Unrecognized collection type " + s.name
	case n.kind != nodeObject && s.params:
		return cast
	case n.kind != nodeObject:
		return "Unexpected field type"
	}
	for i := range n.kids {
		if text := s.of.checkTypes(&n.kids[i]); text != "" {
			return text
		}
	}
	return ""
}

func (s *shape) checkScalar(n *node) string {
	want := scalarNames[s.typ]
	switch n.kind {
	case nodeObject:
		return misplaced
	case nodeArray:
		return "Unrecognized collection type class java.lang." + want
	case nodeTrue, nodeFalse:
		if s.typ == tBoolean {
			return ""
		}
		if n.kind == nodeTrue {
			return "TRUE_VALUE cannot be converted to " + want
		}
		return "FALSE_VALUE cannot be converted to " + want
	case nodeNumber:
		whole := !strings.ContainsAny(n.text, ".eE")
		switch {
		case s.typ == tString && !whole:
			return "DECIMAL_VALUE cannot be converted to String"
		case s.typ == tString, s.typ == tBoolean && whole:
			return "NUMBER_VALUE cannot be converted to " + want
		case s.typ == tBoolean:
			return "DECIMAL_VALUE cannot be converted to Boolean"
		}
		return ""
	}
	switch s.typ {
	case tString:
		return ""
	case tBoolean:
		kind, ok := truths[strings.ToLower(n.text)]
		if !ok {
			return "Unexpected token received from parser"
		}
		n.kind = kind
		return ""
	}
	return "STRING_VALUE cannot be converted to " + want
}

func checkBlob(n *node) string {
	switch n.kind {
	case nodeObject:
		return misplaced
	case nodeArray:
		return "Unrecognized collection type class java.nio.ByteBuffer"
	case nodeString:
	default:
		return "only base-64-encoded strings are convertible to bytes"
	}
	s := n.text
	if len(s)%4 != 0 {
		return "Base64 encoded length is expected a multiple of 4 bytes but found: " + strconv.Itoa(len(s))
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(s); err == nil {
		return ""
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '='
		if !letter {
			return "Invalid Base64 character: '" + string(rune(c)) + "'"
		}
	}
	return "Invalid last non-pad Base64 character dectected"
}

// attributeShape is a value with its type beside it.
var attributeShape = &shape{typ: tAttribute, name: valueName}

// attributeParts are what may be in a value.
var attributeParts = []struct {
	name  string
	shape *shape
}{
	{"S", stringShape()}, {"B", &shape{typ: tBlob}}, {"N", stringShape()}, {"BOOL", &shape{typ: tBoolean}}, {"NULL", &shape{typ: tBoolean}},
	{"BS", listOf(&shape{typ: tBlob})}, {"NS", listOf(stringShape())}, {"SS", listOf(stringShape())},
}

func checkAttribute(n *node) string {
	if n.kind != nodeObject {
		if n.kind == nodeArray {
			return "Unrecognized collection type class " + valueName
		}
		return "Unexpected value type in payload"
	}
	if len(n.kids) == 1 && n.kids[0].kind == nodeString && (n.kids[0].key == "S" || n.kids[0].key == "N") {
		return ""
	}
	for i := range attributeParts {
		if text := attributeParts[i].shape.checkTypes(n.get(attributeParts[i].name)); text != "" {
			return text
		}
	}
	if l := n.get("L"); l != nil {
		if text := attributeList.checkTypes(l); text != "" {
			return text
		}
	}
	if m := n.get("M"); m != nil {
		return attributeMap.checkMap(m)
	}
	return ""
}

var (
	attributeList = &shape{typ: tList, of: &shape{typ: tAttribute}}
	attributeMap  = mapOf(&shape{typ: tAttribute}, valueName)
)

// checkName says what is wrong with a table's name where the service tells that
// before anything else: a structure with a TableName, or an ARN, that it does not say
// is needed.
func (s *shape) checkName(n *node) string {
	for i := range s.fields {
		f := &s.fields[i]
		if f.name == "ResourceArn" && n.get(f.name) == nil {
			return "Invalid TableArn"
		}
		if f.name != "TableName" || f.need {
			continue
		}
		m := n.get(f.name)
		switch {
		case m == nil:
			return "The parameter 'TableName' is required but was not present in the request"
		case strings.HasPrefix(m.text, "arn:"):
		case len(m.text) < 3 || len(m.text) > 255:
			return "TableName must be at least 3 characters long and at most 255 characters long"
		}
	}
	return ""
}

// errorsMax is how many mistakes are told at once.
const errorsMax = 10

// checkLimits says what in n is missing or out of range, and "" when nothing is.
func (s *shape) checkLimits(n *node) string {
	var errors []string
	s.collect(n, "", &errors)
	switch len(errors) {
	case 0:
		return ""
	case 1:
		return "1 validation error detected: " + errors[0]
	}
	errors = errors[:min(len(errors), errorsMax)]
	return strconv.Itoa(len(errors)) + " validation errors detected: " + strings.Join(errors, "; ")
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func (s *shape) collect(n *node, at string, errors *[]string) {
	for i := range s.fields {
		f := &s.fields[i]
		v := n.get(f.name)
		if v == nil {
			if f.need {
				*errors = append(*errors, "Value null at '"+at+lowerFirst(f.name)+"' failed to satisfy constraint: Member must not be null")
			}
			continue
		}
		if len(f.limits) == 0 && f.shape.typ < tList {
			continue
		}
		f.shape.collectMember(v, at+lowerFirst(f.name), f.limits, errors)
	}
}

func (s *shape) collectMember(n *node, at string, limits []limit, errors *[]string) {
	for i := range limits {
		if !limits[i].ok(n) {
			*errors = append(*errors, "Value '"+n.describe()+"' at '"+at+"' failed to satisfy constraint: "+limits[i].text)
		}
	}
	switch s.typ {
	case tStruct, tElement:
		s.collect(n, at+".", errors)
	case tList:
		if s.of.typ == tAttribute || s.of.typ < tList && len(s.of.limits) == 0 {
			return
		}
		for i := range n.kids {
			if n.kids[i].kind != nodeNull {
				s.of.collectMember(&n.kids[i], at+"."+strconv.Itoa(i+1)+".member", s.of.limits, errors)
			}
		}
	case tMap:
		if s.of.typ == tAttribute || s.of.typ < tList && len(s.of.limits) == 0 && len(s.limits) == 0 {
			return
		}
		for i := range n.kids {
			name := node{kind: nodeString, text: n.kids[i].key}
			for _, of := range []struct {
				what   string
				n      *node
				limits []limit
			}{{"keys", &name, s.limits}, {"value", &n.kids[i], s.of.limits}} {
				if of.n.kind != nodeNull && slices.ContainsFunc(of.limits, func(l limit) bool { return !l.ok(of.n) }) {
					*errors = append(*errors, "Value '"+n.describe()+"' at '"+at+"' failed to satisfy constraint: Map "+of.what+" must satisfy constraint: ["+texts(of.limits)+"]")
				}
			}
			if n.kids[i].kind != nodeNull {
				s.of.collectMember(&n.kids[i], at+"."+n.kids[i].key+".member", nil, errors)
			}
		}
	}
}

// texts is limits as the service lists them where it tells all of them.
func texts(limits []limit) string {
	all := make([]string, len(limits))
	for i := range limits {
		all[i] = limits[i].text
	}
	return strings.Join(all, ", ")
}

// describe writes a value as the service does in its messages.
func (n *node) describe() string {
	switch n.kind {
	case nodeTrue:
		return "true"
	case nodeFalse:
		return "false"
	case nodeNumber:
		if f, err := strconv.ParseFloat(n.text, 64); err == nil && math.Abs(f) < 1e15 && strings.ContainsAny(n.text, ".eE") {
			return strconv.FormatInt(n.int64(), 10)
		}
		return n.text
	case nodeArray:
		parts := make([]string, len(n.kids))
		for i := range n.kids {
			parts[i] = n.kids[i].describe()
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case nodeObject:
		parts := make([]string, len(n.kids))
		for i := range n.kids {
			parts[i] = n.kids[i].key + "=" + n.kids[i].describe()
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return n.text
}

// int64 is a number cut off to a whole one.
func (n *node) int64() int64 {
	if i, err := strconv.ParseInt(n.text, 10, 64); err == nil {
		return i
	}
	f, err := strconv.ParseFloat(n.text, 64)
	switch {
	case err != nil && f == 0, math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(math.Floor(f))
}

func (n *node) length() int {
	if n.kind == nodeString {
		return len(n.text)
	}
	return len(n.kids)
}

func lengthMin(min int) limit {
	return limit{"Member must have length greater than or equal to " + strconv.Itoa(min), func(n *node) bool { return n.length() >= min }}
}

func lengthMax(max int) limit {
	return limit{"Member must have length less than or equal to " + strconv.Itoa(max), func(n *node) bool { return n.length() <= max }}
}

func valueMin(min int64) limit {
	return limit{"Member must have value greater than or equal to " + strconv.FormatInt(min, 10), func(n *node) bool { return n.int64() >= min }}
}

func valueMax(max int64) limit {
	return limit{"Member must have value less than or equal to " + strconv.FormatInt(max, 10), func(n *node) bool { return n.int64() <= max }}
}

func oneOf(words ...string) limit {
	return limit{"Member must satisfy enum value set: [" + strings.Join(words, ", ") + "]", func(n *node) bool {
		for _, w := range words {
			if n.text == w {
				return true
			}
		}
		return false
	}}
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// named is what names of tables and indexes are made of.
func named() limit {
	return limit{"Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", func(n *node) bool {
		if strings.HasPrefix(n.text, "arn:") {
			return true
		}
		for i := range len(n.text) {
			c := n.text[i]
			if !alphanumeric(c) && c != '_' && c != '.' && c != '-' {
				return false
			}
		}
		return n.text != ""
	}}
}

// nameLength is how long a table's name is; an ARN may be longer.
func nameLength() []limit {
	short, long := lengthMin(3), lengthMax(255)
	arn := func(l limit) limit {
		return limit{l.text, func(n *node) bool { return strings.HasPrefix(n.text, "arn:") && len(n.text) <= 1024 || l.ok(n) }}
	}
	return []limit{arn(long), arn(short)}
}
