package value

import (
	"math/big"
	"strings"
)

// Limits of numbers.
const (
	DigitsMax   = 38  // significant digits
	exponentMax = 126 // of the largest number, 9.99…E+125, as 0.d… × 10^126
	exponentMin = -129
)

// A wrong is what is wrong with a number, in the words clients know.
type wrong string

// Error returns the words.
func (w wrong) Error() string { return string(w) }

// What can be wrong with a number.
const (
	ErrPrecision wrong = "Attempting to store more than 38 significant digits in a Number"
	ErrOverflow  wrong = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	ErrUnderflow wrong = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
)

// A SyntaxError is a text that is no number.
type SyntaxError struct{ Text string }

// Error says that it is none.
func (e *SyntaxError) Error() string {
	if e.Text == "" {
		return "The parameter cannot be converted to a numeric value"
	}
	return "The parameter cannot be converted to a numeric value: " + e.Text
}

// A Decimal is a number of up to 38 significant digits: 0.d1d2…dn × 10^exp.
// The first and the last digit are not zero; without digits it is zero.
type Decimal struct {
	neg    bool
	n      int
	exp    int
	digits [DigitsMax]byte // 0 to 9
}

// ParseDecimal reads a number: digits with a sign, a point and an exponent as
// one wishes. Errors: *SyntaxError, ErrPrecision, ErrOverflow, ErrUnderflow.
func ParseDecimal(s string) (Decimal, error) {
	var d Decimal
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		d.neg = s[i] == '-'
		i++
	}
	point, any, zeros, tooMany := false, false, 0, false
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		any = true
		switch {
		case c == '0' && d.n == 0: // leading zeros say at most where the point is
			if point {
				d.exp--
			}
			continue
		case c == '0':
			zeros++
		default:
			if d.n+zeros+1 > DigitsMax {
				tooMany = true
				zeros = 0
			} else {
				d.n += zeros
				d.digits[d.n] = c - '0'
				d.n++
				zeros = 0
			}
		}
		if !point {
			d.exp++
		}
	}
	if !any {
		return Decimal{}, &SyntaxError{s}
	}
	if i < len(s) {
		e, ok := parseExponent(s[i:])
		if !ok {
			return Decimal{}, &SyntaxError{s}
		}
		d.exp += e
	}
	switch {
	case d.n == 0:
		return Decimal{}, nil
	case tooMany:
		return Decimal{}, ErrPrecision
	}
	return d, d.check()
}

func (d *Decimal) check() error {
	switch {
	case d.exp > exponentMax:
		return ErrOverflow
	case d.exp < exponentMin:
		return ErrUnderflow
	}
	return nil
}

// parseExponent reads "e+12". Exponents beyond any range are cut to one that
// still is.
func parseExponent(s string) (int, bool) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s = s[1:]
	neg := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	e := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		e = min(e*10+int(s[i]-'0'), 1<<30)
	}
	if neg {
		e = -e
	}
	return e, true
}

