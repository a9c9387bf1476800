package pattern_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/pattern"
)

func parsed(t testing.TB, s string) pattern.Value {
	t.Helper()
	v, err := pattern.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// The table of Amazon EventBridge User Guide, "Comparison operators", and of
// what is commonly got wrong about them.
var matches = []struct {
	name, pattern, event string
	want                 bool
}{
	{"a value", `{"a":["x"]}`, `{"a":"x"}`, true},
	{"another value", `{"a":["x"]}`, `{"a":"y"}`, false},
	{"one of two values", `{"a":["x","y"]}`, `{"a":"y"}`, true},
	{"all keys must hold", `{"a":["x"],"b":["y"]}`, `{"a":"x","b":"z"}`, false},
	{"keys that are not asked for do not matter", `{"a":["x"]}`, `{"a":"x","b":1}`, true},
	{"keys have case", `{"A":["x"]}`, `{"a":"x"}`, false},
	{"values have case", `{"a":["X"]}`, `{"a":"x"}`, false},
	{"nested", `{"a":{"b":{"c":["x"]}}}`, `{"a":{"b":{"c":"x"}}}`, true},
	{"JSON within a text is no object", `{"a":{"b":["x"]}}`, `{"a":"{\"b\":\"x\"}"}`, false},
	{"null", `{"a":[null]}`, `{"a":null}`, true},
	{"null is not absence", `{"a":[null]}`, `{}`, false},
	{"null is no empty array", `{"a":[null]}`, `{"a":[]}`, false},
	{"the empty text", `{"a":[""]}`, `{"a":""}`, true},
	{"the empty text is not null", `{"a":[""]}`, `{"a":null}`, false},
	{"true", `{"a":[true]}`, `{"a":true}`, true},
	{"true is no text", `{"a":[true]}`, `{"a":"true"}`, false},
	{"a number", `{"a":[300]}`, `{"a":300}`, true},
	{"a number written otherwise", `{"a":[300]}`, `{"a":300.0}`, true},
	{"a number with an exponent", `{"a":[300]}`, `{"a":3.0e2}`, true},
	{"a number is no text", `{"a":[1]}`, `{"a":"1"}`, false},
	{"a text is no number", `{"a":["1"]}`, `{"a":1}`, false},
	{"numbers are exact", `{"a":[123456789012345678901]}`, `{"a":123456789012345678902}`, false},
	{"escapes are read", `{"a":["\u00e9"]}`, `{"a":"é"}`, true},

	{"prefix", `{"a":[{"prefix":"ab"}]}`, `{"a":"abc"}`, true},
	{"not the prefix", `{"a":[{"prefix":"ab"}]}`, `{"a":"bab"}`, false},
	{"the empty prefix", `{"a":[{"prefix":""}]}`, `{"a":"x"}`, true},
	{"prefix is for texts", `{"a":[{"prefix":"1"}]}`, `{"a":12}`, false},
	{"prefix in any case", `{"a":[{"prefix":{"equals-ignore-case":"AB"}}]}`, `{"a":"aBc"}`, true},
	{"prefix in any case, longer than the value", `{"a":[{"prefix":{"equals-ignore-case":"ABCD"}}]}`, `{"a":"abc"}`, false},
	{"suffix", `{"a":[{"suffix":".png"}]}`, `{"a":"x.png"}`, true},
	{"not the suffix", `{"a":[{"suffix":".png"}]}`, `{"a":"x.png2"}`, false},
	{"suffix in any case", `{"a":[{"suffix":{"equals-ignore-case":".PNG"}}]}`, `{"a":"x.png"}`, true},
	{"equals-ignore-case", `{"a":[{"equals-ignore-case":"aLiCe"}]}`, `{"a":"Alice"}`, true},
	{"not equals-ignore-case", `{"a":[{"equals-ignore-case":"alice"}]}`, `{"a":"alicia"}`, false},

	{"anything-but a text", `{"a":[{"anything-but":"x"}]}`, `{"a":"y"}`, true},
	{"anything-but this text", `{"a":[{"anything-but":"x"}]}`, `{"a":"x"}`, false},
	{"anything-but matches null", `{"a":[{"anything-but":"x"}]}`, `{"a":null}`, true},
	{"anything-but matches another type", `{"a":[{"anything-but":"1"}]}`, `{"a":1}`, true},
	{"anything-but does not match absence", `{"a":[{"anything-but":"x"}]}`, `{}`, false},
	{"anything-but a list", `{"a":[{"anything-but":["x","y"]}]}`, `{"a":"y"}`, false},
	{"anything-but numbers", `{"a":[{"anything-but":[1,2]}]}`, `{"a":3}`, true},
	{"anything-but these numbers", `{"a":[{"anything-but":[1,2]}]}`, `{"a":2.0}`, false},
	{"anything-but zero", `{"a":[{"anything-but":0}]}`, `{"a":-0.0}`, false},
	{"anything-but of an array: one other element suffices", `{"a":[{"anything-but":["x"]}]}`, `{"a":["x","y"]}`, true},
	{"anything-but prefix", `{"a":[{"anything-but":{"prefix":"in"}}]}`, `{"a":"out"}`, true},
	{"anything-but this prefix", `{"a":[{"anything-but":{"prefix":"in"}}]}`, `{"a":"init"}`, false},
	{"anything-but prefixes", `{"a":[{"anything-but":{"prefix":["in","out"]}}]}`, `{"a":"outer"}`, false},
	{"anything-but suffix", `{"a":[{"anything-but":{"suffix":".txt"}}]}`, `{"a":"x.png"}`, true},
	{"anything-but these suffixes", `{"a":[{"anything-but":{"suffix":[".txt",".png"]}}]}`, `{"a":"x.png"}`, false},
	{"anything-but in any case", `{"a":[{"anything-but":{"equals-ignore-case":"init"}}]}`, `{"a":"INIT"}`, false},
	{"anything-but wildcard", `{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}`, `{"a":"a/lib/b"}`, false},
	{"anything-but wildcards", `{"a":[{"anything-but":{"wildcard":["*/lib/*","*/bin/*"]}}]}`, `{"a":"a/etc/b"}`, true},

	{"numeric =", `{"a":[{"numeric":["=",3.018e2]}]}`, `{"a":301.8}`, true},
	{"numeric >", `{"a":[{"numeric":[">",0]}]}`, `{"a":0}`, false},
	{"numeric >=", `{"a":[{"numeric":[">=",0]}]}`, `{"a":0}`, true},
	{"numeric <", `{"a":[{"numeric":["<",10]}]}`, `{"a":9.999}`, true},
	{"numeric < does not include", `{"a":[{"numeric":["<",10]}]}`, `{"a":10}`, false},
	{"numeric range", `{"a":[{"numeric":[">",0,"<=",5]}]}`, `{"a":5}`, true},
	{"above a numeric range", `{"a":[{"numeric":[">",0,"<=",5]}]}`, `{"a":5.000001}`, false},
	{"numeric negative", `{"a":[{"numeric":[">=",-2,"<",-1]}]}`, `{"a":-1.5}`, true},
	{"numeric is not for texts", `{"a":[{"numeric":[">",0]}]}`, `{"a":"5"}`, false},
	{"numeric is not for null", `{"a":[{"numeric":["<",1]}]}`, `{"a":null}`, false},
	{"a huge exponent is a number", `{"a":[{"numeric":["<",1]}]}`, `{"a":1e-99999999999999999999}`, true},

	{"exists", `{"a":[{"exists":true}]}`, `{"a":null}`, true},
	{"does not exist", `{"a":[{"exists":true}]}`, `{"b":1}`, false},
	{"exists looks at leaves: an object is none", `{"a":[{"exists":true}]}`, `{"a":{"b":1}}`, false},
	{"exists looks at leaves: an empty array is none", `{"a":[{"exists":true}]}`, `{"a":[]}`, false},
	{"exists false", `{"a":[{"exists":false}]}`, `{"b":1}`, true},
	{"exists false, and it does", `{"a":[{"exists":false}]}`, `{"a":1}`, false},
	{"exists false below a parent that is missing", `{"a":{"b":{"c":[{"exists":false}]}}}`, `{"x":1}`, true},
	{"exists false looks at all elements", `{"a":{"b":[{"exists":false}]}}`, `{"a":[{"b":1},{"c":2}]}`, false},
	{"exists false beside another", `{"a":[{"anything-but":["x"]},{"exists":false}]}`, `{}`, true},

	{"cidr", `{"a":[{"cidr":"10.0.0.0/24"}]}`, `{"a":"10.0.0.255"}`, true},
	{"outside of a cidr", `{"a":[{"cidr":"10.0.0.0/24"}]}`, `{"a":"10.0.1.0"}`, false},
	{"cidr of six", `{"a":[{"cidr":"2001:db8::/32"}]}`, `{"a":"2001:db8:1::1"}`, true},
	{"cidr and what is no address", `{"a":[{"cidr":"0.0.0.0/0"}]}`, `{"a":"x"}`, false},

	{"wildcard", `{"a":[{"wildcard":"dir/*.png"}]}`, `{"a":"dir/a/b.png"}`, true},
	{"wildcards", `{"a":[{"wildcard":"*/dir/*"}]}`, `{"a":"a/dir/b"}`, true},
	{"wildcard that repeats", `{"a":[{"wildcard":"*Foo*Foo"}]}`, `{"a":"xFooyFooz"}`, false},
	{"wildcard whose end may not overlap", `{"a":[{"wildcard":"ab*ba"}]}`, `{"a":"aba"}`, false},
	{"wildcard with a star", `{"a":[{"wildcard":"a\\*b"}]}`, `{"a":"a*b"}`, true},
	{"a star that is none", `{"a":[{"wildcard":"a\\*b"}]}`, `{"a":"axb"}`, false},
	{"the empty wildcard", `{"a":[{"wildcard":""}]}`, `{"a":"x"}`, false},

	{"an array in the event", `{"a":["x"]}`, `{"a":["z","x"]}`, true},
	{"arrays that do not meet", `{"a":["x"]}`, `{"a":["z"]}`, false},
	{"an array of objects", `{"a":{"b":[1],"c":[2]}}`, `{"a":[{"b":3},{"b":1,"c":2}]}`, true},
	{"one branch is found in one element", `{"a":{"b":[1],"c":[2]}}`, `{"a":[{"b":1},{"c":2}]}`, false},

	{"a dot in the event's key", `{"d":{"a":{"b":["x"]}}}`, `{"d":{"a.b":"x"}}`, true},
	{"a dot in the pattern's key", `{"d":{"a.b":["x"]}}`, `{"d":{"a":{"b":"x"}}}`, true},
	{"a dot, and the name again", `{"d":{"a":{"b":["x"]}}}`, `{"d":{"a.b":{"b":"x"}}}`, false},
	{"a dot beside what it joins", `{"d":{"a":{"b":["x"],"c":["y"]}}}`, `{"d":{"a.b":"x","a":{"c":"y"}}}`, true},

	{"$or, the first", `{"$or":[{"a":[1]},{"b":[2]}]}`, `{"a":1}`, true},
	{"$or, the second", `{"$or":[{"a":[1]},{"b":[2]}]}`, `{"a":3,"b":2}`, true},
	{"$or, none", `{"$or":[{"a":[1]},{"b":[2]}]}`, `{"a":2,"b":1}`, false},
	{"$or and a key", `{"k":["x"],"$or":[{"a":[1]},{"b":[2]}]}`, `{"a":1}`, false},
	{"$or within an object", `{"d":{"$or":[{"a":[1]},{"b":[2]}]}}`, `{"d":{"b":2}}`, true},
	{"$or within $or", `{"$or":[{"a":[1]},{"$or":[{"b":[2]},{"c":[3]}]}]}`, `{"c":3}`, true},
	{"$or of what branches of one array hold", `{"d":{"$or":[{"a":[1]},{"b":[2]}],"c":[3]}}`, `{"d":[{"a":1},{"c":3}]}`, false},
}

func TestAPatternMatchesWhatTheGuideSays(t *testing.T) {
	for _, c := range matches {
		t.Run(c.name, func(t *testing.T) {
			p, err := pattern.Compile(c.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Matches(parsed(t, c.event)); got != c.want {
				t.Errorf("%s with %s: got %v, want %v", c.pattern, c.event, got, c.want)
			}
		})
	}
}

// As the services answer them; the places as their JSON reader counts.
var refusals = []struct{ pattern, want string }{
	{`{"a":"x"}`, `"a" must be an object or an array` + at(`{"a":"x"}`, 7)},
	{`{"a":1}`, `"a" must be an object or an array` + at(`{"a":1}`, 7)},
	{`{"a":[]}`, "Empty arrays are not allowed" + at(`{"a":[]}`, 8)},
	{`{}`, "Empty objects are not allowed" + at(`{}`, 3)},
	{`["not", "a", "dict"]`, "Filter is not an object" + at(`["not", "a", "dict"]`, 2)},
	{`this is no JSON`, "Unrecognized token 'this': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')" + at(`this is no JSON`, 5)},
	{`{'bad': 'quotation'}`, "Unexpected character (''' (code 39)): was expecting double-quote to start field name" + at(`{'bad': 'quotation'}`, 2)},
	{`{"not": closed mark"`, "Unrecognized token 'closed': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')" + at(`{"not": closed mark"`, 15)},
	{`{"key":[["value"]]}`, "Match value must be String, number, true, false, or null" + at(`{"key":[["value"]]}`, 10)},
	{`{"key":[{"wrong-operator":true}]}`, "Unrecognized match type wrong-operator" + at(`{"key":[{"wrong-operator":true}]}`, 31)},
	{`{"key":[{"suffix":"value","prefix":"value2"}]}`, "Only one key allowed in match expression" + at(`{"key":[{"suffix":"value","prefix":"value2"}]}`, 37)},
	{`{"key":[{"suffix":100}]}`, "suffix match pattern must be a string" + at(`{"key":[{"suffix":100}]}`, 22)},
	{`{"key":[{"suffix":[]}]}`, "suffix match pattern must be a string" + at(`{"key":[{"suffix":[]}]}`, 20)},
	{`{"key":{"suffix":"value"}}`, `"suffix" must be an object or an array` + at(`{"key":{"suffix":"value"}}`, 19)},
	{`{"key":[{"equals-ignore-case":["a"]}]}`, "equals-ignore-case match pattern must be a string" + at(`{"key":[{"equals-ignore-case":["a"]}]}`, 32)},
	{`{"key":[{"EXISTS":true}]}`, "Unrecognized match type EXISTS" + at(`{"key":[{"EXISTS":true}]}`, 23)},
	{`{"key":[{"exists":null}]}`, "exists match pattern must be either true or false." + at(`{"key":[{"exists":null}]}`, 23)},
	{`{"key":[{"exists":"no"}]}`, "exists match pattern must be either true or false." + at(`{"key":[{"exists":"no"}]}`, 20)},
	{`{"key":[{"cidr":["bad"]}]}`, "prefix match pattern must be a string" + at(`{"key":[{"cidr":["bad"]}]}`, 18)},
	{`{"key":[{"cidr":"bad-filter"}]}`, "Malformed CIDR, one '/' required"},
	{`{"key":[{"cidr":"xx.11.xx/8"}]}`, "Nonstandard IP address: xx.11.xx"},
	{`{"key":[{"cidr":"10.0.0.0/x"}]}`, "Malformed CIDR, mask bits must be an integer"},
	{`{"key":[{"cidr":"bad-/filter"}]}`, "Malformed CIDR, mask bits must be an integer"},
	{`{"key":[{"cidr":"10.0.0.0/33"}]}`, "IPv4 mask bits must be < 32"},
	{`{"key":[{"cidr":"10.0.0.0/-1"}]}`, "Malformed CIDR, mask bits must not be negative"},
	{`{"key":[{"numeric":[]}]}`, "Invalid member in numeric match: ]" + at(`{"key":[{"numeric":[]}]}`, 22)},
	{`{"key":[{"numeric":["operator"]}]}`, "Unrecognized numeric range operator: operator" + at(`{"key":[{"numeric":["operator"]}]}`, 32)},
	{`{"key":[{"numeric":[1,"<="]}]}`, "Invalid member in numeric match: 1" + at(`{"key":[{"numeric":[1,"<="]}]}`, 22)},
	{`{"key":[{"numeric":["=","000"]}]}`, "Value of equals must be numeric" + at(`{"key":[{"numeric":["=","000"]}]}`, 26)},
	{`{"key":[{"numeric":[">="]}]}`, "Value of >= must be numeric" + at(`{"key":[{"numeric":[">="]}]}`, 26)},
	{`{"key":[{"numeric":["<",100,">",10]}]}`, "Too many elements in numeric expression" + at(`{"key":[{"numeric":["<",100,">",10]}]}`, 30)},
	{`{"key":[{"numeric":[">=",1,">",2]}]}`, "Bad numeric range operator: >" + at(`{"key":[{"numeric":[">=",1,">",2]}]}`, 31)},
	{`{"key":[{"numeric":[">",3,"<",1]}]}`, "Bottom must be less than top" + at(`{"key":[{"numeric":[">",3,"<",1]}]}`, 33)},
	{`{"key":[{"numeric":[">",20,"<="]}]}`, "Value of <= must be numeric" + at(`{"key":[{"numeric":[">",20,"<="]}]}`, 33)},
	{`{"key":[{"numeric":[">",20,30]}]}`, "Bad value in numeric range: 30" + at(`{"key":[{"numeric":[">",20,30]}]}`, 30)},
	{`{"key":[{"numeric":[">",20,"test"]}]}`, "Bad numeric range operator: test" + at(`{"key":[{"numeric":[">",20,"test"]}]}`, 34)},
	{`{"key":[{"numeric":[">",20,"<","30"]}]}`, "Value of < must be numeric" + at(`{"key":[{"numeric":[">",20,"<","30"]}]}`, 33)},
	{`{"key":[{"numeric":[">",20,"<",30,"<",50]}]}`, "Too many terms in numeric range expression" + at(`{"key":[{"numeric":[">",20,"<",30,"<",50]}]}`, 36)},
	{`{"key":[{"anything-but":{"wrong-operator":null}}]}`, "Unsupported anything-but pattern: wrong-operator" + at(`{"key":[{"anything-but":{"wrong-operator":null}}]}`, 47)},
	{`{"key":[{"anything-but":{"prefix":""}}]}`, "Null prefix/suffix not allowed" + at(`{"key":[{"anything-but":{"prefix":""}}]}`, 37)},
	{`{"key":[{"anything-but":{"prefix":["a",1]}}]}`, "prefix/suffix match pattern must be a string" + at(`{"key":[{"anything-but":{"prefix":["a",1]}}]}`, 41)},
	{`{"key":[{"anything-but":{"equals-ignore-case":1}}]}`, "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported." + at(`{"key":[{"anything-but":{"equals-ignore-case":1}}]}`, 48)},
	{`{"key":[{"anything-but":null}]}`, "Value of anything-but must be an array or single string/number value." + at(`{"key":[{"anything-but":null}]}`, 29)},
	{`{"key":[{"anything-but":["a",1]}]}`, "Inside anything but list, either all values are number or string, mixed type is not supported" + at(`{"key":[{"anything-but":["a",1]}]}`, 32)},
	{`{"key":[{"anything-but":[null]}]}`, "Inside anything but list, start|null|boolean is not supported." + at(`{"key":[{"anything-but":[null]}]}`, 30)},
	{`{"key":[{"wildcard":"a**b"}]}`, "Consecutive wildcard characters at pos 2" + at(`{"key":[{"wildcard":"a**b"}]}`, 27)},
	{`{"key":[{"wildcard":"a\\b"}]}`, "Invalid escape character at pos 2" + at(`{"key":[{"wildcard":"a\\b"}]}`, 27)},
	{`{"$or":[{"a":[1]}]}`, "There must have at least 2 Objects in $or relationship." + at(`{"$or":[{"a":[1]}]}`, 19)},
	{`{"$or":{"a":[1]}}`, "It must be an Array followed with $or." + at(`{"$or":{"a":[1]}}`, 9)},
	{`{"$or":[1,2]}`, "Only JSON object is allowed in array of $or relationship." + at(`{"$or":[1,2]}`, 10)},
	{`{"$or":[{"prefix":["x"]},{"b":[1]}]}`, "prefix is Ruler reserved fieldName which cannot be used inside $or." + at(`{"$or":[{"prefix":["x"]},{"b":[1]}]}`, 20)},
}

func at(pattern string, column int) string {
	return fmt.Sprintf("\n at [Source: (String)\"%s\"; line: 1, column: %d]", pattern, column)
}

func TestAPatternThatIsNotValidIsRefusedInTheServicesWords(t *testing.T) {
	for _, c := range refusals {
		_, err := pattern.Compile(c.pattern)
		if daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v, want an error of KindInvalid", c.pattern, err)
			continue
		}
		if got := pattern.Reason(err); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.pattern, got, c.want)
		}
	}
}

