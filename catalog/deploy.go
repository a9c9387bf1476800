package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

const (
	machineName        = "catalog"
	commandDeploy      = "deploy"
	commandReserve     = "reserve"
	commandRecursion   = "recursion"
	commandTag         = "tag"
	commandEventInvoke = "event invoke"
)

// A Deployment is everything an app should consist of.
type Deployment struct {
	// Functions as they should be, each as its Latest. Modified and Revision
	// are given by the catalog. A layer with Version 0 stands for the newest
	// of its name in this deployment.
	Functions []*Function `json:"functions,omitempty"`
	// Keep names functions that stay as they are, with their versions,
	// aliases and configurations: of these the deployment says nothing else.
	Keep []string `json:"keep,omitempty"`
	// Layers with their content. Their versions are given by the catalog: the
	// newest stays when its content is the same.
	Layers []*Layer `json:"layers,omitempty"`
	// Publish says which functions get a new version when they have changed.
	Publish []Publication `json:"publish,omitempty"`
	// Aliases that lead to given versions. Those of Publish are added.
	Aliases []*AliasWish `json:"aliases,omitempty"`
	APIs    []*API       `json:"apis,omitempty"`
	// EventInvoke says how asynchronous invocations are treated.
	EventInvoke []*EventInvokeWish `json:"eventInvoke,omitempty"`
	// Needed names revisions, by function, that are to be known for longer
	// than they are in force. Of others only the last few are.
	Needed map[string][]string `json:"needed,omitempty"`
}

// A Publication asks for a new version of a function when it has changed
// since the last one, and for an alias to lead there.
type Publication struct {
	Function    string `json:"function"`
	Alias       string `json:"alias,omitempty"`
	Description string `json:"description,omitempty"`
	// Configuration asks for a new version when only configuration has changed, too.
	Configuration bool `json:"configuration,omitempty"`
	// Key, when not "", stands for the code: a new version is made when it
	// changes, whatever the code is.
	Key string `json:"key,omitempty"`
	// LogicalID, when not "", asks for one version that stays as long as this
	// ID is deployed, whatever becomes of the function.
	LogicalID string `json:"logicalId,omitempty"`
}

// An AliasWish is an alias whose versions may be named by the LogicalID of a Publication.
type AliasWish struct {
	Alias
	VersionID string `json:"versionId,omitempty"`
	SecondID  string `json:"secondId,omitempty"`
}

// Changes is what a deployment changed, by name.
type Changes struct {
	Created, Updated, Removed []string // functions
	Published                 []string // "Orders:3"
}

// Any says whether a function changed.
func (c Changes) Any() bool { return len(c.Created)+len(c.Updated)+len(c.Removed)+len(c.Published) > 0 }

type reservation struct {
	Function string `json:"function"`
	Reserved *int   `json:"reserved"`
}

// Machine applies the catalog's commands; it is one of the machines of the cell it lies in.
type Machine struct{}

// Name is the machine's name in its cell.
func (Machine) Name() string { return machineName }

// Apply takes one step.
func (Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) { return commands.Apply(tx, cmd) }

// commands is what the catalog can be asked for.
var commands = cell.Commands[*cell.Tx]{
	commandDeploy:      cell.Answering(deploy),
	commandRecursion:   cell.Doing(setRecursion),
	commandTag:         cell.Doing(tag),
	commandEventInvoke: cell.Answering(changeEventInvoke),
	commandReserve:     cell.Doing(reserve),
}

