package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Target says what a fault meets: a function's events, requests to a service,
// connections to a host, a queue's messages, a table's changes or an API's
// answers. Function narrows all but the last to what one function asks for or
// is handed. Names may hold "*", which stands for any text. Host and Service, both
// "*", are every connection, those to the cloud's services and names as well.
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

	Queue string `json:"queue,omitempty"` // its name or logical ID
	Table string `json:"table,omitempty"` // the changes of this table; its name or logical ID
	API   string `json:"api,omitempty"`   // its name, logical ID or ID
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
	onQueue    scope = "queue"
	onTable    scope = "table"
	onAPI      scope = "api"
)

func (t *Target) scope() scope {
	switch {
	case t.Queue != "":
		return onQueue
	case t.Table != "":
		return onTable
	case t.API != "":
		return onAPI
	case t.Host != "" || t.HostRegex != "" || t.Port != 0:
		return onHost
	case t.Service != "" || t.Operation != "" || t.Resource != "":
		return onService
	}
	return onFunction
}

// Outside says whether every connection is met, wherever it leads.
func (t *Target) Outside() bool { return t.Host == "*" && t.Service == "*" }

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
	if t.Outside() && !slices.Contains(r.targets, onService) {
		errs = append(errs, fmt.Errorf("target.service: a %s fault is on target.host", k))
	}
	if many := t.many(); len(many) > 1 {
		errs = append(errs, fmt.Errorf("target.%s: a target is one of %s", many[1], strings.Join(many, ", ")))
	}
	if r.of && t.Function == "" && at != onFunction {
		errs = append(errs, fmt.Errorf("target.function: a %s fault needs the function that asks (\"*\" is every one)", k))
	}
	if at == onAPI && t.Function != "" {
		errs = append(errs, errors.New("target.function: an API's answers are met whichever function gives them"))
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
	if (at != onFunction && k != Poison || onPlaces(k) || k == ColdStart || k == Concurrency) && (len(t.Match) > 0 || len(t.Pattern) > 0) {
		errs = append(errs, fmt.Errorf("target.match, target.pattern: a %s fault does not look at events", k))
	}
	_, err := t.Compile()
	return append(errs, err)
}

// many names the fields of which a target has one.
func (t *Target) many() []string {
	var names []string
	for _, is := range []struct {
		scope scope
		set   bool
	}{{onHost, t.Host != "" || t.HostRegex != "" || t.Port != 0}, {onService, t.Service != "" && !t.Outside() || t.Operation != "" || t.Resource != ""},
		{onQueue, t.Queue != ""}, {onTable, t.Table != ""}, {onAPI, t.API != ""}} {
		if is.set {
			names = append(names, string(is.scope))
		}
	}
	return names
}

// subject is the name that a target must have.
func (t *Target) subject() *string {
	switch t.scope() {
	case onQueue:
		return &t.Queue
	case onTable:
		return &t.Table
	case onAPI:
		return &t.API
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

// String names what is met: "Charge", "host bank.example.com", "lambda Invoke Charge".
func (t *Target) String() string {
	var text string
	switch t.scope() {
	case onHost:
		text = "host " + t.Host
		if t.Outside() {
			text = "all hosts and services"
		}
		if t.HostRegex != "" {
			text += "/" + t.HostRegex + "/"
		}
		if t.Port != 0 {
			text += ":" + strconv.Itoa(t.Port)
		}
	case onQueue:
		text = "queue " + t.Queue
	case onTable:
		text = "changes of " + t.Table
	case onAPI:
		return "API " + t.API
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
	switch {
	case t.Function == "":
	case t.Queue != "" || t.Table != "":
		text += " to " + t.Function
	default:
		text += " from " + t.Function
	}
	return text
}

// ParseTarget reads a target in one line: "Charge", "Charge:7" or "Charge:live"
// (a version or an alias), "host:bank.example.com", "host:db.internal:5432",
// "service:lambda/Invoke/Charge" with "*" or nothing for what may be any,
// "queue:Jobs", "table:Orders" (its changes), "api:Shop".
func ParseTarget(text string) (Target, error) {
	var t Target
	for prefix, name := range map[string]*string{"queue:": &t.Queue, "table:": &t.Table, "api:": &t.API} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			*name = rest
			return t, nil
		}
	}
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
