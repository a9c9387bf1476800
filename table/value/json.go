package value

import (
	"encoding/base64"
	"unicode/utf8"
)

// AppendJSON appends v as JSON with its type beside it: {"S":"text"}.
func AppendJSON(b []byte, v Value) []byte {
	b = append(b, '{', '"')
	b = append(b, v.kind.String()...)
	b = append(b, '"', ':')
	switch v.kind {
	case Null:
		b = append(b, "true"...)
	case Bool:
		if v.yes {
			b = append(b, "true"...)
		} else {
			b = append(b, "false"...)
		}
	case Map:
		b = AppendItemJSON(b, v.attrs)
	case List:
		b = append(b, '[')
		for i := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendJSON(b, v.list[i])
		}
		b = append(b, ']')
	case StringSet, NumberSet, BinarySet:
		b = append(b, '[')
		for i := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendScalar(b, v.list[i])
		}
		b = append(b, ']')
	default:
		b = appendScalar(b, v)
	}
	return append(b, '}')
}

// AppendItemJSON appends an item as a JSON object of typed values.
func AppendItemJSON(b []byte, it Item) []byte {
	b = append(b, '{')
	for i := range it {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendText(b, it[i].Name)
		b = append(b, ':')
		b = AppendJSON(b, it[i].Value)
	}
	return append(b, '}')
}

func appendScalar(b []byte, v Value) []byte {
	if v.kind == Binary {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, []byte(v.text))
		return append(b, '"')
	}
	if v.kind == Number {
		b = append(b, '"')
		b = append(b, v.text...)
		return append(b, '"')
	}
	return AppendText(b, v.text)
}

const hexDigits = "0123456789abcdef"

// AppendText appends s as a JSON string.
func AppendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), `\ufffd`...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