func deploy(tx *cell.Tx, d Deployment) (Changes, error) {
	if err := d.validate(); err != nil {
		return Changes{}, err
	}
	for _, name := range d.Keep {
		if functions().Get(tx, functionKey(name, Latest)) == nil {
			return Changes{}, daruma.InvalidAt(name, "it cannot stay as it is: it does not exist")
		}
	}
	forgetUnneeded(tx, d.Needed)
	versions := putLayers(tx, d.Layers)
	var c Changes
	for _, f := range d.Functions {
		if err := putFunction(tx, *f, versions, &c); err != nil {
			return Changes{}, err
		}
	}
	wanted := make([]Alias, 0, len(d.Aliases))
	named := map[string]string{}
	for _, p := range d.Publish {
		version := publish(tx, p, &c)
		named[p.LogicalID] = version
		if p.Alias != "" {
			wanted = append(wanted, Alias{Function: p.Function, Name: p.Alias, Version: version})
		}
	}
	for _, w := range d.Aliases {
		a := w.Alias
		if w.VersionID != "" {
			a.Version = named[w.VersionID]
		}
		if w.SecondID != "" {
			a.Second = named[w.SecondID]
		}
		wanted = append(wanted, a)
	}
	removeOthers(tx, d, &c)
	if err := putAliases(tx, wanted, d.Keep); err != nil {
		return Changes{}, err
	}
	var configs []EventInvokeConfig
	for _, w := range d.EventInvoke {
		config := w.EventInvokeConfig
		if w.VersionID != "" {
			config.Qualifier = named[w.VersionID]
		}
		configs = append(configs, config)
	}
	if err := putEventInvoke(tx, configs, d.Keep); err != nil {
		return Changes{}, err
	}
	tx.DeleteRange(cell.Prefix([]byte(apiPrefix)))
	for _, a := range d.APIs {
		apis().Put(tx, apiKey(a.LogicalID), a)
	}
	return c, nil
}

func (d Deployment) validate() error {
	names := map[string]bool{}
	for _, f := range d.Functions {
		switch {
		case !validName(f.Name):
			return daruma.InvalidAt(f.Name, "not a function's name")
		case names[f.Name]:
			return daruma.InvalidAt(f.Name, "two functions have this name")
		case f.Version != Latest:
			return daruma.InvalidAt(f.Name, "its version is %q, only %s is deployed", f.Version, Latest)
		case !validRecursion(f.Recursion):
			return daruma.InvalidAt(f.Name, "recursion %q", f.Recursion)
		}
		names[f.Name] = true
	}
	for _, c := range d.EventInvoke {
		if !names[c.Function] {
			return daruma.InvalidAt(c.Function, "a configuration of asynchronous invocation of a function that is not deployed")
		}
	}
	for _, a := range d.Aliases {
		if !names[a.Function] || !validName(a.Name) {
			return daruma.InvalidAt(a.Function+":"+a.Name, "an alias of a function that is not deployed")
		}
	}
	for _, p := range d.Publish {
		if !names[p.Function] || p.Alias != "" && !validName(p.Alias) {
			return daruma.InvalidAt(p.Function+":"+p.Alias, "a version of a function that is not deployed")
		}
	}
	for _, name := range d.Keep {
		if names[name] || !validName(name) {
			return daruma.InvalidAt(name, "it is to stay as it is and to change")
		}
		names[name] = true
	}
	for _, l := range d.Layers {
		if !validName(l.Name) {
			return daruma.InvalidAt(l.Name, "not a layer's name")
		}
	}
	ids := map[string]bool{}
	for _, a := range d.APIs {
		if !validName(a.LogicalID) || ids[a.LogicalID] {
			return daruma.InvalidAt(a.LogicalID, "an API without a name of its own")
		}
		ids[a.LogicalID] = true
		for _, r := range a.Routes {
			if r.Mock == nil && !names[r.Target.Function] {
				return daruma.InvalidAt(a.LogicalID, "%s %s leads to %q, which is not deployed", r.Method, r.Path, r.Target.Function)
			}
		}
	}
	return nil
}

// nextNumber returns the next version number of a function or layer.
func nextNumber(tx *cell.Tx, kind, name string) int {
	key := []byte(numberPrefix + kind + "/" + name)
	raw, _ := tx.Get(key)
	n, _ := strconv.Atoi(string(raw)) // "" for the first
	tx.Set(key, []byte(strconv.Itoa(n+1)))
	return n + 1
}

