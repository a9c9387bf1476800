package experiment

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Tolerance says which values of a probe are well. Its forms are those of the
// Chaos Toolkit, and one more: relative, which sets a value against that of the phase before
// anything was broken.
type Tolerance struct {
	Form   string // "equals", "range", "among", "regex", "jsonpath", "probe" or "relative"
	Equals any
	Low    float64
	High   float64
	Among  []any
	Regex  *regexp.Regexp
	Path   Path
	Expect []any // of jsonpath; nil: anything
	Count  *int  // of jsonpath
	Target string
	Probe  *Activity
}

// String says a tolerance in words.
func (t *Tolerance) String() string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	switch t.Form {
	case "equals":
		return "exactly " + said(t.Equals)
	case "range":
		if t.Low == 0 {
			return "at most " + number(t.High)
		}
		return number(t.Low) + " to " + number(t.High)
	case "relative":
		return number(t.Low) + " to " + number(t.High) + " times as before"
	case "among":
		return "one of " + said(t.Among)
	case "regex":
		return "matching " + t.Regex.String()
	case "jsonpath":
		if t.Expect != nil {
			return t.Path.text + " being " + said(t.Expect)
		}
		return t.Path.text + " being there"
	}
	return "accepted by the probe " + t.Probe.Name
}

func said(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// Within says whether a value is well, and if not, what is wrong in words. before is the
// value of the phase before, for relative tolerances. A tolerance that is a probe is not for this
// function: who runs probes asks it.
func (t *Tolerance) Within(value, before any) (bool, string) {
	of := value
	if t.Target != "" {
		if m, ok := value.(map[string]any); ok {
			if v, ok := m[t.Target]; ok {
				of = v
			}
		}
	} else if m, ok := value.(map[string]any); ok && (t.Form == "equals" || t.Form == "range" || t.Form == "among") {
		if v, ok := m["status"]; ok {
			of = v
		}
	}
	ok := false
	switch t.Form {
	case "equals":
		ok = same(of, t.Equals)
	case "range":
		f, isNumber := Number(of)
		ok = isNumber && f >= t.Low && f <= t.High
	case "among":
		for _, a := range t.Among {
			ok = ok || same(of, a)
		}
	case "relative":
		f, one := Number(of)
		was, two := Number(before)
		if !one || !two {
			return false, "there is nothing to set it against"
		}
		ok = was == 0 && f == 0 || was != 0 && f/was >= t.Low && f/was <= t.High
	case "regex":
		ok = t.Regex.MatchString(text(of))
	case "jsonpath":
		return t.path(of)
	}
	if ok {
		return true, ""
	}
	if t.Form == "relative" {
		return false, fmt.Sprintf("it is %s and was %s before; tolerated is %s", short(of), short(before), t)
	}
	return false, fmt.Sprintf("it is %s; tolerated is %s", short(of), t)
}

func (t *Tolerance) path(of any) (bool, string) {
	if s, ok := of.(string); ok {
		var v any
		if json.Unmarshal([]byte(s), &v) == nil {
			of = v
		}
	}
	found := t.Path.Find(of)
	ok := len(found) > 0
	if t.Count != nil {
		ok = len(found) == *t.Count
	}
	if t.Expect != nil {
		ok = len(found) == len(t.Expect)
		for i := range t.Expect {
			ok = ok && same(found[i], t.Expect[i])
		}
	}
	if ok {
		return true, ""
	}
	return false, fmt.Sprintf("%s is %s; tolerated is %s", t.Path.text, short(found), t)
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return said(v)
}

func short(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'g', 4, 64)
	}
	s := said(v)
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:117], "") + "…"
	}
	return s
}

// same compares values as JSON has them: 2 and 2.0 are one.
func same(a, b any) bool {
	if x, ok := Number(a); ok {
		y, ok := Number(b)
		_, aText := a.(string)
		_, bText := b.(string)
		return ok && x == y && aText == bText
	}
	return said(a) == said(b)
}

// Number returns a value as a number, when it is one or is written as one.
func Number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int64:
		return float64(n), true
	case int:
		return float64(n), true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
		return f, err == nil
	}
	return 0, false
}