// canonicalInteger says whether s is an integer in its canonical form, short
// enough to be sure without counting digits.
func canonicalInteger(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "0" {
		return len(s) == 1
	}
	if digits == "" || len(digits) > 18 || digits[0] == '0' {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

// String returns the number's one canonical form: digits without leading or
// trailing zeros, with a point where one is needed, and no exponent.
func (d Decimal) String() string {
	if d.n == 0 {
		return "0"
	}
	b := make([]byte, 0, 2+max(d.n, d.exp, d.n-d.exp+1))
	if d.neg {
		b = append(b, '-')
	}
	if d.exp <= 0 {
		b = append(b, '0', '.')
		for range -d.exp {
			b = append(b, '0')
		}
	}
	for i := range d.n {
		if i == d.exp && i > 0 {
			b = append(b, '.')
		}
		b = append(b, '0'+d.digits[i])
	}
	for range d.exp - d.n {
		b = append(b, '0')
	}
	return string(b)
}

// Sign is -1, 0 or 1.
func (d *Decimal) Sign() int {
	switch {
	case d.n == 0:
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// Int64 returns the number as an integer, and false when it is none or has
// more than 18 digits.
func (d *Decimal) Int64() (int64, bool) {
	if d.n == 0 {
		return 0, true
	}
	if d.exp > 18 || d.exp < d.n {
		return 0, false
	}
	var v int64
	for i := range d.exp {
		v *= 10
		if i < d.n {
			v += int64(d.digits[i])
		}
	}
	if d.neg {
		v = -v
	}
	return v, true
}

// Compare is -1, 0 or 1 as d is less than, equal to or more than o.
func (d *Decimal) Compare(o *Decimal) int {
	a, b := d.Sign(), o.Sign()
	switch {
	case a != b:
		return sign(a - b)
	case a == 0:
		return 0
	case d.exp != o.exp:
		return a * sign(d.exp-o.exp)
	}
	return a * strings.Compare(string(d.digits[:d.n]), string(o.digits[:o.n]))
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// compareNumbers compares two numbers in canonical form.
func compareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	x, errX := ParseDecimal(a)
	y, errY := ParseDecimal(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b) // never: both are canonical
	}
	return x.Compare(&y)
}

// Add returns the sum. Errors: ErrOverflow, as the service says of a sum of more
// than 38 digits, too; ErrUnderflow.
func (d Decimal) Add(o Decimal) (Decimal, error) {
	if x, ok := d.Int64(); ok {
		if y, ok := o.Int64(); ok {
			return ofInt64(x + y), nil // 18 digits each: the sum fits
		}
	}
	low := min(d.exp-d.n, o.exp-o.n)
	sum := new(big.Int).Add(d.scaled(low), o.scaled(low))
	text := sum.String()
	neg := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	if text == "0" {
		return Decimal{}, nil
	}
	r := Decimal{neg: neg, exp: len(text) + low}
	text = strings.TrimRight(text, "0")
	if len(text) > DigitsMax {
		return Decimal{}, ErrOverflow
	}
	for i := range len(text) {
		r.digits[i] = text[i] - '0'
	}
	r.n = len(text)
	return r, r.check()
}

// Sub returns the difference, with the errors of [Decimal.Add].
func (d Decimal) Sub(o Decimal) (Decimal, error) {
	if o.n > 0 {
		o.neg = !o.neg
	}
	return d.Add(o)
}

// scaled returns d as an integer of units of 10^low.
func (d *Decimal) scaled(low int) *big.Int {
	v := new(big.Int)
	if d.n == 0 {
		return v
	}
	b := make([]byte, d.n, d.n+d.exp-d.n-low)
	for i := range b {
		b[i] = '0' + d.digits[i]
	}
	for range d.exp - d.n - low {
		b = append(b, '0')
	}
	v.SetString(string(b), 10)
	if d.neg {
		v.Neg(v)
	}
	return v
}

func ofInt64(v int64) Decimal {
	var d Decimal
	if v < 0 {
		d.neg, v = true, -v
	}
	var b [20]byte
	n := 0
	for ; v > 0; v /= 10 {
		b[n] = byte(v % 10)
		n++
	}
	d.exp = n
	for i := range n {
		d.digits[i] = b[n-1-i]
	}
	for d.n = n; d.n > 0 && d.digits[d.n-1] == 0; {
		d.n--
	}
	if d.n == 0 {
		return Decimal{}
	}
	return d
}

// OfInt makes a number of an integer of up to 18 digits.
func OfInt(n int64) Value { return OfDecimal(ofInt64(n)) }

// numberSize is what a number in canonical form counts for: a byte, one more
// for each two digits on either side of the point, and one when it is negative.
func numberSize(text string) int {
	d, err := ParseDecimal(text)
	if err != nil || d.n == 0 {
		return 1
	}
	pairs := (d.n + d.exp&1 + 1) / 2
	if d.neg {
		pairs++
	}
	return 1 + pairs
}
