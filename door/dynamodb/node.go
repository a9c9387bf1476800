package dynamodb

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Requests are read into nodes first: what is of the wrong type is told before
// what is out of range, and that before what is missing, wherever each stands.

type nodeKind uint8

const (
	nodeNull nodeKind = iota
	nodeTrue
	nodeFalse
	nodeNumber
	nodeString
	nodeArray
	nodeObject
)

// A node is one JSON value. Its texts share the request's memory.
type node struct {
	kind nodeKind
	key  string // in the object it is a member of
	text string // of a string, without its escapes; of a number as it is written
	kids []node // of an array or object, in order
}

// nestingMax is how deep a request may go: values nest up to 32 deep, each
// level takes two, and a request has a few around them.
const nestingMax = 100

// A jsonReader reads one JSON text.
type jsonReader struct {
	s     string
	at    int
	stack []node // members of containers that are not closed yet
}

// parse reads a request's body. It is false for what is no JSON.
func parse(s string) (node, bool) {
	r := jsonReader{s: s, stack: make([]node, 0, 32)}
	n, ok := r.value(0)
	r.space()
	return n, ok && r.at == len(r.s)
}

func (r *jsonReader) space() {
	for r.at < len(r.s) && (r.s[r.at] == ' ' || r.s[r.at] == '\n' || r.s[r.at] == '\t' || r.s[r.at] == '\r') {
		r.at++
	}
}

