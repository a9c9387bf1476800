package value

import (
	"encoding/base64"

	"github.com/daruma-io/daruma/quote"
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
		b = quote.Append(b, it[i].Name)
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
	return quote.Append(b, v.text)
}
