package expression

import (
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenName  // #a
	tokenValue // :a
	tokenIndex // digits
	tokenSign  // operators, commas, brackets
	tokenWrong
)

// A token is a piece of an expression's text.
type token struct {
	kind     tokenKind
	text     string
	from, to int
}

// is says whether t is the sign, or the keyword in any case.
func (t *token) is(s string) bool {
	switch t.kind {
	case tokenSign:
		return t.text == s
	case tokenWord:
		return len(t.text) == len(s) && strings.EqualFold(t.text, s)
	}
	return false
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// next returns the token at or behind from.
func next(text string, from int) token {
	for from < len(text) && strings.IndexByte(" \t\n\r", text[from]) >= 0 {
		from++
	}
	if from == len(text) {
		return token{kind: tokenEnd, text: "<EOF>", from: from, to: from}
	}
	t := token{from: from, to: from + 1}
	run := func() {
		for t.to < len(text) && wordByte(text[t.to]) {
			t.to++
		}
	}
	switch c := text[from]; {
	case c == '#' || c == ':':
		t.kind = tokenName
		if c == ':' {
			t.kind = tokenValue
		}
		if run(); t.to == from+1 {
			t.kind = tokenWrong
		}
	case c >= '0' && c <= '9':
		t.kind = tokenIndex
		for t.to < len(text) && text[t.to] >= '0' && text[t.to] <= '9' {
			t.to++
		}
	case wordByte(c):
		t.kind = tokenWord
		run()
	case strings.IndexByte("()[],.=+-", c) >= 0:
		t.kind = tokenSign
	case c == '<' || c == '>':
		t.kind = tokenSign
		if t.to < len(text) && (text[t.to] == '=' || c == '<' && text[t.to] == '>') {
			t.to++
		}
	default:
		t.kind = tokenWrong
		_, n := utf8.DecodeRuneInString(text[from:])
		t.to = from + n
	}
	t.text = text[t.from:t.to]
	return t
}
