package pattern

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A kind is what a token is.
type kind byte

const (
	broken      kind = iota // what comes here is no JSON; text says why
	objectStart kind = '{'
	objectEnd   kind = '}'
	arrayStart  kind = '['
	arrayEnd    kind = ']'
	fieldName   kind = 'n'
	text        kind = '"'
	number      kind = '0'
	literal     kind = 'l' // true, false or null
)

// A token is one step of a JSON text. The services name the place at which
// their reader stood when it refused a pattern. It reads a text no further than
// its opening quote before somebody asks for it: that is begun, and end is
// behind the token.
type token struct {
	kind       kind
	text       string // decoded; the reason of a broken one
	begun, end int    // bytes from the start of the pattern
}

// tokenize splits text into tokens. It ends with the first that is broken, or
// behind the only value.
func tokenize(s string) []token {
	t := tokenizer{text: s}
	for !t.done {
		t.next()
	}
	return t.tokens
}

type tokenizer struct {
	text   string
	at     int
	tokens []token
	within []kind // the objects and arrays it is in
	named  bool   // a name was read: its value comes
	behind bool   // a value was read: a comma or an end comes
	done   bool
}

func (t *tokenizer) next() {
	t.space()
	switch {
	case len(t.within) == 0 && t.behind:
		if t.at < len(t.text) {
			t.fail(t.at, t.unexpected("nothing behind the pattern"))
		}
		t.done = true
	case t.at == len(t.text):
		t.fail(t.at, "Unexpected end-of-input")
	case t.behind && t.text[t.at] == ',':
		t.at++
		t.space()
		t.behind = false
		if t.at < len(t.text) && (t.text[t.at] == '}' || t.text[t.at] == ']') {
			t.fail(t.at, t.unexpected("a value behind the comma"))
			return
		}
		t.member()
	case len(t.within) > 0 && !t.named && kind(t.text[t.at]) == t.within[len(t.within)-1]:
		t.within = t.within[:len(t.within)-1]
		t.at++
		t.add(kind(t.text[t.at-1]), t.text[t.at-1:t.at], t.at)
		t.behind = true
	case t.behind:
		t.fail(t.at, t.unexpected("was expecting comma to separate entries"))
	default:
		t.member()
	}
}

// member reads a name where one is due, and a value otherwise.
func (t *tokenizer) member() {
	if t.space(); t.at == len(t.text) {
		t.fail(t.at, "Unexpected end-of-input")
		return
	}
	inObject := len(t.within) > 0 && t.within[len(t.within)-1] == objectEnd
	if !inObject || t.named {
		t.named = false
		t.value()
		return
	}
	if t.text[t.at] != '"' {
		t.fail(t.at, t.unexpected("was expecting double-quote to start field name"))
		return
	}
	if !t.string(fieldName) {
		return
	}
	if t.space(); t.at == len(t.text) || t.text[t.at] != ':' {
		t.fail(t.at, t.unexpected("was expecting a colon to separate field name and value"))
		return
	}
	t.at++
	t.named, t.behind = true, false
}

func (t *tokenizer) value() {
	c := t.text[t.at]
	switch {
	case c == '{' || c == '[':
		if len(t.within) == nestingMax {
			t.fail(t.at, fmt.Sprintf("Document nesting depth (%d) exceeds the maximum allowed (%d)", nestingMax+1, nestingMax))
			return
		}
		t.within = append(t.within, kind(c)+2) // the byte that ends it
		t.at++
		t.add(kind(c), t.text[t.at-1:t.at], t.at)
		return
	case c == '"':
		t.string(text)
	case c == '-' || c >= '0' && c <= '9':
		end := t.at
		for end < len(t.text) && strings.IndexByte("+-.eE0123456789", t.text[end]) >= 0 {
			end++
		}
		t.word(number, end)
	default:
		end := t.at
		for end < len(t.text) && isLetter(t.text[end]) {
			end++
		}
		switch {
		case end == t.at:
			t.fail(t.at, t.unexpected("expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"))
		case t.text[t.at:end] != "true" && t.text[t.at:end] != "false" && t.text[t.at:end] != "null":
			t.fail(end, fmt.Sprintf("Unrecognized token '%s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", t.text[t.at:end]))
		default:
			t.word(literal, end)
		}
	}
	t.behind = true
}

// word takes what lies before end as a number or a literal.
func (t *tokenizer) word(k kind, end int) {
	w := t.text[t.at:end]
	if !json.Valid([]byte(w)) {
		t.fail(end, fmt.Sprintf("Invalid numeric value: %s", w))
		return
	}
	t.at = end
	t.add(k, w, end)
}

// string reads a text or a name.
func (t *tokenizer) string(k kind) bool {
	begun := t.at + 1
	end := begun
	for end < len(t.text) && t.text[end] != '"' {
		if t.text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(t.text) {
		t.fail(len(t.text), "Unexpected end-of-input in a String value")
		return false
	}
	var s string
	if err := json.Unmarshal([]byte(t.text[t.at:end+1]), &s); err != nil {
		t.fail(end, "Illegal character or escape in a String value")
		return false
	}
	t.at = end + 1
	t.tokens = append(t.tokens, token{k, s, begun, t.at})
	return true
}

func (t *tokenizer) add(k kind, s string, end int) {
	t.tokens = append(t.tokens, token{k, s, end, end})
}

func (t *tokenizer) fail(at int, reason string) {
	t.tokens = append(t.tokens, token{broken, reason, at, at})
	t.done = true
}

func (t *tokenizer) unexpected(expecting string) string {
	if t.at == len(t.text) {
		return "Unexpected end-of-input: " + expecting
	}
	r, _ := utf8.DecodeRuneInString(t.text[t.at:])
	return fmt.Sprintf("Unexpected character ('%c' (code %d)): %s", r, r, expecting)
}

func (t *tokenizer) space() {
	for t.at < len(t.text) && strings.IndexByte(" \t\r\n", t.text[t.at]) >= 0 {
		t.at++
	}
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// place tells the line and the column of what follows the first n bytes of s.
func place(s string, n int) (line, column int) {
	before := s[:min(n, len(s))]
	line = 1 + strings.Count(before, "\n")
	before = before[strings.LastIndexByte(before, '\n')+1:]
	column = 1
	for _, r := range before {
		column++
		if r > 0xFFFF {
			column++
		}
	}
	return line, column
}
