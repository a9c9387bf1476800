package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
)

// A Place is where an app's names belong.
type Place struct {
	Region  string // "us-east-1"
	Account string // twelve digits
}

// FunctionARN returns the ARN of a function, with the qualifier when there is one.
func (p Place) FunctionARN(t daruma.Target) string {
	return "arn:aws:lambda:" + p.Region + ":" + p.Account + ":function:" + t.String()
}

// FunctionTarget returns the function of this place that an ARN names, with
// its qualifier when the ARN has one, and false for any other ARN.
func (p Place) FunctionTarget(arn string) (daruma.Target, bool) {
	name, ok := strings.CutPrefix(arn, p.FunctionARN(daruma.Target{}))
	function, qualifier, qualified := strings.Cut(name, ":")
	if !ok || function == "" || qualified && (qualifier == "" || strings.Contains(qualifier, ":")) {
		return daruma.Target{}, false
	}
	return daruma.Target{Function: function, Qualifier: qualifier}, true
}

// A View is the catalog at one moment. It never changes and may be read from
// any goroutine; what it returns must not be changed either.
type View struct {
	Place     Place
	functions map[string]map[string]*Function // name → version
	aliases   map[string]map[string]*Alias    // function → alias
	apis      map[string]*API                 // by logical ID
	layers    map[string][]*Layer             // name → versions, ascending
	invokes   map[string]map[string]*EventInvokeConfig
	past      map[string][]*Function // name → revisions that are no more
}

// NewView builds a view of the given records. Two records of one name are a caller's bug; the later wins.
func NewView(place Place, functions []*Function, aliases []*Alias, apis []*API, layers []*Layer) *View {
	v := &View{Place: place, functions: map[string]map[string]*Function{}, aliases: map[string]map[string]*Alias{}, apis: map[string]*API{}, layers: map[string][]*Layer{}}
	for _, f := range functions {
		if v.functions[f.Name] == nil {
			v.functions[f.Name] = map[string]*Function{}
		}
		v.functions[f.Name][f.Version] = f
	}
	for _, a := range aliases {
		if v.aliases[a.Function] == nil {
			v.aliases[a.Function] = map[string]*Alias{}
		}
		v.aliases[a.Function][a.Name] = a
	}
	for _, a := range apis {
		v.apis[a.LogicalID] = a
	}
	for _, l := range layers {
		v.layers[l.Name] = append(v.layers[l.Name], l)
	}
	for _, l := range v.layers {
		slices.SortFunc(l, func(a, b *Layer) int { return a.Version - b.Version })
	}
	return v
}

// Functions returns the Latest of every function, by name.
func (v *View) Functions() []*Function {
	var fs []*Function
	for _, name := range slices.Sorted(maps.Keys(v.functions)) {
		if f := v.functions[name][Latest]; f != nil {
			fs = append(fs, f)
		}
	}
	return fs
}

// Function returns one version of a function, or nil.
func (v *View) Function(name, version string) *Function { return v.functions[name][version] }

// Versions returns every version of a function: Latest first, then ascending numbers.
func (v *View) Versions(name string) []*Function {
	fs := slices.Collect(maps.Values(v.functions[name]))
	slices.SortFunc(fs, func(a, b *Function) int {
		if len(a.Version) != len(b.Version) && a.Version != Latest && b.Version != Latest {
			return len(a.Version) - len(b.Version)
		}
		return strings.Compare(a.Version, b.Version)
	})
	return fs
}

// Alias returns an alias, or nil.
func (v *View) Alias(function, name string) *Alias { return v.aliases[function][name] }

// Aliases returns a function's aliases, by name.
func (v *View) Aliases(function string) []*Alias {
	as := slices.Collect(maps.Values(v.aliases[function]))
	slices.SortFunc(as, func(a, b *Alias) int { return strings.Compare(a.Name, b.Name) })
	return as
}

// APIs returns every API, by logical ID.
func (v *View) APIs() []*API {
	as := slices.Collect(maps.Values(v.apis))
	slices.SortFunc(as, func(a, b *API) int { return strings.Compare(a.LogicalID, b.LogicalID) })
	return as
}

// API returns an API by its logical ID, or nil.
func (v *View) API(logicalID string) *API { return v.apis[logicalID] }

// Layers returns every version of every layer, by name and ascending.
func (v *View) Layers() []*Layer {
	var ls []*Layer
	for _, name := range slices.Sorted(maps.Keys(v.layers)) {
		ls = append(ls, v.layers[name]...)
	}
	return ls
}

// Resolve finds the version that target leads to. An alias with two versions
// leads to its second when draw, a random number in [0,1), is below its
// weight. A target that does not exist is a KindNotFound error.
func (v *View) Resolve(target daruma.Target, draw float64) (*Function, error) {
	version := target.Qualifier
	if version == "" {
		version = Latest
	}
	if a := v.Alias(target.Function, version); a != nil {
		version = a.Version
		if a.Second != "" && draw < a.Weight {
			version = a.Second
		}
	}
	if f := v.Function(target.Function, version); f != nil {
		return f, nil
	}
	return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: target.String(), Err: fmt.Errorf("Function not found: %s", v.Place.FunctionARN(target))}
}
