package pattern

import (
	"cmp"
	"strings"
)

// A decimal is a number as it is written in JSON, exactly: 1, 1.0 and 1e0 are
// the same decimal, and so are equal under ==. Its value is 0.digits times ten
// to the power of exponent.
type decimal struct {
	negative bool
	digits   string // without zeros at either end; "" is zero
	exponent int
}

// exponentMax bounds exponents, so that none overflows: nobody writes larger
// ones but to see what happens.
const exponentMax = 1 << 30

// decimalOf reads a number of JSON. What is none is some number.
func decimalOf(s string) decimal {
	s, negative := strings.CutPrefix(s, "-")
	mantissa, power := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, power = s[:i], s[i+1:]
	}
	whole, part, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole, "0")
	exponent := len(digits)
	if digits == "" {
		trimmed := strings.TrimLeft(part, "0")
		exponent = len(trimmed) - len(part)
		part = trimmed
	}
	digits = strings.TrimRight(digits+part, "0")
	if digits == "" {
		return decimal{}
	}
	return decimal{negative, digits, exponent + powerOf(power)}
}

func powerOf(s string) int {
	sign := 1
	switch {
	case strings.HasPrefix(s, "-"):
		s, sign = s[1:], -1
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	n := 0
	for _, c := range s {
		if n = n*10 + int(c-'0'); n >= exponentMax {
			return sign * exponentMax
		}
	}
	return sign * n
}

// compare returns -1, 0 or 1 for less, equal or greater.
func (d decimal) compare(e decimal) int {
	if s := cmp.Compare(d.sign(), e.sign()); s != 0 || d.digits == "" {
		return s
	}
	c := cmp.Compare(d.exponent, e.exponent)
	if c == 0 {
		c = cmp.Compare(d.digits, e.digits)
	}
	return c * d.sign()
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}
