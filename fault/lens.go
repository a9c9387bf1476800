package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/pattern"
)

// A Lens is a target that has been compiled: it looks at events.
type Lens struct {
	name    string
	host    *regexp.Regexp // nil: name says it
	matches []match
	pattern *pattern.Pattern
}

type match struct {
	path     []step
	operator string
	value    any
	regex    *regexp.Regexp
}

// A step leads from a value to one within it.
type step struct {
	key   string
	index int // when key is ""
}

// Compile makes the target ready to look at events and hosts.
func (t *Target) Compile() (*Lens, error) {
	l := &Lens{name: t.Host}
	var errs []error
	for i, m := range t.Match {
		c, err := m.compile()
		if err != nil {
			errs = append(errs, fmt.Errorf("target.match[%d]%w", i, err))
		}
		l.matches = append(l.matches, c)
	}
	if t.HostRegex != "" {
		var err error
		if l.host, err = expression(t.HostRegex); err != nil {
			errs = append(errs, fmt.Errorf("target.hostRegex: %w", err))
		}
	}
	if len(t.Pattern) > 0 {
		p, err := pattern.Compile(string(t.Pattern))
		if err != nil {
			errs = append(errs, fmt.Errorf("target.pattern: %s", pattern.Reason(err)))
		}
		l.pattern = p
	}
	return l, errors.Join(errs...)
}

func (m Match) compile() (match, error) {
	c := match{operator: m.Operator, value: m.Value}
	var err error
	if c.path, err = steps(m.Path); err != nil {
		return c, err
	}
	text, isText := m.Value.(string)
	switch m.Operator {
	case "", "eq":
		c.operator = "eq"
		switch m.Value.(type) {
		case string, bool, float64, nil:
		default:
			return c, errors.New(".value: it is no text, number or truth value")
		}
	case "exists":
		if m.Value == nil {
			c.value = true
		} else if _, ok := m.Value.(bool); !ok {
			return c, errors.New(".value: it is not true or false")
		}
	case "startsWith":
		if !isText {
			return c, errors.New(".value: it is no text")
		}
	case "regex":
		if !isText {
			return c, errors.New(".value: it is no text")
		}
		if c.regex, err = expression(text); err != nil {
			return c, fmt.Errorf(".value: %w", err)
		}
	default:
		return c, fmt.Errorf(".operator: %q is none of eq, exists, startsWith, regex", m.Operator)
	}
	return c, nil
}

// expression compiles a regular expression (RE2: it takes time in proportion
// to what it looks at, whatever it is).
func expression(text string) (*regexp.Regexp, error) {
	if len(text) > regexBytesMax {
		return nil, fmt.Errorf("it has more than %d bytes", regexBytesMax)
	}
	e, err := regexp.Compile(text)
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		return nil, fmt.Errorf("%s: %s", bad.Expr, bad.Code)
	}
	return e, err
}

// steps reads "$.a.b[0]['c d']".
func steps(path string) ([]step, error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".")
	var all []step
	bad := fmt.Errorf(".path: %q is no path such as $.detail.items[0].id", path)
	for rest != "" {
		if len(all) == pathStepsMax {
			return nil, bad
		}
		if inner, ok := strings.CutPrefix(rest, "["); ok {
			in, after, ok := strings.Cut(inner, "]")
			if !ok {
				return nil, bad
			}
			if quoted := strings.Trim(in, `'"`); quoted != in && quoted != "" {
				all = append(all, step{key: quoted})
			} else if n, err := strconv.Atoi(in); err == nil && n >= 0 {
				all = append(all, step{index: n})
			} else {
				return nil, bad
			}
			rest = after
		} else {
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return nil, bad
			}
			all = append(all, step{key: rest[:end]})
			rest = rest[end:]
		}
		if r, ok := strings.CutPrefix(rest, "."); ok {
			if rest = r; r == "" {
				return nil, bad
			}
		}
	}
	if len(all) == 0 {
		return nil, bad
	}
	return all, nil
}

// Fits says whether an event is one that is wanted. What is no JSON fits only
// those who do not look.
func (l *Lens) Fits(event []byte) bool {
	if len(l.matches) == 0 && l.pattern == nil {
		return true
	}
	if len(l.matches) > 0 {
		var v any
		if json.Unmarshal(event, &v) != nil {
			return false
		}
		for _, m := range l.matches {
			if !m.holds(v) {
				return false
			}
		}
	}
	if l.pattern != nil {
		v, err := pattern.Parse(event)
		return err == nil && l.pattern.Matches(v)
	}
	return true
}

// Names says whether a host is one that is wanted.
func (l *Lens) Names(host string) bool {
	if l.host != nil {
		return l.host.MatchString(host)
	}
	return Like(l.name, host)
}

func (m *match) holds(v any) bool {
	found := true
	for _, s := range m.path {
		if s.key != "" {
			o, _ := v.(map[string]any)
			v, found = o[s.key]
		} else {
			a, _ := v.([]any)
			if found = s.index < len(a); found {
				v = a[s.index]
			}
		}
		if !found {
			break
		}
	}
	if m.operator == "exists" {
		return found == m.value.(bool)
	}
	if !found {
		return false
	}
	switch m.operator {
	case "eq":
		switch v.(type) {
		case string, bool, float64, nil:
			return v == m.value || written(v) == m.value
		}
		return false
	case "startsWith":
		s, ok := v.(string)
		return ok && strings.HasPrefix(s, m.value.(string))
	default:
		s, ok := v.(string)
		if !ok {
			s = written(v)
		}
		return m.regex.MatchString(s)
	}
}

// written returns a value as it is written: a number without an exponent.
func written(v any) string {
	if n, ok := v.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// Like says whether a name is what is wanted: "" and "*" want every one, and
// "*" within it stands for any text.
func Like(want, name string) bool {
	if want == "" || want == "*" {
		return true
	}
	head, rest, star := strings.Cut(want, "*")
	if !star {
		return want == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		var part string
		part, rest, star = strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
}