func TestAPatternThatEndsTooEarlyOrTooLateIsRefused(t *testing.T) {
	whole := `{"a":[{"numeric":[">",1,"<",2]},{"anything-but":{"prefix":"x"}},true],"b":{"c":["\u00e9"]}}`
	if _, err := pattern.Compile(whole); err != nil {
		t.Fatal(err)
	}
	for i := range len(whole) {
		if _, err := pattern.Compile(whole[:i]); daruma.KindOf(err) != daruma.KindInvalid || err == nil {
			t.Errorf("%s: got %v, want an error", whole[:i], err)
		}
	}
	for _, more := range []string{whole + "x", whole + "{}", `{"a":[1],}`, `{"a":[1,]}`, `{,}`, `{"a" [1]}`, `{"a":[1]]`, `{"a":[01]}`, `{"a":[-]}`} {
		if _, err := pattern.Compile(more); err == nil {
			t.Errorf("%s: got no error", more)
		}
	}
}

func TestWhatIsTooComplexIsRefused(t *testing.T) {
	one := `"$or":[{"a":[1]},{"b":[1]},{"c":[1]}]`
	if _, err := pattern.Compile("{" + one + strings.Repeat(","+one, 5) + "}"); err != nil {
		t.Errorf("729 combinations: %v", err)
	}
	if _, err := pattern.Compile("{" + one + strings.Repeat(","+one, 6) + "}"); err == nil || !strings.Contains(pattern.Reason(err), "too complex") {
		t.Errorf("2187 combinations: got %v", err)
	}
	if _, err := pattern.Compile(strings.Repeat(`{"a":`, 2000)); err == nil {
		t.Error("a pattern of 2000 levels was taken")
	}
	if _, err := pattern.Compile(`{"a":["` + strings.Repeat("x", pattern.RuleCharactersMax) + `"]}`); err == nil {
		t.Error("a pattern that is too long was taken")
	}
}

func TestHostilePatternsAndEventsTakeBoundedTime(t *testing.T) {
	begin := time.Now()
	stars := `{"a":[{"wildcard":"` + strings.Repeat("*a", 500) + `*b"}]}`
	p, err := pattern.Compile(stars)
	if err != nil {
		t.Fatal(err)
	}
	if p.Matches(pattern.Object(map[string]pattern.Value{"a": pattern.Text(strings.Repeat("a", 1<<20))})) {
		t.Error("a text without b matched")
	}
	deep, err := pattern.Compile(`{"a":{"a":{"a":{"a":[1],"b":[1]},"b":{"c":[1]}},"b":[{"exists":false}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	wide := `[` + strings.TrimSuffix(strings.Repeat(`{"a":[{"a":[{"a":1},{"b":2}]}],"b":3},`, 20_000), ",") + `]`
	if deep.Matches(parsed(t, `{"a":`+wide+`}`)) {
		t.Error("matched across elements")
	}
	nested := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	deep.Matches(parsed(t, `{"a":`+nested+`}`))
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestNothingIsMatchedByNothing(t *testing.T) {
	var p pattern.Pattern
	if p.Matches(parsed(t, `{"a":1}`)) {
		t.Error("the zero pattern matched")
	}
}
