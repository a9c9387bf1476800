package pattern_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/pattern"
)

func TestFiltersOfAMappingChooseByWhatARecordCarries(t *testing.T) {
	for _, c := range []struct {
		name, filter, payload string
		want                  bool
	}{
		{"JSON and a pattern for JSON", `{"body":{"a":[1]}}`, `{"a":1}`, true},
		{"JSON that does not match", `{"body":{"a":[1]}}`, `{"a":2}`, false},
		{"a text and a pattern for texts", `{"body":["hello"]}`, `hello`, true},
		{"another text", `{"body":["hello"]}`, `bye`, false},
		{"a text and a pattern for JSON", `{"body":{"a":[1]}}`, `hello`, false},
		{"a text and a pattern for JSON that is absent", `{"body":{"a":[{"exists":false}],"b":[{"exists":true}]}}`, `hello`, false},
		{"JSON and a pattern for texts", `{"body":["hello"]}`, `{"a":1}`, false},
		{"no pattern for the payload", `{"id":["7"]}`, `whatever`, true},
		{"metadata and payload", `{"id":["8"],"body":{"a":[1]}}`, `{"a":1}`, false},
		{"a number as text", `{"body":["42"]}`, `42`, true},
		{"numeric never matches a number as text", `{"body":{"N":[{"numeric":[">",1]}]}}`, `{"N":"42"}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			criteria, err := pattern.CompileCriteria(c.filter)
			if err != nil {
				t.Fatal(err)
			}
			record := parsed(t, `{"id":"7","body":"as it came"}`).With("body", pattern.Payload([]byte(c.payload)))
			if got := criteria.Match(record); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestOneOfTheFiltersSufficesAndNoneWantsAll(t *testing.T) {
	two, err := pattern.CompileCriteria(`{"a":[1]}`, `{"a":[2]}`)
	if err != nil {
		t.Fatal(err)
	}
	none, err := pattern.CompileCriteria()
	if err != nil {
		t.Fatal(err)
	}
	if !two.Match(parsed(t, `{"a":2}`)) || two.Match(parsed(t, `{"a":3}`)) || !none.Match(parsed(t, `{"a":3}`)) {
		t.Error("filters are not or-ed")
	}
}

func TestFiltersOfAMappingKnowNetworks(t *testing.T) {
	c, err := pattern.CompileCriteria(`{"body":{"sourceIPAddress":[{"cidr":"10.0.0.0/24"}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]bool{`{"body":{"sourceIPAddress":"10.0.0.7"}}`: true, `{"body":{"sourceIPAddress":"10.0.1.7"}}`: false} {
		v, err := pattern.Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Match(v); got != want {
			t.Errorf("%s: got %t, want %t", body, got, want)
		}
	}
}

func TestFiltersOfAMappingAreRefused(t *testing.T) {
	for _, filters := range [][]string{
		{`{"a":[{"wildcard":"x*"}]}`}, {`{"a":[{"anything-but":{"wildcard":"x*"}}]}`},
		{`{"a":["` + strings.Repeat("x", 4096) + `"]}`}, {`nonsense`}, make([]string, 11),
	} {
		if _, err := pattern.CompileCriteria(filters...); err == nil {
			t.Errorf("%.60q was taken", filters)
		}
	}
}

func TestAFilterPolicyHasItsLimits(t *testing.T) {
	values := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }
	for _, c := range []struct {
		name, policy string
		scope        pattern.Scope
		want         string
	}{
		{"five keys", `{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1]}`, pattern.Attributes, ""},
		{"six keys", `{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}`, pattern.Attributes, "FilterPolicy: Filter policy can not have more than 5 keys"},
		{"150 combinations", fmt.Sprintf(`{"a":%s,"b":%s}`, values(15), values(10)), pattern.Attributes, ""},
		{"151 combinations", fmt.Sprintf(`{"a":%s}`, values(151)), pattern.Attributes, "FilterPolicy: Filter policy is too complex"},
		{"$or adds", fmt.Sprintf(`{"$or":[{"a":%s},{"b":%s}]}`, values(75), values(75)), pattern.Attributes, ""},
		{"$or adds too much", fmt.Sprintf(`{"$or":[{"a":%s},{"b":%s}]}`, values(75), values(76)), pattern.Attributes, "FilterPolicy: Filter policy is too complex"},
		{"depth counts", fmt.Sprintf(`{"a":{"b":{"c":%s}},"d":{"e":%s},"f":%s}`, values(4), values(3), values(3)), pattern.Body, "FilterPolicy: Filter policy is too complex"},
		{"nested, of the body", `{"a":{"b":[1]}}`, pattern.Body, ""},
		{"nested, of attributes", `{"a":{"b":[1]}}`, pattern.Attributes, "Filter policy scope MessageAttributes does not support nested filter policy"},
		{"nested in $or, of attributes", `{"$or":[{"a":{"b":[1]}},{"c":[1]}]}`, pattern.Attributes, "Filter policy scope MessageAttributes does not support nested filter policy"},
		{"too large", `{"a":["` + strings.Repeat("x", 256_001) + `"]}`, pattern.Attributes, "FilterPolicy: Filter policy is too large"},
		{"no JSON", `{"a":[1]`, pattern.Attributes, "FilterPolicy: failed to parse JSON."},
		{"an operator there is not", `{"key":[{"wrong-operator":true}]}`, pattern.Attributes, "FilterPolicy: Unrecognized match type wrong-operator" + at(`{"key":[{"wrong-operator":true}]}`, 31)},
		{"nothing", `{}`, pattern.Attributes, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := pattern.CompilePolicy(c.policy, c.scope)
			got := ""
			if err != nil {
				got = pattern.Reason(err)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Amazon SNS Developer Guide, "Filter policy scope" and the pages below it.
func TestAFilterPolicyMatchesAttributes(t *testing.T) {
	attributes := pattern.Object(map[string]pattern.Value{
		"store":     pattern.Text("shop"),
		"price":     pattern.Number("100.5"),
		"interests": pattern.Payload([]byte(`["rugby","baseball",7,true,null]`)),
		"dotted.k":  pattern.Text("v"),
	})
	for policy, want := range map[string]bool{
		`{"store":["shop"]}`:                                    true,
		`{"store":[{"anything-but":"shop"}]}`:                   false,
		`{"price":[{"numeric":[">",100,"<=",101]}]}`:            true,
		`{"price":["100.5"]}`:                                   false,
		`{"price":[100.50]}`:                                    true,
		`{"interests":["baseball"]}`:                            true,
		`{"interests":[7]}`:                                     true,
		`{"interests":[null]}`:                                  true,
		`{"interests":[{"anything-but":["rugby"]}]}`:            true,
		`{"interests":["chess"]}`:                               false,
		`{"other":[{"exists":false}]}`:                          true,
		`{"other":[{"anything-but":"x"}]}`:                      false,
		`{"dotted.k":["v"]}`:                                    true,
		`{"$or":[{"store":["x"]},{"price":[{"exists":true}]}]}`: true,
		`{}`: true,
	} {
		p, err := pattern.CompilePolicy(policy, pattern.Attributes)
		if err != nil {
			t.Errorf("%s: %v", policy, err)
			continue
		}
		if got := p.Matches(attributes); got != want {
			t.Errorf("%s: got %v, want %v", policy, got, want)
		}
	}
}
