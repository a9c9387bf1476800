package tree

import (
	"encoding/json"
	"strings"
	"testing"
)

func plain(t *testing.T, text string) string {
	t.Helper()
	n, problems := Read("t.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := json.Marshal(n.Value())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestShortTagsAreTheirLongForms(t *testing.T) {
	got := plain(t, "a: !Ref x\nb: !GetAtt [c, d]\ne: !If [f, !Sub '${g}', !Ref h]\ni: !Condition j\n")
	want := `{"a":{"Ref":"x"},"b":{"Fn::GetAtt":["c","d"]},"e":{"Fn::If":["f",{"Fn::Sub":"${g}"},{"Ref":"h"}]},"i":{"Condition":"j"}}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestYAMLAndJSONHavePlaces(t *testing.T) {
	for name, text := range map[string]string{"a.yaml": "a:\n  bé: [x,\n    ü: y]\n", "a.json": "{\"a\":\n  {\"bé\": [\"x\",\n    {\"ü\": \"y\"}]}}"} {
		n, problems := Read(name, []byte(text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		list := n.Get("a").Get("bé")
		want := map[string][3]string{"a.yaml": {"a.yaml:2:3", "a.yaml:2:7", "a.yaml:3:8"}, "a.json": {"a.json:2:4", "a.json:2:10", "a.json:3:11"}}[name]
		got := [3]string{n.Get("a").Field("bé").Pos.String(), list.Pos.String(), list.Items[1].Get("ü").Pos.String()}
		if name == "a.yaml" {
			want[1] = "a.yaml:2:7"
		}
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestAliasesAndMergeKeysAreFollowed(t *testing.T) {
	got := plain(t, "x: &x { a: 1, b: 2 }\ny: { <<: *x, b: 3 }\nz: { <<: [*x, { c: 4 }] }\nw: *x\n")
	want := `{"w":{"a":1,"b":2},"x":{"a":1,"b":2},"y":{"a":1,"b":3},"z":{"a":1,"b":2,"c":4}}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDocumentsThatGrowWithoutBoundAreRefused(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		d := string(rune('0' + i))
		e := string(rune('1' + i))
		bomb += "a" + e + ": &a" + e + " [*a" + d + ", *a" + d + ", *a" + d + ", *a" + d + ", *a" + d + ", *a" + d + ", *a" + d + ", *a" + d + ", *a" + d + "]\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"alias bomb":   {bomb, "more than 200000 values"},
		"alias circle": {"a: &a [*a]\n", "nested deeper than 100 levels"},
		"deep list":    {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested deeper than 100 levels"},
		"deep JSON":    {"{\"a\":" + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "nested deeper than 100 levels"},
		"size":         {"a: " + strings.Repeat("x", BytesMax), "the limit is 1048576"},
	} {
		n, problems := Read("t.yaml", []byte(c.text))
		if n != nil || !strings.Contains(problems.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, problems, c.want)
		}
	}
}

func TestWhatATemplateMayNotContainIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a: !Reff x\n":      "t.yaml:1:4: unknown function !Reff (did you mean Ref?)",
		"a: !!binary x\n":   "the tag !!binary is not supported",
		"? [a]\n: b\n":      "a key must be a string",
		"a: { <<: 5 }\n":    "<< takes a map",
		"a: 1\n---\nb: 2\n": "expected single document",
		"a:\n\tb: c\n":      "YAML is indented with spaces",
		"a: *b\n":           "unknown anchor 'b'",
	} {
		_, problems := Read("t.yaml", []byte(text))
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, problems, want)
		}
	}
	_, problems := Read("t.json", []byte("{\"a\": 1,\n}"))
	if want := "t.json:2:1: Template format error: JSON not well-formed"; !strings.Contains(problems.Error(), want) {
		t.Errorf("got %v, want %q", problems, want)
	}
}

func TestOfDuplicateKeysTheLastCountsAndAWarningNamesBoth(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: 2\na: 3\n":     `t.yaml:3:1: duplicate key "a": this one counts, the one at t.yaml:1:1 does not`,
		"{\"a\": 1,\n \"a\": 3}": `t.yaml:2:2: duplicate key "a": this one counts, the one at t.yaml:1:2 does not`,
	} {
		n, problems := Read("t.yaml", []byte(text))
		if len(problems) != 1 || !problems[0].Warning || !strings.Contains(problems.Error(), want) {
			t.Errorf("%q: got %v, want the warning %q", text, problems, want)
		}
		if got := n.Get("a"); got == nil || got.Text != "3" {
			t.Errorf("%q: a is %v, want 3", text, got)
		}
	}
}

func TestADashAloneIsAValueInAList(t *testing.T) {
	for text, want := range map[string]string{"é: [-, [x, - ], -]\n": `["-",["x","-"],"-"]`, "é: [\"-, \", -]\n": `["-, ","-"]`} {
		n, problems := Read("t.yaml", []byte(text))
		if len(problems) > 0 {
			t.Fatalf("%q: got %v, want none", text, problems)
		}
		if got, err := json.Marshal(n.Get("é").Value()); err != nil || string(got) != want {
			t.Errorf("%q: got %s, %v; want %s", text, got, err, want)
		}
	}
	if _, problems := Read("t.yaml", []byte("a: [`]\n")); !strings.Contains(problems.Error(), "put the value that begins with ` in quotes") {
		t.Errorf("got %v, want a hint to quote", problems)
	}
	if _, problems := Read("t.yaml", []byte("a: ["+strings.Repeat("-,", bareDashesMax+1)+"]\n")); len(problems) == 0 {
		t.Error("got no problem, want a bound on how many dashes are quoted")
	}
}

func TestNearNamesWhatWasMeant(t *testing.T) {
	for word, want := range map[string]string{"Handlr": "Handler", "hanDLER": "Handler", "Timoeut": "Timeout", "Xyz": "", "": ""} {
		got := Near(word, []string{"Handler", "Timeout", "Runtime"})
		if want != "" {
			want = "did you mean " + want + "?"
		}
		if got != want {
			t.Errorf("near %q is %q, want %q", word, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.yaml", []byte("a: !Ref x\nb: &b [*b]\n? [c]\n: {<<: {d: 1}}\n"))
	f.Add("a.json", []byte(`{"a": [1, "\ud83d\ude00", null, true, {"b": -1.5e3}]}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		n, problems := Read(name, data)
		if n == nil && len(problems) == 0 {
			t.Error("no document and no problem")
		}
		n.Value()
	})
}