// putLayers gives each layer its version and returns them by name.
func putLayers(tx *cell.Tx, given []*Layer) map[string]Layer {
	byName := map[string]Layer{}
	for _, g := range given {
		l := *g
		if old := newest(tx, l.Name); old != nil && old.Code.SHA256 == l.Code.SHA256 {
			l.Version, l.Created = old.Version, old.Created
		} else {
			l.Version, l.Created = nextNumber(tx, "l", l.Name), tx.Now()
		}
		l.ARN += ":" + strconv.Itoa(l.Version)
		layers().Put(tx, layerKey(l.Name, l.Version), &l)
		byName[l.Name] = l
	}
	return byName
}

func newest(tx *cell.Tx, layer string) *Layer {
	for key := range tx.ScanBack(cell.Prefix([]byte(layerPrefix + layer + "/"))) {
		return layers().Get(tx, key)
	}
	return nil
}

// putFunction stores f as the Latest of its name if it differs from what is there.
func putFunction(tx *cell.Tx, f Function, versions map[string]Layer, c *Changes) error {
	f.Layers = slices.Clone(f.Layers)
	for i, l := range f.Layers {
		if l.Version == 0 {
			got, ok := versions[l.Name]
			if !ok {
				return daruma.InvalidAt(f.Name, "its layer %s is not deployed", l.Name)
			}
			f.Layers[i] = got
		}
	}
	key := functionKey(f.Name, Latest)
	r := functionRecord{Function: f, Declared: f.Reserved, Loops: f.Recursion, Tags: f.Tags}
	if old := functions().Get(tx, key); old == nil {
		c.Created = append(c.Created, f.Name)
	} else {
		if reflect.DeepEqual(old.Declared, r.Declared) {
			r.Function.Reserved = old.Function.Reserved // as it was set since
		}
		if old.Loops == r.Loops {
			r.Function.Recursion = old.Function.Recursion
		}
		if maps.Equal(old.Tags, r.Tags) {
			r.Function.Tags = old.Function.Tags
		}
		r.Function.Modified, r.Function.Revision = old.Function.Modified, old.Function.Revision
		if same(*old, r) {
			return nil
		}
		c.Updated = append(c.Updated, f.Name)
		remember(tx, old.Function)
	}
	r.Function.Modified, r.Function.Revision = tx.Now(), revision(tx)
	functions().Put(tx, key, &r)
	return nil
}

// same compares records as they are stored.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func revision(tx *cell.Tx) string {
	r := tx.Random()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xfff, r.Uint32()&0x3fff|0x8000, r.Uint64()&0xffffffffffff)
}

// publish makes a new version of p.Function if it has changed, and returns the newest.
func publish(tx *cell.Tx, p Publication, c *Changes) string {
	latest := functions().Get(tx, functionKey(p.Function, Latest))
	if latest == nil {
		return "" // it cannot be read, and the command ends in that error
	}
	last, _ := tx.Get([]byte(numberPrefix + "f/" + p.Function))
	if p.LogicalID != "" {
		last, _ = tx.Get(versionKey(p.Function, p.LogicalID))
	}
	before := functions().Get(tx, functionKey(p.Function, string(last)))
	if before != nil && (p.LogicalID != "" || !changed(before, latest, p)) {
		return string(last)
	}
	v := functionRecord{Function: latest.Function, Key: p.Key}
	v.Function.Version = strconv.Itoa(nextNumber(tx, "f", p.Function))
	v.Function.Revision, v.Function.Modified = revision(tx), tx.Now()
	v.Function.Reserved, v.Function.Recursion = nil, "" // belong to the function, not to a version
	if p.Description != "" {
		v.Function.Description = p.Description
	}
	if p.LogicalID != "" {
		tx.Set(versionKey(p.Function, p.LogicalID), []byte(v.Function.Version))
	}
	c.Published = append(c.Published, p.Function+":"+v.Function.Version)
	functions().Put(tx, functionKey(p.Function, v.Function.Version), &v)
	return v.Function.Version
}

