package pattern

import (
	"encoding/json"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// A test is one value of a field's array: it accepts values, which are nil,
// bool, string or json.Number, and never objects or arrays.
type test interface{ accepts(v any) bool }

type (
	exactly   string            // a text
	literally string            // true, false or null
	equals    struct{ decimal } // a number
	fold      string            // a text, whatever its case
	prefix    struct {
		text string
		fold bool
	}
	suffix struct {
		text string
		fold bool
	}
	network  struct{ netip.Prefix }
	anything struct{}              // any value: the field exists
	but      struct{ none []test } // any value that none of them accepts
	between  struct {
		low, high     *decimal // nil where there is no bound
		lowIn, highIn bool     // the bound itself is within
	}
)

func (is exactly) accepts(v any) bool { return v == string(is) }

func (is literally) accepts(v any) bool {
	switch v := v.(type) {
	case nil:
		return is == "null"
	case bool:
		return v == (is == "true") && is != "null"
	}
	return false
}

func (is equals) accepts(v any) bool {
	n, ok := v.(json.Number)
	return ok && decimalOf(string(n)) == is.decimal
}

func (is fold) accepts(v any) bool {
	s, ok := v.(string)
	return ok && strings.EqualFold(s, string(is))
}

func (is prefix) accepts(v any) bool {
	s, ok := v.(string)
	if !ok || !is.fold {
		return ok && strings.HasPrefix(s, is.text)
	}
	end := 0
	for range utf8.RuneCountInString(is.text) {
		_, n := utf8.DecodeRuneInString(s[end:])
		end += n
	}
	return strings.EqualFold(s[:end], is.text)
}

func (is suffix) accepts(v any) bool {
	s, ok := v.(string)
	if !ok || !is.fold {
		return ok && strings.HasSuffix(s, is.text)
	}
	start := len(s)
	for range utf8.RuneCountInString(is.text) {
		_, n := utf8.DecodeLastRuneInString(s[:start])
		start -= n
	}
	return strings.EqualFold(s[start:], is.text)
}

func (is network) accepts(v any) bool {
	s, ok := v.(string)
	if !ok || len(s) > 64 {
		return false
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == "" && is.Contains(a)
}

func (anything) accepts(any) bool { return true }

func (is but) accepts(v any) bool {
	for _, t := range is.none {
		if t.accepts(v) {
			return false
		}
	}
	return true
}

func (is between) accepts(v any) bool {
	s, ok := v.(json.Number)
	if !ok {
		return false
	}
	n := decimalOf(string(s))
	if is.low != nil {
		if c := is.low.compare(n); c > 0 || c == 0 && !is.lowIn {
			return false
		}
	}
	if is.high != nil {
		if c := is.high.compare(n); c < 0 || c == 0 && !is.highIn {
			return false
		}
	}
	return true
}
