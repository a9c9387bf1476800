package value

import (
	"errors"
	"fmt"
)

// Keys are written so that their bytes sort as the values do, and so that one
// ends before the next begins:
//
//	text, bytes  each zero byte followed by 0xff, and 0x00 0x01 at the end
//	numbers      a byte with sign and exponent in base 100, a byte for each two
//	             digits, and a byte at the end; negative numbers complemented
const (
	keyEscape   = 0xff // after a zero byte of the text
	keyEnd      = 0x01 // after the zero byte at the end
	negativeEnd = 102
	zeroLead    = 0x80
)

// AppendKey appends a String, Binary or Number to b so that the order of the
// bytes is that of the values. Other kinds append nothing.
func AppendKey(b []byte, v Value) []byte {
	switch v.kind {
	case String, Binary:
		for i := range len(v.text) {
			b = append(b, v.text[i])
			if v.text[i] == 0 {
				b = append(b, keyEscape)
			}
		}
		return append(b, 0, keyEnd)
	case Number:
		d := v.Decimal()
		b = appendHundreds(b, &d)
		if d.neg {
			return append(b, negativeEnd)
		}
		return append(b, 0)
	}
	return b
}

// AppendKeyPrefix appends the beginning of the keys of all texts, or bytes,
// that begin with v.
func AppendKeyPrefix(b []byte, v Value) []byte {
	b = AppendKey(b, v)
	return b[:len(b)-2]
}

// appendHundreds appends sign, exponent and digits of d in base 100, aligned
// to the point.
func appendHundreds(b []byte, d *Decimal) []byte {
	if d.n == 0 {
		return append(b, zeroLead)
	}
	odd := d.exp & 1
	lead := byte((d.exp+odd)/2 + 192)
	if d.neg {
		lead = ^lead
	}
	b = append(b, lead)
	digit := func(i int) byte {
		if i < 0 || i >= d.n {
			return 0
		}
		return d.digits[i]
	}
	for i := -odd; i < d.n; i += 2 {
		pair := digit(i)*10 + digit(i+1)
		if d.neg {
			b = append(b, 101-pair)
		} else {
			b = append(b, pair+1)
		}
	}
	return b
}

// AppendHashed appends the bytes that a partition's place is computed from:
// text and bytes as they are, numbers in base 100.
func AppendHashed(b []byte, v Value) []byte {
	if v.kind != Number {
		return append(b, v.text...)
	}
	d := v.Decimal()
	from := len(b)
	b = appendHundreds(b, &d)
	if d.neg && len(b)-from < 21 {
		b = append(b, negativeEnd)
	}
	return b
}

var errKey = errors.New("a key is damaged")

// DecodeKey reads a value of a kind that [AppendKey] wrote, and returns what
// follows it.
func DecodeKey(kind Kind, b []byte) (v Value, rest []byte, err error) {
	switch kind {
	case String, Binary:
		text := make([]byte, 0, len(b))
		for i := 0; i+1 < len(b); i++ {
			if b[i] != 0 {
				text = append(text, b[i])
				continue
			}
			i++
			if b[i] == keyEnd {
				return Value{kind: kind, text: string(text)}, b[i+1:], nil
			}
			if b[i] != keyEscape {
				break
			}
			text = append(text, 0)
		}
		return Value{}, nil, errKey
	case Number:
		return decodeNumber(b)
	}
	return Value{}, nil, fmt.Errorf("%s is no kind of a key", kind)
}

func decodeNumber(b []byte) (Value, []byte, error) {
	if len(b) < 2 {
		return Value{}, nil, errKey
	}
	if b[0] == zeroLead && b[1] == 0 {
		return Value{kind: Number, text: "0"}, b[2:], nil
	}
	d := Decimal{neg: b[0] < zeroLead}
	lead, end := b[0], byte(0)
	if d.neg {
		lead, end = ^lead, negativeEnd
	}
	d.exp = (int(lead) - 192) * 2
	var digits [2 * 21]byte
	n, i := 0, 1
	for ; i < len(b) && b[i] != end; i++ {
		pair := b[i] - 1
		if d.neg {
			pair = 101 - b[i]
		}
		if pair > 99 || n+2 > len(digits) {
			return Value{}, nil, errKey
		}
		digits[n], digits[n+1] = pair/10, pair%10
		n += 2
	}
	if i == len(b) || n == 0 || digits[0]|digits[1] == 0 || digits[n-2]|digits[n-1] == 0 {
		return Value{}, nil, errKey
	}
	from := 0
	if digits[0] == 0 {
		from = 1
		d.exp--
	}
	if digits[n-1] == 0 {
		n--
	}
	if n-from > DigitsMax {
		return Value{}, nil, errKey
	}
	d.n = copy(d.digits[:], digits[from:n])
	if d.check() != nil {
		return Value{}, nil, errKey
	}
	return OfDecimal(d), b[i+1:], nil
}
