package catalog

import (
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/cell"
)

// Limits of what is kept of a function's past.
const (
	PastMax    = 64 // revisions of one function, those that are needed among them
	pastRecent = 4  // the last ones are kept whether they are needed or not: what runs now may fail with them
)

// A pastRecord is a function as it was at one revision.
type pastRecord struct {
	Function Function  `json:"function"`
	Until    time.Time `json:"until"` // when it was replaced or removed
}

func pasts() cell.Format[pastRecord] {
	return cell.Format[pastRecord]{Kind: "past function", Version: 1}
}

func pastKey(function, revision string) []byte {
	return []byte(pastPrefix + function + "/" + revision)
}

// remember keeps a function as it was, before another revision takes its place.
func remember(tx *cell.Tx, f Function) {
	if f.Revision == "" {
		return
	}
	pasts().Put(tx, pastKey(f.Name, f.Revision), &pastRecord{Function: f, Until: tx.Now()})
	forget(tx, f.Name, func(*pastRecord) bool { return true })
}

// forgetUnneeded drops what nobody needs of every function's past: needed
// names revisions by function.
func forgetUnneeded(tx *cell.Tx, needed map[string][]string) {
	names := map[string]bool{}
	var order []string
	for _, p := range all(tx, pasts(), pastPrefix) {
		if !names[p.Function.Name] {
			names[p.Function.Name] = true
			order = append(order, p.Function.Name)
		}
	}
	for _, name := range order {
		forget(tx, name, func(p *pastRecord) bool { return slices.Contains(needed[name], p.Function.Revision) })
	}
}

// forget keeps the last revisions of a function, and of those before the ones
// that stay; never more than PastMax.
func forget(tx *cell.Tx, function string, stay func(*pastRecord) bool) {
	list := all(tx, pasts(), pastPrefix+function+"/")
	slices.SortStableFunc(list, func(a, b *pastRecord) int { return b.Until.Compare(a.Until) })
	kept := 0
	for i, p := range list {
		if kept < PastMax && (i < pastRecent || stay(p)) {
			kept++
			continue
		}
		tx.Delete(pastKey(function, p.Function.Revision))
	}
}

// rememberAll keeps every record below a prefix, before they are removed.
func rememberAll(tx *cell.Tx, prefix string) {
	for _, r := range all(tx, functions(), prefix) {
		remember(tx, r.Function)
	}
}

// WithPast returns a view that is v and knows these revisions, too.
func (v *View) WithPast(past []*Function) *View {
	out := *v
	out.past = map[string][]*Function{}
	for _, f := range past {
		out.past[f.Name] = append(out.past[f.Name], f)
	}
	return &out
}

// Revision returns a function as it is or was at one of its revisions, or nil
// when that is not known (any more).
func (v *View) Revision(function, revision string) *Function {
	if revision == "" {
		return nil
	}
	for _, f := range v.functions[function] {
		if f.Revision == revision {
			return f
		}
	}
	for _, f := range v.past[function] {
		if f.Revision == revision {
			return f
		}
	}
	return nil
}

// Past returns every function as it was at revisions that are no more and are
// still needed, by name and revision.
func (v *View) Past() []*Function {
	var all []*Function
	for _, fs := range v.past {
		all = append(all, fs...)
	}
	slices.SortFunc(all, func(a, b *Function) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Revision, b.Revision)
	})
	return all
}
