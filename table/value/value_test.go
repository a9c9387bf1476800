package value_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma/table/value"
)

func number(t testing.TB, s string) value.Value {
	t.Helper()
	v, err := value.OfNumber(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func TestANumberHasOneCanonicalForm(t *testing.T) {
	for in, want := range map[string]string{
		"1.0": "1", "1e2": "100", "-0": "0", "+5": "5", "000.100": "0.1", "0e999999999999": "0", ".5": "0.5", "5.": "5",
		"-1.50E-3": "-0.0015", "12345678901234567890123456789012345678": "12345678901234567890123456789012345678",
		"1E+125": "1" + strings.Repeat("0", 125), "1E-130": "0." + strings.Repeat("0", 129) + "1", "100": "100", "00012": "12",
		"9.9999999999999999999999999999999999999E+125": strings.Repeat("9", 38) + strings.Repeat("0", 88),
		"1" + strings.Repeat("0", 100):                 "1" + strings.Repeat("0", 100),
	} {
		if got := number(t, in).Text(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestWhatIsNoNumberIsRefusedInTheServicesWords(t *testing.T) {
	for in, want := range map[string]string{
		"":        "The parameter cannot be converted to a numeric value",
		"b":       "The parameter cannot be converted to a numeric value: b",
		"1e":      "The parameter cannot be converted to a numeric value: 1e",
		"\u00201": "The parameter cannot be converted to a numeric value:  1",
		"1.2.3":   "The parameter cannot be converted to a numeric value: 1.2.3",
		"-":       "The parameter cannot be converted to a numeric value: -",
		"NaN":     "The parameter cannot be converted to a numeric value: NaN",
		"123456789012345678901234567890123456789": value.ErrPrecision.Error(),
		"1E126":                   value.ErrOverflow.Error(),
		"1E-131":                  value.ErrUnderflow.Error(),
		"-1e99999999999999999999": value.ErrOverflow.Error(),
	} {
		if _, err := value.OfNumber(in); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}

// decimals draws numbers of every size and precision.
func decimals() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		digits := rapid.StringMatching(`[1-9][0-9]{0,37}|0`).Draw(t, "digits")
		exp := rapid.IntRange(-130, 125-len(digits)+1).Draw(t, "exp")
		if rapid.Bool().Draw(t, "small") {
			exp = rapid.IntRange(-3, 3).Draw(t, "small exp")
		}
		sign := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
		return sign + digits + "e" + big.NewInt(int64(exp)).String()
	})
}

func TestTheBytesOfANumbersKeySortAsTheNumberDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals().Draw(t, "a"), decimals().Draw(t, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		va, errA := value.OfNumber(a)
		vb, errB := value.OfNumber(b)
		if errA != nil || errB != nil {
			t.Skip("out of range")
		}
		tail := rapid.SliceOf(rapid.Byte()).Draw(t, "tail") // what follows must not matter
		ka, kb := append(value.AppendKey(nil, va), tail...), append(value.AppendKey(nil, vb), tail...)
		if got, want := bytes.Compare(ka, kb), x.Cmp(y); got != want {
			t.Fatalf("%s and %s: keys compare as %d, numbers as %d", a, b, got, want)
		}
		if got, _ := value.Compare(va, vb); got != x.Cmp(y) {
			t.Fatalf("%s and %s: compare as %d, want %d", a, b, got, x.Cmp(y))
		}
		back, rest, err := value.DecodeKey(value.Number, ka)
		if err != nil || back.Text() != va.Text() || !bytes.Equal(rest, tail) {
			t.Fatalf("%s: the key gives back %q and %x, %v", a, back.Text(), rest, err)
		}
		if z, ok := new(big.Rat).SetString(va.Text()); !ok || z.Cmp(x) != 0 {
			t.Fatalf("%s became %s", a, va.Text())
		}
	})
}

func TestTheBytesOfATextsKeySortAsItsBytesDo(t *testing.T) {
	text := rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xfe, 0xff}), 0, 6).Draw(t, "bytes"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		tail := rapid.SliceOf(rapid.Byte()).Draw(t, "tail")
		ka, kb := value.AppendKey(nil, value.OfBinary(a)), value.AppendKey(nil, value.OfBinary(b))
		if got, want := bytes.Compare(append(ka, tail...), append(kb, tail...)), strings.Compare(a, b); got != want {
			t.Fatalf("%x and %x: keys compare as %d, bytes as %d", a, b, got, want)
		}
		if strings.HasPrefix(b, a) != bytes.HasPrefix(kb, value.AppendKeyPrefix(nil, value.OfBinary(a))) && a+"\x00" != b[:min(len(b), len(a)+1)] {
			t.Fatalf("%x is the beginning of %x as bytes or as keys, not both", a, b)
		}
		back, rest, err := value.DecodeKey(value.Binary, append(ka, tail...))
		if err != nil || back.Text() != a || !bytes.Equal(rest, tail) {
			t.Fatalf("%x: got back %x and %x, %v", a, back.Text(), rest, err)
		}
	})
}

func TestSumsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals().Draw(t, "a"), decimals().Draw(t, "b")
		da, errA := value.ParseDecimal(a)
		db, errB := value.ParseDecimal(b)
		if errA != nil || errB != nil {
			t.Skip("out of range")
		}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		for _, c := range []struct {
			f    func(value.Decimal) (value.Decimal, error)
			want *big.Rat
		}{{da.Add, new(big.Rat).Add(x, y)}, {da.Sub, new(big.Rat).Sub(x, y)}} {
			got, err := c.f(db)
			if err != nil {
				if !errors.Is(err, value.ErrOverflow) && !errors.Is(err, value.ErrUnderflow) {
					t.Fatal(err)
				}
				continue
			}
			if z, ok := new(big.Rat).SetString(got.String()); !ok || z.Cmp(c.want) != 0 {
				t.Fatalf("%s and %s: got %s, want %s", a, b, got, c.want.FloatString(140))
			}
		}
	})
}

func TestASumOfMoreThan38DigitsIsRefused(t *testing.T) {
	if _, err := number(t, "1e40").Decimal().Add(number(t, "1").Decimal()); !errors.Is(err, value.ErrOverflow) {
		t.Errorf("got %v", err)
	}
	big := number(t, strings.Repeat("9", 38)+"e88").Decimal()
	if _, err := big.Add(big); !errors.Is(err, value.ErrOverflow) {
		t.Errorf("got %v", err)
	}
}

func TestSizesAreCountedAsTheServiceDoes(t *testing.T) {
	l := value.OfList([]value.Value{value.OfString("ab"), number(t, "1")})
	for _, c := range []struct {
		v    value.Value
		want int
	}{
		{value.OfString("héllo"), 6}, {value.OfBinary("\x00\x01"), 2}, {value.Nothing(), 1}, {value.OfBool(false), 1},
		{number(t, "0"), 1}, {number(t, "1"), 2}, {number(t, "12"), 2}, {number(t, "123"), 3}, {number(t, "-1"), 3}, {number(t, "1e100"), 2},
		{value.OfList(nil), 3}, {l, 3 + 2 + 2 + 2}, {value.OfMap(nil), 3}, {value.OfMap(value.Item{{Name: "key", Value: l}}), 3 + 1 + 3 + 9},
		{value.OfSet(value.StringSet, []value.Value{value.OfString("a"), value.OfString("bc")}), 3},
	} {
		if got := c.v.Size(); got != c.want {
			t.Errorf("%s: got %d, want %d", value.AppendJSON(nil, c.v), got, c.want)
		}
	}
	if got := (value.Item{{Name: "id", Value: value.OfString("abc")}}).Size(); got != 5 {
		t.Errorf("got %d, want 5", got)
	}
}

func TestSetsAreEqualWhateverTheirOrder(t *testing.T) {
	a := value.OfSet(value.NumberSet, []value.Value{number(t, "1"), number(t, "2")})
	b := value.OfSet(value.NumberSet, []value.Value{number(t, "2"), number(t, "1.0")})
	if !value.Equal(a, b) {
		t.Error("two sets of the same numbers differ")
	}
	if value.Equal(value.OfList(a.List()), value.OfList(b.List())) {
		t.Error("two lists in different order are equal")
	}
}

