package statement

import "strings"

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenQuoted // a name in double quotes
	tokenText   // in single quotes
	tokenNumber
	tokenSign
)

// A token is one word of a statement, with its place.
type token struct {
	kind         tokenKind
	text         string
	line, column int
}

func (t token) String() string {
	if t.kind == tokenEnd {
		return "the end"
	}
	return "'" + t.text + "'"
}

// is says whether a token is a keyword, in any case.
func (t token) is(word string) bool { return t.kind == tokenWord && strings.EqualFold(t.text, word) }

func (t token) sign(text string) bool { return t.kind == tokenSign && t.text == text }

// signs are the tokens that are no words, longest first.
var signs = []string{"<<", ">>", "<>", "!=", "<=", ">=", "=", "<", ">", ",", ".", "(", ")", "[", "]", "{", "}", ":", "?", "*", "+", "-"}

func letter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

// lex cuts a statement into tokens; the last one is its end.
func lex(s string) ([]token, error) {
	var all []token
	line, start, i := 1, 0, 0
	for {
		for i < len(s) && strings.IndexByte(" \t\r\n", s[i]) >= 0 {
			if s[i] == '\n' {
				line, start = line+1, i+1
			}
			i++
		}
		t := token{line: line, column: i - start + 1}
		if i == len(s) {
			return append(all, t), nil
		}
		from := i
		switch c := s[i]; {
		case letter(c):
			for i < len(s) && (letter(s[i]) || digit(s[i])) {
				i++
			}
			t.kind, t.text = tokenWord, s[from:i]
		case digit(c):
			i = number(s, i)
			t.kind, t.text = tokenNumber, s[from:i]
		case c == '"' || c == '\'':
			text, end, ok := quoted(s, i)
			if !ok {
				return nil, malformed(t, "%c is not closed", c)
			}
			if t.kind, t.text = tokenText, text; c == '"' {
				t.kind = tokenQuoted
			}
			for ; i < end; i++ {
				if s[i] == '\n' {
					line, start = line+1, i+1
				}
			}
		default:
			t.kind = tokenSign
			for _, sign := range signs {
				if strings.HasPrefix(s[i:], sign) {
					t.text = sign
					break
				}
			}
			if t.text == "" {
				return nil, malformed(t, "Unexpected character %q", c)
			}
			i += len(t.text)
		}
		all = append(all, t)
	}
}

func number(s string, i int) int {
	digits := func() {
		for i < len(s) && digit(s[i]) {
			i++
		}
	}
	digits()
	if i+1 < len(s) && s[i] == '.' && digit(s[i+1]) {
		i++
		digits()
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		back := i
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if i == len(s) || !digit(s[i]) {
			return back
		}
		digits()
	}
	return i
}

// quoted reads what is between quotes; two of them are one.
func quoted(s string, i int) (text string, end int, ok bool) {
	quote := s[i]
	var b strings.Builder
	for i++; i < len(s); i++ {
		if s[i] != quote {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		return b.String(), i + 1, true
	}
	return "", i, false
}
