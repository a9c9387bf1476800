package catalog

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Bounds and defaults of asynchronous invocation (Lambda API Reference, PutFunctionEventInvokeConfig).
const (
	RetriesMax     = 2
	RetriesDefault = 2
	EventAgeMin    = 60 * time.Second
	EventAgeMax    = 6 * time.Hour
)

// What is done about a function that is invoked in a loop (Lambda API
// Reference, PutFunctionRecursionConfig).
const (
	RecursionAllow     = "Allow"
	RecursionTerminate = "Terminate"
)

// An EventInvokeConfig says how asynchronous invocations of one function
// through one qualifier are treated. That of an alias holds for the alias
// only, and so does that of a version: nothing is inherited.
type EventInvokeConfig struct {
	Function  string        `json:"function"`
	Qualifier string        `json:"qualifier"`           // Latest, a version's number or an alias
	Retries   *int          `json:"retries,omitempty"`   // 0 to RetriesMax; nil: RetriesDefault
	MaxAge    time.Duration `json:"maxAgeNs,omitempty"`  // EventAgeMin to EventAgeMax, whole seconds; 0: EventAgeMax
	OnSuccess string        `json:"onSuccess,omitempty"` // the ARN of where the records of events go that ended well; "": nowhere
	OnFailure string        `json:"onFailure,omitempty"` // the same for those that failed for good
	Modified  time.Time     `json:"modified"`
}

// RetriesOrDefault returns how often a failed event is tried again. c may be nil.
func (c *EventInvokeConfig) RetriesOrDefault() int {
	if c == nil || c.Retries == nil {
		return RetriesDefault
	}
	return *c.Retries
}

// MaxAgeOrDefault returns how old an event may become. c may be nil.
func (c *EventInvokeConfig) MaxAgeOrDefault() time.Duration {
	if c == nil || c.MaxAge == 0 {
		return EventAgeMax
	}
	return c.MaxAge
}

func (c *EventInvokeConfig) validate() error {
	ref := c.Function + ":" + c.Qualifier
	switch {
	case !validName(c.Function) || !validName(c.Qualifier):
		return daruma.InvalidAt(ref, "a configuration of asynchronous invocation without a function and a qualifier")
	case c.Retries != nil && (*c.Retries < 0 || *c.Retries > RetriesMax):
		return daruma.InvalidAt(ref, "%d retries", *c.Retries)
	case c.MaxAge != 0 && (c.MaxAge < EventAgeMin || c.MaxAge > EventAgeMax || c.MaxAge%time.Second != 0):
		return daruma.InvalidAt(ref, "a maximum age of %v", c.MaxAge)
	}
	return nil
}

// An EventInvokeWish is a configuration whose qualifier may be named by the
// LogicalID of a Publication.
type EventInvokeWish struct {
	EventInvokeConfig
	VersionID string `json:"versionId,omitempty"`
}

// An EventInvokeChange changes a configuration from outside of the template.
type EventInvokeChange struct {
	Function  string `json:"function"`
	Qualifier string `json:"qualifier"`
	// Merge leaves what is nil here as it is; there must be a configuration
	// then. Without it what is nil is removed.
	Merge     bool           `json:"merge,omitempty"`
	Retries   *int           `json:"retries,omitempty"`
	MaxAge    *time.Duration `json:"maxAgeNs,omitempty"`
	OnSuccess *string        `json:"onSuccess,omitempty"` // "" removes the destination
	OnFailure *string        `json:"onFailure,omitempty"`
	// Delete removes the configuration; there must be one.
	Delete bool `json:"delete,omitempty"`
}

// An eventInvokeRecord is a configuration with what the template said of it.
type eventInvokeRecord struct {
	Config   *EventInvokeConfig `json:"config,omitempty"`   // nil when it was deleted since
	Declared *EventInvokeConfig `json:"declared,omitempty"` // Modified is zero; nil when the template says nothing
}

