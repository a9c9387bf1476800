package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/pattern"
)

// A Target says what a fault meets: a function's events, requests to a service
// or connections to a host. Function narrows the latter two to what one
// function asks for. Names may hold "*", which stands for any text.
type Target struct {
	Function string          `json:"function,omitempty"` // its name or logical ID
	Version  string          `json:"version,omitempty"`  // the version that runs: "7", "$LATEST"
	Alias    string          `json:"alias,omitempty"`    // the qualifier it was invoked through
	Match    []Match         `json:"match,omitempty"`    // all of them must hold of the event
	Pattern  json.RawMessage `json:"pattern,omitempty"`  // the event must fit this pattern, written as those of rules

	Service   string `json:"service,omitempty"`   // as requests are signed for
	Operation string `json:"operation,omitempty"` // as the service calls it; any when ""
	Resource  string `json:"resource,omitempty"`  // the name of what it is asked about; any when ""

	Host      string `json:"host,omitempty"`      // outside: "bank.example.com"
	HostRegex string `json:"hostRegex,omitempty"` // an expression that is somewhere in the host's name, instead
	Port      int    `json:"port,omitempty"`      // any when 0
}

// A Match says what one value of an event must be.
type Match struct {
	Path     string `json:"path"`               // "$.detail.items[0].id"; "$." may be left out
	Operator string `json:"operator,omitempty"` // "eq", "exists", "startsWith" or "regex"; "eq" when ""
	Value    any    `json:"value,omitempty"`    // of exists: whether it must, true when left out
}

// A scope is the class of what a target meets.
type scope string

const (
	onFunction scope = "function"
	onService  scope = "service"
	onHost     scope = "host"
)

func (t *Target) scope() scope {
	switch {
	case t.Host != "" || t.HostRegex != "" || t.Port != 0:
		return onHost
	case t.Service != "" || t.Operation != "" || t.Resource != "":
		return onService
	}
	return onFunction
}

// validate says what is wrong with a target for a kind.
func (t *Target) validate(k Kind, r rule) []error {
	var errs []error
	at := t.scope()
	names := make([]string, len(r.targets))
	for i, s := range r.targets {
		names[i] = "target." + string(s)
	}
	switch {
	case !slices.Contains(r.targets, at) && *t.subject() == "":
		errs = append(errs, fmt.Errorf("target: a %s fault needs %s", k, strings.Join(names, " or ")))
	case !slices.Contains(r.targets, at):
		errs = append(errs, fmt.Errorf("target.%s: a %s fault is on %s", at, k, strings.Join(names, " or ")))
	case *t.subject() == "":
		errs = append(errs, fmt.Errorf("target.%s: it is needed (\"*\" is every one)", at))
	}
	if at == onHost && (t.Service != "" || t.Operation != "" || t.Resource != "") {
		errs = append(errs, errors.New("target.service: a target is a host or a service, not both"))
	}
	if t.Host != "" && t.HostRegex != "" {
		errs = append(errs, errors.New("target.hostRegex: a host is named by one of host and hostRegex"))
	}
	if t.Port < 0 || t.Port > 65535 {
		errs = append(errs, fmt.Errorf("target.port: %d is no port", t.Port))
	}
	if (at != onFunction || early(k)) && (t.Version != "" || t.Alias != "") && k != ColdStart && !onPlaces(k) {
		errs = append(errs, fmt.Errorf("target.version, target.alias: a %s fault does not tell versions apart", k))
	}
	if (onPlaces(k) || k == ColdStart) && t.Alias != "" {
		errs = append(errs, errors.New("target.alias: an environment is of a version, whatever it is invoked through"))
	}
	if (at != onFunction || onPlaces(k) || k == ColdStart || k == Concurrency) && (len(t.Match) > 0 || len(t.Pattern) > 0) {
		errs = append(errs, fmt.Errorf("target.match, target.pattern: a %s fault does not look at events", k))
	}
	_, err := t.compile()
	return append(errs, err)
}

// subject is the name that a target must have.
func (t *Target) subject() *string {
	switch t.scope() {
	case onHost:
		if t.HostRegex != "" {
			return &t.HostRegex
		}
		return &t.Host
	case onService:
		return &t.Service
	}
	return &t.Function
}

// early says whether a kind meets events before a version is chosen for them.
func early(k Kind) bool { return k == Throttle || k == Concurrency || k == Duplicate }

// onPlaces says whether a kind meets environments as they are made.
func onPlaces(k Kind) bool { return k == Memory || k == Disk || k == Variable }

// String names what is met: "Charge", "host bank.example.com", "lambda Invoke Charge".
func (t *Target) String() string {
	var text string
	switch t.scope() {
	case onHost:
		text = "host " + t.Host
		if t.HostRegex != "" {
			text += "/" + t.HostRegex + "/"
		}
		if t.Port != 0 {
			text += ":" + strconv.Itoa(t.Port)
		}
	case onService:
		text = strings.Join(slices.DeleteFunc([]string{t.Service, t.Operation, t.Resource}, func(s string) bool { return s == "" }), " ")
	default:
		text = t.Function
		for _, q := range []string{t.Version, t.Alias} {
			if q != "" {
				text += ":" + q
			}
		}
		return text
	}
	if t.Function != "" {
		text += " from " + t.Function
	}
	return text
}

// like says whether a name is what is wanted: "" and "*" want every one, and
// "*" within it stands for any text.
func like(want, name string) bool {
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

// A lens is a target that has been compiled: it looks at events.
type lens struct {
	host    *regexp.Regexp // nil: the target's own
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

func (t *Target) compile() (*lens, error) {
	l := &lens{}
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

// fits says whether an event is one that is wanted. What is no JSON fits only
// those who do not look.
func (l *lens) fits(event []byte) bool {
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
			return v == m.value || fmt.Sprint(v) == m.value
		}
		return false
	case "startsWith":
		s, ok := v.(string)
		return ok && strings.HasPrefix(s, m.value.(string))
	default:
		s, ok := v.(string)
		if !ok {
			s = fmt.Sprint(v)
		}
		return m.regex.MatchString(s)
	}
}

// ParseTarget reads a target in one line: "Charge", "Charge:7" or "Charge:live"
// (a version or an alias), "host:bank.example.com", "host:db.internal:5432",
// "service:lambda/Invoke/Charge" with "*" or nothing for what may be any.
func ParseTarget(text string) (Target, error) {
	var t Target
	if host, ok := strings.CutPrefix(text, "host:"); ok {
		name, port, given := strings.Cut(host, ":")
		t.Host = name
		if given {
			n, err := strconv.Atoi(port)
			if err != nil || n < 1 {
				return t, fmt.Errorf("target: %q is no port", port)
			}
			t.Port = n
		}
		return t, nil
	}
	if service, ok := strings.CutPrefix(text, "service:"); ok {
		parts := strings.SplitN(service, "/", 3)
		t.Service = parts[0]
		if len(parts) > 1 {
			t.Operation = parts[1]
		}
		if len(parts) > 2 {
			t.Resource = parts[2]
		}
		return t, nil
	}
	name, qualifier, _ := strings.Cut(text, ":")
	t.Function = name
	switch {
	case qualifier == "":
	case qualifier == "$LATEST" || strings.Trim(qualifier, "0123456789") == "":
		t.Version = qualifier
	default:
		t.Alias = qualifier
	}
	return t, nil
}
