package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

// Read reads a document of faults: one of ours ([Parse]), or one that a
// fault-injection library is configured with. The latter say nothing of whom
// they are for, so function names it; a document of ours names its own, and
// function must be "" then.
//
// Known are the documents of failure-lambda (0.x: one "failureMode"; 1.x: a
// flag for each failure) and of chaos-lambda ("fault_type"). What is switched
// off in them is left out; when nothing is left that is an error.
func Read(document []byte, function string) ([]Fault, error) {
	var members map[string]json.RawMessage
	var tree any
	if err := decode(document, &tree); err == nil {
		b, _ := json.Marshal(tree) // it was read as JSON is
		_ = json.Unmarshal(b, &members)
	}
	var read func(map[string]json.RawMessage) ([]Fault, error)
	switch {
	case members["failureMode"] != nil:
		read = mode
	case members["fault_type"] != nil:
		read = faultType
	case isFlags(members):
		read = flags
	case members["isEnabled"] != nil && members["file_size"] != nil:
		return nil, foreign(errors.New("the document of the chaos layer of 2019 says nothing of what is to fail: its decorators do"), daruma.KindUnsupported)
	default:
		f, err := Parse(document)
		if err == nil && function != "" {
			err = foreign(errors.New("the document names its own target"), daruma.KindInvalid)
		}
		return []Fault{f}, err
	}
	if function == "" {
		return nil, foreign(errors.New("the document does not say whose faults these are: name a function"), daruma.KindInvalid)
	}
	all, err := read(members)
	if err != nil {
		return nil, foreign(err, daruma.KindInvalid)
	}
	for i := range all {
		all[i].Target.Function = function
		if err := all[i].Validate(); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, foreign(errors.New("all that it has is switched off"), daruma.KindInvalid)
	}
	return all, nil
}

func foreign(err error, kind daruma.Kind) error {
	return &daruma.Error{Op: "read fault", Kind: kind, Err: err}
}

// strictly reads members into v, and refuses others.
func strictly(members map[string]json.RawMessage, v any) error {
	b, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return decode(b, v)
}

func milliseconds(n float64) Duration { return Duration(n * float64(time.Millisecond)) }

// share is a dose; a rate of 0 meets nothing.
func share(rate float64) (Dose, bool) { return Dose{Rate: rate}, rate > 0 }

// mode reads the document of failure-lambda before 1.0.
func mode(members map[string]json.RawMessage) ([]Fault, error) {
	var d struct {
		Enabled    bool     `json:"isEnabled"`
		Mode       string   `json:"failureMode"`
		Rate       float64  `json:"rate"`
		Min        float64  `json:"minLatency"`
		Max        float64  `json:"maxLatency"`
		Message    string   `json:"exceptionMsg"`
		StatusCode int      `json:"statusCode"`
		DiskSpace  int      `json:"diskSpace"`
		Denylist   []string `json:"denylist"`
		Blacklist  []string `json:"blacklist"` // its name before 0.3
	}
	if err := strictly(members, &d); err != nil {
		return nil, err
	}
	dose, some := share(d.Rate)
	if !d.Enabled || !some {
		return nil, nil
	}
	f := Fault{Dose: dose}
	switch d.Mode {
	case "latency":
		f.Kind, f.With = Latency, With{Latency: milliseconds(d.Min), LatencyMax: milliseconds(d.Max)}
	case "exception":
		f.Kind, f.With = Error, With{Code: "Error", Message: d.Message}
	case "statuscode":
		f.Kind, f.With = Status, With{Status: d.StatusCode}
	case "diskspace":
		f.Kind, f.With = Disk, With{FilledMB: d.DiskSpace}
	case "denylist", "blacklist":
		return hosts(Refused, dose, slices.Concat(d.Denylist, d.Blacklist))
	default:
		return nil, fmt.Errorf("failureMode: %q is none of latency, exception, statuscode, diskspace, denylist", d.Mode)
	}
	return []Fault{f}, nil
}

// hosts are faults on the hosts that expressions choose.
func hosts(k Kind, dose Dose, expressions []string) ([]Fault, error) {
	var all []Fault
	for _, e := range expressions {
		if _, err := expression(e); err != nil {
			return nil, fmt.Errorf("denylist: %w", err)
		}
		all = append(all, Fault{Kind: k, Target: Target{HostRegex: e}, Dose: dose})
	}
	return all, nil
}

