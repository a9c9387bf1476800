package catalog

import (
	"fmt"
	"strings"

	"github.com/daruma-io/daruma/cell"
)

// Keys of the catalog's records.
//
//	f/<function>/<version>   a functionRecord
//	a/<function>/<alias>     an Alias
//	l/<layer>/<version>      a Layer; ten digits, so that versions are in order
//	p/<logical ID>           an API
//	v/<function>/<logical ID>  the number of the version that this ID stands for
//	e/<function>/<qualifier>  an eventInvokeRecord
//	h/<function>/<revision>  a pastRecord
//	n/f/<function>           the last version number given, which is never given again
//	n/l/<layer>              likewise
const (
	functionPrefix = "f/"
	aliasPrefix    = "a/"
	layerPrefix    = "l/"
	apiPrefix      = "p/"
	versionPrefix  = "v/"
	numberPrefix   = "n/"

	eventInvokePrefix = "e/"
	pastPrefix        = "h/"
)

// How records are written. Version 1 of each is the first.
func functions() cell.Format[functionRecord] {
	return cell.Format[functionRecord]{Kind: "function", Version: 1}
}

func aliases() cell.Format[Alias] { return cell.Format[Alias]{Kind: "alias", Version: 1} }
func layers() cell.Format[Layer]  { return cell.Format[Layer]{Kind: "layer", Version: 1} }
func apis() cell.Format[API]      { return cell.Format[API]{Kind: "API", Version: 1} }

func eventInvokes() cell.Format[eventInvokeRecord] {
	return cell.Format[eventInvokeRecord]{Kind: "configuration of asynchronous invocation", Version: 1}
}

// A functionRecord is a function with what the template said of settings that can be changed beside it.
type functionRecord struct {
	Function Function `json:"function"`
	Declared *int     `json:"declaredReserved,omitempty"`
	Loops    string   `json:"declaredRecursion,omitempty"`
	Key      string   `json:"key,omitempty"` // of a version: what its Publication gave

	Tags map[string]string `json:"declaredTags,omitempty"`
}

func functionKey(name, version string) []byte {
	return []byte(functionPrefix + name + "/" + version)
}

func versionKey(function, logicalID string) []byte {
	return []byte(versionPrefix + function + "/" + logicalID)
}

func aliasKey(function, name string) []byte { return []byte(aliasPrefix + function + "/" + name) }

func layerKey(name string, version int) []byte {
	return fmt.Appendf(nil, "%s%s/%010d", layerPrefix, name, version)
}

func eventInvokeKey(function, qualifier string) []byte {
	return []byte(eventInvokePrefix + function + "/" + qualifier)
}

func apiKey(logicalID string) []byte { return []byte(apiPrefix + logicalID) }

// all returns every record below prefix, in the order of keys.
func all[T any](s cell.State, f cell.Format[T], prefix string) []*T {
	var records []*T
	for _, r := range f.All(s, cell.Prefix([]byte(prefix))) {
		records = append(records, r)
	}
	return records
}

// load builds a view of everything there is.
func load(s cell.State, place Place) *View {
	var fs []*Function
	for _, r := range all(s, functions(), functionPrefix) {
		fs = append(fs, &r.Function)
	}
	var configs []*EventInvokeConfig
	for _, r := range all(s, eventInvokes(), eventInvokePrefix) {
		if r.Config != nil {
			configs = append(configs, r.Config)
		}
	}
	var past []*Function
	for _, r := range all(s, pasts(), pastPrefix) {
		past = append(past, &r.Function)
	}
	return NewView(place, fs, all(s, aliases(), aliasPrefix), all(s, apis(), apiPrefix), all(s, layers(), layerPrefix)).WithEventInvoke(configs).WithPast(past)
}

// validName says whether a name can be part of a key.
func validName(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsAny(s, "/\x00")
}