// values draws any value.
func values(depth int) *rapid.Generator[value.Value] {
	return rapid.Custom(func(t *rapid.T) value.Value {
		top := 8
		if depth == 0 {
			top = 6
		}
		text := rapid.StringN(0, 12, -1)
		switch rapid.IntRange(0, top).Draw(t, "kind") {
		case 0:
			return value.Nothing()
		case 1:
			return value.OfBool(rapid.Bool().Draw(t, "bool"))
		case 2:
			v, err := value.OfNumber(decimals().Draw(t, "number"))
			if err != nil {
				return value.Nothing()
			}
			return v
		case 3:
			return value.OfString(text.Draw(t, "text"))
		case 4:
			return value.OfBinary(string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes")))
		case 5:
			var s []value.Value
			for _, e := range rapid.SliceOfNDistinct(text, 1, 4, rapid.ID).Draw(t, "set") {
				s = append(s, value.OfString(e))
			}
			return value.OfSet(value.StringSet, s)
		case 6:
			return value.OfSet(value.NumberSet, []value.Value{value.OfInt(int64(rapid.IntRange(-9, 9).Draw(t, "n")))})
		case 7:
			return value.OfList(rapid.SliceOfN(values(depth-1), 0, 4).Draw(t, "list"))
		}
		return value.OfMap(items(depth-1).Draw(t, "map"))
	})
}

func items(depth int) *rapid.Generator[value.Item] {
	return rapid.Custom(func(t *rapid.T) value.Item {
		var all []value.Attribute
		for _, name := range rapid.SliceOfNDistinct(rapid.StringN(1, 8, -1), 0, 5, rapid.ID).Draw(t, "names") {
			all = append(all, value.Attribute{Name: name, Value: values(depth).Draw(t, "value")})
		}
		it, _, _ := value.Sorted(all)
		return it
	})
}

func TestARecordGivesBackItsItem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := items(4).Draw(t, "item")
		record := value.AppendItem(nil, it)
		got, err := value.DecodeItem(string(record))
		if err != nil || !value.EqualItems(got, it) {
			t.Fatalf("%s became %s, %v", value.AppendItemJSON(nil, it), value.AppendItemJSON(nil, got), err)
		}
		if again := value.AppendItem(nil, got); !bytes.Equal(again, record) {
			t.Fatalf("an item has two records: %x and %x", record, again)
		}
		if !json.Valid(value.AppendItemJSON(nil, it)) {
			t.Fatalf("%s is no JSON", value.AppendItemJSON(nil, it))
		}
	})
}

func TestJSONIsWrittenWithTypes(t *testing.T) {
	it := value.Item{
		{Name: "b", Value: value.OfBinary("\x00\xff")}, {Name: "l", Value: value.OfList([]value.Value{value.Nothing(), value.OfBool(true)})},
		{Name: "m", Value: value.OfMap(value.Item{{Name: "n", Value: number(t, "1e1")}})}, {Name: "s", Value: value.OfString("\"\\\n\x01é")},
	}
	want := `{"b":{"B":"` + base64.StdEncoding.EncodeToString([]byte{0, 255}) + `"},"l":{"L":[{"NULL":true},{"BOOL":true}]},"m":{"M":{"n":{"N":"10"}}},"s":{"S":"\"\\\n\u0001é"}}`
	if diff := cmp.Diff(want, string(value.AppendItemJSON(nil, it))); diff != "" {
		t.Error(diff)
	}
}

func TestAnItemWithAnAttributeLeavesTheOneBeforeAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := items(1).Draw(t, "item")
		name, v := rapid.StringN(1, 3, -1).Draw(t, "name"), values(1).Draw(t, "v")
		before := string(value.AppendItem(nil, it))
		with := it.With(name, v)
		if string(value.AppendItem(nil, it)) != before {
			t.Fatal("it changed")
		}
		if got, ok := with.Get(name); !ok || !value.Equal(got, v) {
			t.Fatal("it is not there")
		}
		without := with.With(name, value.Value{})
		if _, ok := without.Get(name); ok || !value.EqualItems(without, it.With(name, value.Value{})) {
			t.Fatal("it is still there, or more is gone")
		}
	})
}

func FuzzDecodeItem(f *testing.F) {
	f.Add(string(value.AppendItem(nil, value.Item{{Name: "a", Value: value.OfList([]value.Value{value.OfString("x"), value.Nothing()})}})))
	f.Add("\x01\x01a\x0a\x02\x01\x01")
	f.Fuzz(func(t *testing.T, s string) {
		it, err := value.DecodeItem(s)
		if err == nil && string(value.AppendItem(nil, it)) != s {
			t.Fatalf("%x was taken and is written as %x", s, value.AppendItem(nil, it))
		}
	})
}

func FuzzDecodeKey(f *testing.F) {
	f.Add([]byte{0xc1, 2, 0}, byte(value.Number))
	f.Add([]byte("a\x00\x01"), byte(value.String))
	f.Fuzz(func(t *testing.T, b []byte, kind byte) {
		v, rest, err := value.DecodeKey(value.Kind(kind%11), b)
		if err == nil && !bytes.Equal(append(value.AppendKey(nil, v), rest...), b) {
			t.Fatalf("%x was taken and is written as %x", b, append(value.AppendKey(nil, v), rest...))
		}
	})
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"1", "-1.5e-7", "0", "1e125", "9e-130", "000.00100"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := value.ParseDecimal(s)
		if err != nil {
			return
		}
		again, err := value.ParseDecimal(d.String())
		if err != nil || again != d {
			t.Fatalf("%q became %s, and that %s: %v", s, d, again, err)
		}
	})
}