// faultType reads the document of chaos-lambda.
func faultType(members map[string]json.RawMessage) ([]Fault, error) {
	var d struct {
		Type    string  `json:"fault_type"`
		Delay   float64 `json:"delay"`
		Enabled bool    `json:"is_enabled"`
		Code    int     `json:"error_code"`
		Message string  `json:"exception_msg"`
		Rate    float64 `json:"rate"`
	}
	if err := strictly(members, &d); err != nil {
		return nil, err
	}
	dose, some := share(d.Rate)
	if !d.Enabled || !some {
		return nil, nil
	}
	f := Fault{Dose: dose}
	switch d.Type {
	case "latency":
		f.Kind, f.With = Latency, With{Latency: milliseconds(d.Delay)}
	case "exception":
		f.Kind, f.With = Error, With{Code: "Exception", Message: d.Message}
	case "status_code":
		f.Kind, f.With = Status, With{Status: d.Code, When: "after"}
	default:
		return nil, fmt.Errorf("fault_type: %q is none of latency, exception, status_code", d.Type)
	}
	return []Fault{f}, nil
}

// A flag is one of failure-lambda's since 1.0.
type flag struct {
	Enabled    bool    `json:"enabled"`
	Percentage *int    `json:"percentage"`
	Match      []Match `json:"match"`

	Min       float64  `json:"min_latency"`
	Max       float64  `json:"max_latency"`
	Buffer    float64  `json:"timeout_buffer_ms"`
	DiskSpace int      `json:"disk_space"`
	DenyList  []string `json:"deny_list"`
	Status    int      `json:"status_code"`
	Message   string   `json:"exception_msg"`
	Body      string   `json:"body"`
}

// flagNames are its flags, in the order in which they take effect.
var flagNames = []string{"latency", "timeout", "diskspace", "denylist", "statuscode", "exception", "corruption"}

// isFlags says whether members are flags, or hold them under "values" as a
// profile of feature flags does.
func isFlags(members map[string]json.RawMessage) bool {
	if members["kind"] != nil {
		return false
	}
	if members["values"] != nil && members["flags"] != nil {
		return true
	}
	for name, raw := range members {
		if !slices.Contains(flagNames, name) || !strings.HasPrefix(string(raw), "{") {
			return false
		}
	}
	return len(members) > 0
}

// flags reads the document of failure-lambda since 1.0.
func flags(members map[string]json.RawMessage) ([]Fault, error) {
	if values := members["values"]; values != nil {
		members = nil
		if err := json.Unmarshal(values, &members); err != nil {
			return nil, fmt.Errorf("values: %w", readable(err))
		}
	}
	for name := range members {
		if !slices.Contains(flagNames, name) {
			return nil, fmt.Errorf("%s: there is no such flag; there are %s", name, strings.Join(flagNames, ", "))
		}
	}
	var all []Fault
	for _, name := range flagNames {
		if members[name] == nil {
			continue
		}
		var one flag
		if err := decode(members[name], &one); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		some, err := one.faults(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// faults are what a flag asks for.
func (x *flag) faults(name string) ([]Fault, error) {
	percentage := 100
	if x.Percentage != nil {
		percentage = *x.Percentage
	}
	dose, some := share(float64(percentage) / 100)
	if !x.Enabled || !some {
		return nil, nil
	}
	f := Fault{Dose: dose, Target: Target{Match: x.Match}}
	switch name {
	case "latency":
		f.Kind, f.With = Latency, With{Latency: milliseconds(x.Min), LatencyMax: milliseconds(x.Max)}
	case "timeout":
		if x.Buffer != 0 {
			return nil, errors.New("timeout_buffer_ms: what ends before the deadline is no time-out here; use a latency")
		}
		f.Kind = Timeout
	case "diskspace":
		if len(x.Match) > 0 {
			return nil, errors.New("match: an environment's disk is made before it knows its events")
		}
		f.Kind, f.With = Disk, With{FilledMB: x.DiskSpace}
	case "denylist":
		if len(x.Match) > 0 {
			return nil, errors.New("match: a host is not looked up for one event alone")
		}
		return hosts(DNS, dose, x.DenyList)
	case "statuscode":
		f.Kind, f.With = Status, With{Status: x.Status}
	case "exception":
		f.Kind, f.With = Error, With{Code: "Error", Message: x.Message}
	case "corruption":
		f.Kind, f.With = Corrupt, With{Body: x.Body}
	}
	return []Fault{f}, nil
}
