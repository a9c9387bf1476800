package web

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/daruma-io/daruma/quote"
)

// jsonDepthMax bounds how deeply a function's answer may nest.
const jsonDepthMax = 1000

// appendField appends ,"name":"value". name needs no escaping.
func appendField(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, ',', '"'), name...), '"', ':')
	return quote.Append(dst, value)
}

// A scanner reads one JSON text (RFC 8259) from front to back. Its methods
// return false when the text is not JSON; what was read until then is void.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, or 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take passes over c, with white space before it.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// end says whether nothing but white space is left.
func (s *scanner) end() bool {
	s.space()
	return s.at == len(s.text)
}

// object calls member with each key of an object; member reads the value.
func (s *scanner) object(member func(key []byte) bool) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		key, ok := s.str()
		if !ok || !s.take(':') || !member(key) {
			return false
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// array calls element for each element of an array; element reads it.
func (s *scanner) array(element func() bool) bool {
	if !s.take('[') {
		return false
	}
	if s.take(']') {
		return true
	}
	for {
		if !element() {
			return false
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// raw passes over a string and returns its inside, still escaped.
func (s *scanner) raw() (inside []byte, escaped, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	start := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1], escaped, true
		case c < 0x20:
			return nil, false, false
		case c == '\\':
			escaped = true
			if !s.escape() {
				return nil, false, false
			}
		default:
			s.at++
		}
	}
	return nil, false, false
}

// escape passes over one escape sequence.
func (s *scanner) escape() bool {
	if s.at+1 >= len(s.text) {
		return false
	}
	switch s.text[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return true
	case 'u':
		if s.at+6 > len(s.text) {
			return false
		}
		for _, c := range s.text[s.at+2 : s.at+6] {
			if unhex(c) < 0 {
				return false
			}
		}
		s.at += 6
		return true
	}
	return false
}

// str reads a string. The result shares the text's memory when nothing had to be unescaped.
func (s *scanner) str() ([]byte, bool) {
	inside, escaped, ok := s.raw()
	if !ok || !escaped && utf8.Valid(inside) {
		return inside, ok
	}
	return unescape(inside), true
}

// unescape decodes the inside of a valid JSON string.
func unescape(in []byte) []byte {
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); {
		c := in[i]
		if c != '\\' {
			r, n := utf8.DecodeRune(in[i:])
			out = utf8.AppendRune(out, r)
			i += n
			continue
		}
		i += 2
		switch in[i-1] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(in[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+6 <= len(in) && in[i] == '\\' && in[i+1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(in[i+2:]))
				}
				if pair != utf8.RuneError {
					i += 6
				}
				r = pair
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, in[i-1])
		}
	}
	return out
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		r = r<<4 | rune(unhex(c))
	}
	return r
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// number passes over a number and returns its text.
func (s *scanner) number() ([]byte, bool) {
	s.space()
	start := s.at
	digits := func() bool {
		from := s.at
		for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
			s.at++
		}
		return s.at > from
	}
	here := func(c byte) bool { return s.at < len(s.text) && s.text[s.at] == c }
	if here('-') {
		s.at++
	}
	if here('0') {
		s.at++
	} else if !digits() {
		return nil, false
	}
	if here('.') {
		s.at++
		if !digits() {
			return nil, false
		}
	}
	if here('e') || here('E') {
		s.at++
		if here('+') || here('-') {
			s.at++
		}
		if !digits() {
			return nil, false
		}
	}
	return s.text[start:s.at], true
}

// word passes over true, false or null.
func (s *scanner) word(w string) bool {
	s.space()
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

// skip passes over any value.
func (s *scanner) skip(depth int) bool {
	if depth > jsonDepthMax {
		return false
	}
	switch s.peek() {
	case '{':
		return s.object(func([]byte) bool { return s.skip(depth + 1) })
	case '[':
		return s.array(func() bool { return s.skip(depth + 1) })
	case '"':
		_, _, ok := s.raw()
		return ok
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	_, ok := s.number()
	return ok
}

// scalar reads a string, number or boolean as text. isNull tells a null.
func (s *scanner) scalar() (text string, isNull, ok bool) {
	switch s.peek() {
	case '"':
		b, ok := s.str()
		return string(b), false, ok
	case 't':
		return "true", false, s.word("true")
	case 'f':
		return "false", false, s.word("false")
	case 'n':
		return "", true, s.word("null")
	}
	b, ok := s.number()
	return string(b), false, ok
}

// appendInt appends n in decimal.
func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