// changed says whether latest differs from the version published before, as far as p asks.
func changed(before, latest *functionRecord, p Publication) bool {
	if p.Key != "" {
		if p.Key != before.Key {
			return true
		}
	} else if before.Function.Code.SHA256 != latest.Function.Code.SHA256 {
		return true
	}
	if !p.Configuration {
		return false
	}
	b, l := before.Function, latest.Function
	for _, f := range []*Function{&b, &l} {
		f.Version, f.Revision, f.Reserved, f.Recursion, f.URL, f.Description = "", "", nil, "", nil, ""
		f.Modified, f.Source, f.Code = time.Time{}, Source{}, Code{}
	}
	return !same(b, l)
}

// removeOthers removes functions and layers that d does not name.
func removeOthers(tx *cell.Tx, d Deployment, c *Changes) {
	wanted := map[string]bool{}
	for _, f := range d.Functions {
		wanted[f.Name] = true
	}
	for _, name := range d.Keep {
		wanted[name] = true
	}
	gone := map[string]bool{}
	for _, r := range all(tx, functions(), functionPrefix) {
		if !wanted[r.Function.Name] {
			gone[r.Function.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		rememberAll(tx, functionPrefix+name+"/")
		tx.DeleteRange(cell.Prefix([]byte(functionPrefix + name + "/")))
		tx.DeleteRange(cell.Prefix([]byte(versionPrefix + name + "/")))
		c.Removed = append(c.Removed, name)
	}
	removeVersions(tx, d)
	stay := map[string]bool{}
	for _, l := range d.Layers {
		stay[l.Name] = true
	}
	for _, l := range all(tx, layers(), layerPrefix) {
		if !stay[l.Name] {
			tx.Delete(layerKey(l.Name, l.Version))
		}
	}
}

// removeVersions removes versions that were asked for by an ID which d does not name any more.
func removeVersions(tx *cell.Tx, d Deployment) {
	stay := map[string]bool{}
	for _, p := range d.Publish {
		if p.LogicalID != "" {
			stay[string(versionKey(p.Function, p.LogicalID))] = true
		}
	}
	for key, version := range tx.Scan(cell.Prefix([]byte(versionPrefix))) {
		function, _, _ := strings.Cut(strings.TrimPrefix(string(key), versionPrefix), "/")
		if !stay[string(key)] && !slices.Contains(d.Keep, function) {
			if r := functions().Get(tx, functionKey(function, string(version))); r != nil {
				remember(tx, r.Function)
			}
			tx.Delete(functionKey(function, string(version)))
			tx.Delete(key)
		}
	}
}

// putAliases makes the given aliases the only ones there are, but for those of
// kept functions. One that did not change keeps its revision.
func putAliases(tx *cell.Tx, given []Alias, keep []string) error {
	old := map[string]*Alias{}
	for _, a := range all(tx, aliases(), aliasPrefix) {
		old[string(aliasKey(a.Function, a.Name))] = a
		if slices.Contains(keep, a.Function) {
			given = append(given, *a)
		}
	}
	tx.DeleteRange(cell.Prefix([]byte(aliasPrefix)))
	for _, a := range given {
		for _, version := range []string{a.Version, a.Second} {
			if version == "" && a.Version != "" {
				continue
			}
			if functions().Get(tx, functionKey(a.Function, version)) == nil {
				return daruma.InvalidAt(a.Function+":"+a.Name, "it leads to version %q, which does not exist", version)
			}
		}
		key := aliasKey(a.Function, a.Name)
		a.Revision = revision(tx)
		if o := old[string(key)]; o != nil {
			unchanged := a
			unchanged.Revision = o.Revision
			if unchanged == *o {
				a = unchanged
			}
		}
		aliases().Put(tx, key, &a)
	}
	return nil
}

func reserve(tx *cell.Tx, r reservation) error {
	key := functionKey(r.Function, Latest)
	rec := functions().Get(tx, key)
	switch {
	case rec == nil:
		return &daruma.Error{Kind: daruma.KindNotFound, Ref: r.Function, Err: errors.New("no such function")}
	case r.Reserved != nil && *r.Reserved < 0:
		return daruma.InvalidAt(r.Function, "a reserved concurrency of %d", *r.Reserved)
	}
	remember(tx, rec.Function)
	rec.Function.Reserved = r.Reserved
	rec.Function.Revision = revision(tx)
	functions().Put(tx, key, rec)
	return nil
}