func (r *jsonReader) take(c byte) bool {
	r.space()
	if r.at < len(r.s) && r.s[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *jsonReader) value(depth int) (node, bool) {
	r.space()
	if r.at == len(r.s) || depth > nestingMax {
		return node{}, false
	}
	switch c := r.s[r.at]; {
	case c == '{':
		return r.container(depth, nodeObject, '}')
	case c == '[':
		return r.container(depth, nodeArray, ']')
	case c == '"':
		text, ok := r.text()
		return node{kind: nodeString, text: text}, ok
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for kind, word := range words {
		if strings.HasPrefix(r.s[r.at:], word) {
			r.at += len(word)
			return node{kind: nodeKind(kind)}, true
		}
	}
	return node{}, false
}

// words are the JSON values that are one, by their kinds.
var words = [...]string{nodeNull: "null", nodeTrue: "true", nodeFalse: "false"}

func (r *jsonReader) container(depth int, kind nodeKind, end byte) (node, bool) {
	r.at++
	from := len(r.stack)
	for first := true; !r.take(end); first = false {
		if !first && !r.take(',') {
			return node{}, false
		}
		key := ""
		if kind == nodeObject {
			r.space()
			var ok bool
			if key, ok = r.text(); !ok || !r.take(':') {
				return node{}, false
			}
		}
		kid, ok := r.value(depth + 1)
		if !ok {
			return node{}, false
		}
		kid.key = key
		r.stack = append(r.stack, kid)
	}
	n := node{kind: kind, kids: append([]node(nil), r.stack[from:]...)}
	r.stack = r.stack[:from]
	return n, true
}

func (r *jsonReader) number() (node, bool) {
	from := r.at
	digits := func() bool {
		at := r.at
		for r.at < len(r.s) && r.s[r.at] >= '0' && r.s[r.at] <= '9' {
			r.at++
		}
		return r.at > at
	}
	if r.s[r.at] == '-' {
		r.at++
	}
	zero := r.at < len(r.s) && r.s[r.at] == '0'
	start := r.at
	if !digits() || zero && r.at > start+1 {
		return node{}, false
	}
	if r.at < len(r.s) && r.s[r.at] == '.' {
		r.at++
		if !digits() {
			return node{}, false
		}
	}
	if r.at < len(r.s) && (r.s[r.at] == 'e' || r.s[r.at] == 'E') {
		r.at++
		if r.at < len(r.s) && (r.s[r.at] == '+' || r.s[r.at] == '-') {
			r.at++
		}
		if !digits() {
			return node{}, false
		}
	}
	return node{kind: nodeNumber, text: r.s[from:r.at]}, true
}

// text reads a string; one without escapes shares the request's memory.
func (r *jsonReader) text() (string, bool) {
	if r.at == len(r.s) || r.s[r.at] != '"' {
		return "", false
	}
	s, from := r.s, r.at+1
	i := from
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
		i++
	}
	r.at = i
	switch {
	case i == len(s):
		return "", false
	case s[i] == '"':
		r.at++
		return valid(s[from:i]), true
	case s[i] == '\\':
		return r.escaped(from)
	}
	return "", false
}

// valid replaces what is no UTF-8.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// escaped reads on from the first escape of a string.
func (r *jsonReader) escaped(from int) (string, bool) {
	b := []byte(r.s[from:r.at])
	for r.at < len(r.s) {
		c := r.s[r.at]
		r.at++
		switch {
		case c == '"':
			return valid(string(b)), true
		case c < ' ':
			return "", false
		case c != '\\':
			b = append(b, c)
			continue
		}
		if r.at == len(r.s) {
			return "", false
		}
		e := r.s[r.at]
		r.at++
		if i := strings.IndexByte(`"\/bfnrt`, e); i >= 0 {
			b = append(b, "\"\\/\b\f\n\r\t"[i])
			continue
		}
		if e != 'u' {
			return "", false
		}
		c1, ok := r.hex()
		if !ok {
			return "", false
		}
		if utf16.IsSurrogate(c1) && strings.HasPrefix(r.s[r.at:], `\u`) {
			back := r.at
			r.at += 2
			c2, ok := r.hex()
			if !ok {
				return "", false
			}
			if pair := utf16.DecodeRune(c1, c2); pair != utf8.RuneError {
				b = utf8.AppendRune(b, pair)
				continue
			}
			r.at = back
		}
		b = utf8.AppendRune(b, c1)
	}
	return "", false
}

func (r *jsonReader) hex() (rune, bool) {
	if r.at+4 > len(r.s) {
		return 0, false
	}
	var c rune
	for _, d := range []byte(r.s[r.at : r.at+4]) {
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d >= 'a' && d <= 'f':
			d -= 'a' - 10
		case d >= 'A' && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		c = c<<4 | rune(d)
	}
	r.at += 4
	return c, true
}

// get returns a member of an object, and nil when there is none or it is null.
// Of two with the same name the last counts.
func (n *node) get(name string) *node {
	if n == nil || n.kind != nodeObject {
		return nil
	}
	for i := len(n.kids) - 1; i >= 0; i-- {
		if n.kids[i].key == name {
			if n.kids[i].kind == nodeNull {
				return nil
			}
			return &n.kids[i]
		}
	}
	return nil
}

// str is the text of a member; "" when there is none.
func (n *node) str(name string) string {
	if m := n.get(name); m != nil {
		return m.text
	}
	return ""
}

// flag says whether a member is true.
func (n *node) flag(name string) bool {
	m := n.get(name)
	return m != nil && m.kind == nodeTrue
}

// integer is a member as a whole number, cut off; false when there is none.
func (n *node) integer(name string) (int64, bool) {
	m := n.get(name)
	if m == nil {
		return 0, false
	}
	return m.int64(), true
}

// list returns the elements of a member, without nulls.
func (n *node) list(name string) []node {
	m := n.get(name)
	if m == nil {
		return nil
	}
	return m.elements()
}

// elements returns the elements or members of n, without nulls.
func (n *node) elements() []node {
	for i := range n.kids {
		if n.kids[i].kind == nodeNull {
			var left []node
			for _, k := range n.kids {
				if k.kind != nodeNull {
					left = append(left, k)
				}
			}
			return left
		}
	}
	return n.kids
}

// texts returns the elements of a list of strings.
func (n *node) texts(name string) []string {
	var all []string
	for _, e := range n.list(name) {
		all = append(all, e.text)
	}
	return all
}