// putEventInvoke makes the given configurations those that the template asks
// for. One whose declaration did not change stays as it was set since; those
// that were made beside the template stay as long as what they belong to does,
// and those of kept functions in any case.
func putEventInvoke(tx *cell.Tx, given []EventInvokeConfig, keep []string) error {
	declared := map[string]*EventInvokeConfig{}
	for _, c := range given {
		key := string(eventInvokeKey(c.Function, c.Qualifier))
		if declared[key] != nil {
			return daruma.InvalidAt(c.Function+":"+c.Qualifier, "two configurations of asynchronous invocation")
		}
		if !qualifies(tx, c.Function, c.Qualifier) {
			return daruma.InvalidAt(c.Function+":"+c.Qualifier, "a configuration of asynchronous invocation of what does not exist")
		}
		if err := c.validate(); err != nil {
			return err
		}
		c.Modified = time.Time{}
		declared[key] = &c
	}
	for _, r := range all(tx, eventInvokes(), eventInvokePrefix) {
		at := r.Config
		if at == nil {
			at = r.Declared
		}
		key := eventInvokeKey(at.Function, at.Qualifier)
		d := declared[string(key)]
		switch {
		case slices.Contains(keep, at.Function):
		case d != nil && reflect.DeepEqual(d, r.Declared):
			delete(declared, string(key))
		case d == nil && (r.Declared != nil || !qualifies(tx, at.Function, at.Qualifier)):
			tx.Delete(key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(declared)) {
		d := declared[key]
		c := *d
		c.Modified = tx.Now()
		eventInvokes().Put(tx, []byte(key), &eventInvokeRecord{Config: &c, Declared: d})
	}
	return nil
}

// qualifies says whether a qualifier leads to a version of function.
func qualifies(tx *cell.Tx, function, qualifier string) bool {
	return functions().Get(tx, functionKey(function, qualifier)) != nil || aliases().Get(tx, aliasKey(function, qualifier)) != nil
}

// changeEventInvoke applies a change, and returns what is then configured.
func changeEventInvoke(tx *cell.Tx, c EventInvokeChange) (*EventInvokeConfig, error) {
	ref := c.Function + ":" + c.Qualifier
	if !validName(c.Function) || !validName(c.Qualifier) || !qualifies(tx, c.Function, c.Qualifier) {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: ref, Err: errors.New("no such function")}
	}
	key := eventInvokeKey(c.Function, c.Qualifier)
	r := eventInvokes().Get(tx, key)
	if r == nil {
		r = &eventInvokeRecord{}
	}
	if (c.Merge || c.Delete) && r.Config == nil {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: ref, Err: errors.New("it has no configuration of asynchronous invocation")}
	}
	if c.Delete {
		if r.Config = nil; r.Declared == nil {
			tx.Delete(key)
			return nil, nil
		}
		eventInvokes().Put(tx, key, r)
		return nil, nil
	}
	config := EventInvokeConfig{Function: c.Function, Qualifier: c.Qualifier}
	if c.Merge {
		config = *r.Config
	}
	if c.Retries != nil {
		config.Retries = c.Retries
	}
	if c.MaxAge != nil {
		config.MaxAge = *c.MaxAge
	}
	if c.OnSuccess != nil {
		config.OnSuccess = *c.OnSuccess
	}
	if c.OnFailure != nil {
		config.OnFailure = *c.OnFailure
	}
	if err := config.validate(); err != nil {
		return nil, err
	}
	config.Modified = tx.Now()
	r.Config = &config
	eventInvokes().Put(tx, key, r)
	return &config, nil
}

// WithEventInvoke returns a view that is v with these configurations instead of its own.
func (v *View) WithEventInvoke(configs []*EventInvokeConfig) *View {
	out := *v
	out.invokes = map[string]map[string]*EventInvokeConfig{}
	for _, c := range configs {
		if out.invokes[c.Function] == nil {
			out.invokes[c.Function] = map[string]*EventInvokeConfig{}
		}
		out.invokes[c.Function][c.Qualifier] = c
	}
	return &out
}

// EventInvoke returns how asynchronous invocations of a function through a
// qualifier are treated, or nil when nothing is configured for just that
// qualifier. None stands for Latest.
func (v *View) EventInvoke(function, qualifier string) *EventInvokeConfig {
	if qualifier == "" {
		qualifier = Latest
	}
	return v.invokes[function][qualifier]
}

// EventInvokes returns all of a function's configurations, by qualifier.
func (v *View) EventInvokes(function string) []*EventInvokeConfig {
	cs := slices.Collect(maps.Values(v.invokes[function]))
	slices.SortFunc(cs, func(a, b *EventInvokeConfig) int { return strings.Compare(a.Qualifier, b.Qualifier) })
	return cs
}

// Recursion returns what is done when a function is invoked in a loop:
// RecursionAllow or RecursionTerminate, for all of its versions.
func (v *View) Recursion(function string) string {
	if f := v.Function(function, Latest); f != nil && f.Recursion != "" {
		return f.Recursion
	}
	return RecursionTerminate
}

type recursion struct {
	Function string `json:"function"`
	Mode     string `json:"mode"`
}

func setRecursion(tx *cell.Tx, r recursion) error {
	key := functionKey(r.Function, Latest)
	rec := functions().Get(tx, key)
	switch {
	case rec == nil:
		return &daruma.Error{Kind: daruma.KindNotFound, Ref: r.Function, Err: errors.New("no such function")}
	case r.Mode == "" || !validRecursion(r.Mode):
		return daruma.InvalidAt(r.Function, "recursion %q", r.Mode)
	}
	remember(tx, rec.Function)
	rec.Function.Recursion = r.Mode
	rec.Function.Revision = revision(tx)
	functions().Put(tx, key, rec)
	return nil
}

func validRecursion(mode string) bool {
	return mode == "" || mode == RecursionAllow || mode == RecursionTerminate
}
