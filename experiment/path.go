package experiment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Path is a JSONPath of names, indexes and wildcards: $.a.b, $['a'], $.a[0], $.a[-1],
// $.a[*], $..name. Filters and slices are refused when it is read.
type Path struct {
	text  string
	steps []step
}

type step struct {
	name string
	at   *int
	all  bool // "*"
	deep bool // "..": here or anywhere below
}

// foundMax bounds what a path finds: paths with several ".." may find a lot.
const foundMax = 10_000

// ParsePath reads a path.
func ParsePath(s string) (Path, error) {
	p := Path{text: s}
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), "$")
	if !ok {
		return p, fmt.Errorf("a path begins with $, and %q does not", s)
	}
	for rest != "" {
		var st step
		var err error
		switch {
		case strings.HasPrefix(rest, ".."):
			st.deep, rest = true, rest[2:]
			if strings.HasPrefix(rest, "[") {
				rest, err = st.bracket(rest)
			} else {
				rest, err = st.word(rest)
			}
		case rest[0] == '.':
			rest, err = st.word(rest[1:])
		case rest[0] == '[':
			rest, err = st.bracket(rest)
		default:
			err = fmt.Errorf("%q is not expected there", rest[:1])
		}
		if err != nil {
			return p, fmt.Errorf("the path %q: %w", s, err)
		}
		if p.steps = append(p.steps, st); len(p.steps) > 64 {
			return p, fmt.Errorf("the path %q has more than 64 steps", s)
		}
	}
	return p, nil
}

func (st *step) word(rest string) (string, error) {
	end := strings.IndexAny(rest, ".[")
	if end < 0 {
		end = len(rest)
	}
	switch word := rest[:end]; {
	case word == "":
		return "", fmt.Errorf("a name is missing")
	case word == "*":
		st.all = true
	case strings.ContainsAny(word, "()?@'\" "):
		return "", fmt.Errorf("%q is no name; write ['%s']", word, word)
	default:
		st.name = word
	}
	return rest[end:], nil
}

func (st *step) bracket(rest string) (string, error) {
	if len(rest) > 1 && (rest[1] == '\'' || rest[1] == '"') {
		end := strings.Index(rest[2:], string(rest[1])+"]")
		if end < 0 {
			return "", fmt.Errorf("%s is not closed", rest)
		}
		st.name = rest[2 : 2+end]
		return rest[2+end+2:], nil
	}
	inside, after, ok := strings.Cut(rest[1:], "]")
	if !ok {
		return "", fmt.Errorf("%s is not closed", rest)
	}
	if inside == "*" {
		st.all = true
		return after, nil
	}
	n, err := strconv.Atoi(inside)
	if err != nil {
		return "", fmt.Errorf("[%s] is neither a number, a name in quotes nor *; filters and slices are not supported", inside)
	}
	st.at = &n
	return after, nil
}

// Find returns every value that the path leads to, those of maps in the order of their names.
func (p Path) Find(v any) []any {
	found := []any{v}
	for _, st := range p.steps {
		next := []any{}
		for _, at := range found {
			next = st.take(at, next)
			if len(next) > foundMax {
				return next[:foundMax]
			}
		}
		found = next
	}
	return found
}

func (st step) take(v any, found []any) []any {
	if len(found) > foundMax {
		return found
	}
	switch in := v.(type) {
	case map[string]any:
		if one, ok := in[st.name]; ok && st.name != "" {
			found = append(found, one)
		}
		if !st.all && !st.deep {
			return found
		}
		names := make([]string, 0, len(in))
		for n := range in {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			if st.all {
				found = append(found, in[n])
			}
			if st.deep {
				found = st.take(in[n], found)
			}
		}
	case []any:
		if st.at != nil {
			if i := *st.at; i >= 0 && i < len(in) {
				found = append(found, in[i])
			} else if i < 0 && -i <= len(in) {
				found = append(found, in[len(in)+i])
			}
		}
		for _, one := range in {
			if st.all {
				found = append(found, one)
			}
			if st.deep {
				found = st.take(one, found)
			}
		}
	}
	return found
}
