package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
)

// redactedText stands where a sensitive value was.
const redactedText = "[redacted]"

// stepsMax is how deep a path goes.
const stepsMax = 32

// A step of a path is a member's name, an index, or every one ("*").
type step struct {
	name  string
	index int // -1: a member
	every bool
}

// CheckPath says whether a JSON path can be declared: "$.a.b", "a.b[0]",
// "$.items[*].token", "$['a b']". Filters and recursion are not supported.
func CheckPath(path string) error {
	if _, err := parsePath(path); err != nil {
		return &daruma.Error{Op: "read JSON path", Ref: path, Kind: daruma.KindInvalid, Err: err}
	}
	return nil
}

func parsePath(path string) ([]step, error) {
	rest := strings.TrimPrefix(path, "$")
	if rest == "" {
		return nil, errors.New("it names nothing")
	}
	var steps []step
	for rest != "" {
		if len(steps) == stepsMax {
			return nil, fmt.Errorf("it has more than %d steps", stepsMax)
		}
		if rest[0] == '[' {
			inside, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return nil, errors.New("a bracket is not closed")
			}
			s, err := bracket(inside)
			if err != nil {
				return nil, err
			}
			steps, rest = append(steps, s), after
			continue
		}
		rest = strings.TrimPrefix(rest, ".")
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		if end == 0 {
			return nil, errors.New("a name is empty")
		}
		steps = append(steps, step{name: rest[:end], index: -1, every: rest[:end] == "*"})
		rest = rest[end:]
	}
	return steps, nil
}

func bracket(inside string) (step, error) {
	if inside == "*" {
		return step{index: -1, every: true}, nil
	}
	if n := len(inside); n > 2 && (inside[0] == '\'' || inside[0] == '"') && inside[n-1] == inside[0] {
		return step{name: inside[1 : n-1], index: -1}, nil
	}
	i, err := strconv.Atoi(inside)
	if err != nil || i < 0 {
		return step{}, fmt.Errorf("[%s] is neither an index nor a name in quotes", inside)
	}
	return step{index: i}, nil
}

// visit calls f for every value path leads to; what f returns takes its place.
func visit(v any, path []step, f func(any) any) any {
	if len(path) == 0 {
		return f(v)
	}
	s := path[0]
	switch in := v.(type) {
	case map[string]any:
		if s.every {
			for _, k := range sortedKeys(in) {
				in[k] = visit(in[k], path[1:], f)
			}
		} else if e, ok := in[s.name]; ok && s.index < 0 {
			in[s.name] = visit(e, path[1:], f)
		}
	case []any:
		for i := range in {
			if s.every || i == s.index {
				in[i] = visit(in[i], path[1:], f)
			}
		}
	}
	return v
}

func decode(event []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil, false
	}
	return v, true
}

// redact returns the event without the values the paths lead to, the paths
// that led to something, and the texts that were taken out. An event that is
// not JSON cannot be looked into and is left out as a whole.
func redact(event []byte, paths []string) (clean []byte, hit, texts []string) {
	if len(paths) == 0 || len(event) == 0 {
		return event, nil, nil
	}
	v, ok := decode(event)
	if !ok {
		return []byte(`"` + redactedText + `"`), paths, nil
	}
	for _, p := range paths {
		steps, err := parsePath(p)
		if err != nil {
			continue // checked where it was declared
		}
		found := false
		v = visit(v, steps, func(old any) any {
			found = true
			texts = collect(texts, old)
			return redactedText
		})
		if found {
			hit = append(hit, p)
		}
	}
	if len(hit) == 0 {
		return event, nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // it was JSON
	return bytes.TrimRight(b.Bytes(), "\n"), hit, texts
}

// textMin is how long a value must be to be looked for in messages and logs.
const textMin = 5

// collect adds the texts and numbers in v that are long enough to mean something elsewhere.
func collect(texts []string, v any) []string {
	switch v := v.(type) {
	case string:
		if len(v) >= textMin {
			return append(texts, v)
		}
	case json.Number:
		if len(v) >= textMin {
			return append(texts, v.String())
		}
	case []any:
		for _, e := range v {
			texts = collect(texts, e)
		}
	case map[string]any:
		for _, k := range sortedKeys(v) {
			texts = collect(texts, v[k])
		}
	}
	return texts
}

// Keys returns the values that an event is found by: those that the
// paths lead to and the sensitive ones do not, each once, in order.
func Keys(event []byte, sensitive, paths []string) []string {
	if len(paths) == 0 {
		return nil
	}
	clean, _, _ := redact(event, sensitive)
	values := slices.Compact(slices.Sorted(maps.Values(correlate(clean, paths))))
	return slices.DeleteFunc(values, func(v string) bool { return v == redactedText })
}

// Key returns all of the value that a path leads to in an event: a text, a number or
// a boolean, the last one where there are several.
func Key(event []byte, path string) (key string, ok bool) {
	steps, err := parsePath(path)
	v, is := decode(event)
	if err != nil || !is {
		return "", false
	}
	visit(v, steps, func(old any) any {
		if text, is := plain(old); is {
			key, ok = text, true
		}
		return old
	})
	return key, ok
}

// plain is a text, a number or a boolean as a text.
func plain(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// correlate returns the values the paths lead to: texts, numbers and booleans.
func correlate(event []byte, paths []string) map[string]string {
	if len(paths) == 0 {
		return nil
	}
	v, ok := decode(event)
	if !ok {
		return nil
	}
	found := map[string]string{}
	for _, p := range paths {
		steps, err := parsePath(p)
		if err != nil || len(found) == CorrelationsMax {
			continue
		}
		visit(v, steps, func(old any) any {
			if text, ok := plain(old); ok {
				found[p] = Cut(text, indexedBytesMax)
			}
			return old
		})
	}
	if len(found) == 0 {
		return nil
	}
	return found
}
