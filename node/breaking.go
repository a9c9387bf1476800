package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/door/dynamodb/streams"
	"github.com/daruma-io/daruma/door/sqs"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/fault/inject"
	"github.com/daruma-io/daruma/queue"
)

// records finds the records in an event, for faults that are on them.
func (n *Node) records(event []byte) (b inject.Batch, ok bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(event, " \t\r\n"), []byte("{")) || !bytes.Contains(event, []byte(`"eventSourceARN"`)) {
		return b, false
	}
	var members map[string]json.RawMessage
	var all []json.RawMessage
	if json.Unmarshal(event, &members) != nil || json.Unmarshal(members["Records"], &all) != nil || len(all) == 0 {
		return b, false
	}
	place := n.catalog.View().Place
	name := func(record []byte) (queue, table, id string, ok bool) {
		if queue, id, ok = sqs.Told(place, record); ok {
			return queue, "", id, true
		}
		arn, id, ok := streams.Told(record)
		if !ok {
			return "", "", "", false
		}
		table, _, ok = streams.Name(place, arn)
		return "", table, id, ok
	}
	for _, record := range all {
		queue, table, id, ok := name(record)
		if !ok {
			return b, false
		}
		b.Queue, b.Table = queue, table
		b.Records = append(b.Records, inject.Record{ID: id, JSON: record})
	}
	b.Damaged = sqs.Damaged
	if b.Table != "" {
		b.Damaged = streams.Damaged
	}
	delete(members, "Records")
	b.Event = func(each [][]byte) []byte {
		out := append([]byte(`{"Records":[`), bytes.Join(each, []byte(","))...)
		out = append(out, ']')
		if rest, err := json.Marshal(members); err == nil && len(members) > 0 {
			return append(append(out, ','), rest[1:]...)
		}
		return append(out, '}')
	}
	return b, true
}

// checkFunction says whether there are functions that a fault names, of the version and through the alias that it names.
func (n *Node) checkFunction(f *fault.Fault) error {
	t, view := &f.Target, n.catalog.View()
	if t.Function == "" {
		return nil
	}
	missing := func(format string, args ...any) error {
		return &daruma.Error{Op: "start fault", Ref: f.String(), Kind: daruma.KindNotFound, Err: fmt.Errorf(format, args...)}
	}
	var met []*catalog.Function // of the version, when one is named
	var names []string
	found := false
	for _, one := range view.Functions() {
		if one.LogicalID != "" && one.LogicalID == t.Function {
			t.Function = one.Name
		}
		if f.Meets(one.Name) {
			found = true
			if of := view.Function(one.Name, cmp.Or(t.Version, catalog.Latest)); of != nil {
				met = append(met, of)
			}
		}
		names = append(names, one.Name)
	}
	if !found {
		return missing("target.function: there is no function %s; there are %s", t.Function, orNone(names))
	}
	if len(met) == 0 {
		return missing("target.version: there is no version %s of %s", t.Version, t.Function)
	}
	aliases := slices.ContainsFunc(met, func(one *catalog.Function) bool { return view.Alias(one.Name, t.Alias) != nil })
	if t.Alias != "" && t.Alias != catalog.Latest && !aliases {
		return missing("target.alias: there is no alias %s of %s", t.Alias, t.Function)
	}
	return less(f, met)
}

// less says whether a fault leaves environments with less than they have: with more it would break nothing.
func less(f *fault.Fault, met []*catalog.Function) error {
	for _, one := range met {
		field, asked, has := "memoryMB", f.With.MemoryMB, one.MemoryMB
		if f.Kind == fault.Disk {
			field, asked, has = "leftMB", f.With.LeftMB, one.StorageMB
		}
		if asked >= has && (f.Kind == fault.Memory || f.Kind == fault.Disk) {
			return &daruma.Error{Op: "start fault", Ref: f.String(), Kind: daruma.KindInvalid, Err: fmt.Errorf("with.%s: %d is no less than the %d MB that %s has", field, asked, has, one.Name)}
		}
	}
	return nil
}

// checkSources says whether the queue, the table or the API of a fault is
// there, and puts its name in place of a logical ID.
func (n *Node) checkSources(f *fault.Fault) error {
	t := &f.Target
	missing := func(field, name, what string, there []string) error {
		return &daruma.Error{Op: "start fault", Ref: f.String(), Kind: daruma.KindNotFound, Err: fmt.Errorf("target.%s: there is no %s %s; there are %s", field, what, name, orNone(there))}
	}
	switch {
	case t.Queue != "" && !strings.Contains(t.Queue, "*"):
		var names []string
		for _, q := range n.queues.All() {
			if q.Name == t.Queue || q.LogicalID != "" && q.LogicalID == t.Queue {
				t.Queue = q.Name
				return n.checkQueue(f, q)
			}
			names = append(names, q.Name)
		}
		return missing("queue", t.Queue, "queue", names)
	case t.Table != "" && !strings.Contains(t.Table, "*"):
		var names []string
		for _, name := range n.tables.Names() {
			if one := n.tables.Definition(name); one != nil && (name == t.Table || one.Declared != "" && one.Declared == t.Table) {
				t.Table = name
				return n.handed(f, dispatch.ChangesKind, name)
			}
			names = append(names, name)
		}
		return missing("table", t.Table, "table", names)
	case t.API != "" && !strings.Contains(t.API, "*"):
		var names []string
		for _, a := range n.catalog.View().APIs() {
			if slices.Contains([]string{a.Name, a.LogicalID, a.ID}, t.API) {
				t.API = a.LogicalID
				return nil
			}
			names = append(names, a.LogicalID)
		}
		return missing("api", t.API, "API", names)
	}
	return nil
}

// resourceNamed is the name of the resource of a service that a target names by its logical ID, or what the target says.
func (n *Node) resourceNamed(t *fault.Target) string {
	found := t.Resource
	is := func(id, name string) {
		if id == t.Resource && id != "" {
			found = name
		}
	}
	if fault.Like(t.Service, "dynamodb") {
		for _, name := range n.tables.Names() {
			if one := n.tables.Definition(name); one != nil {
				is(one.Declared, name)
			}
		}
	}
	if fault.Like(t.Service, "sqs") {
		for _, q := range n.queues.All() {
			is(q.LogicalID, q.Name)
		}
	}
	if fault.Like(t.Service, "sns") {
		for _, one := range n.topics.All() {
			is(one.LogicalID, one.Name)
		}
	}
	if fault.Like(t.Service, "lambda") {
		for _, f := range n.catalog.View().Functions() {
			is(f.LogicalID, f.Name)
		}
	}
	return found
}

// checkQueue says whether a queue's messages can meet a fault.
func (n *Node) checkQueue(f *fault.Fault, q *queue.Queue) error {
	switch {
	case q.FIFO && (f.Kind == fault.Reorder || f.Kind == fault.Duplicate):
		return &daruma.Error{Op: "start fault", Ref: f.String(), Kind: daruma.KindInvalid,
			Err: fmt.Errorf("target.queue: %s is a FIFO queue, whose messages come in order and once: a %s fault is on standard queues", q.Name, f.Kind)}
	case f.Kind == fault.Poison || f.Target.Function != "":
		return n.handed(f, dispatch.QueueKind, q.Name)
	}
	return nil // whoever receives from it
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// handed says whether some function is handed what a fault is on: nobody else would meet it.
func (n *Node) handed(f *fault.Fault, kind, name string) error {
	for _, m := range n.mappings.All() {
		if m.Source.Kind == kind && m.Source.Name == name && f.Meets(m.Function) {
			return nil
		}
	}
	e := &daruma.Error{Op: "start fault", Ref: f.String(), Kind: daruma.KindInvalid, Hint: "an event source mapping hands it to a function"}
	field, what := "queue", "the messages of "+name
	if kind == dispatch.ChangesKind {
		field, what = "table", "the changes of "+name
	}
	e.Err = fmt.Errorf("target.%s: no function is handed %s", field, what)
	if f.Target.Function != "" {
		e.Err = fmt.Errorf("target.function: %s is not handed %s", f.Target.Function, what)
	}
	return e
}

// codes are the hashes of the code of a target's functions. Of an alias that
// leads to two versions the second is the release.
func (n *Node) codes(t *fault.Target) ([]string, error) {
	view := n.catalog.View()
	var all []string
	for _, f := range view.Functions() {
		if !(&fault.Fault{Target: *t}).Meets(f.Name) {
			continue
		}
		version := t.Version
		if t.Alias != "" {
			a := view.Alias(f.Name, t.Alias)
			if a == nil || version != "" && version != a.Version && version != a.Second {
				continue
			}
			version = cmp.Or(version, a.Second, a.Version)
		}
		for _, one := range view.Versions(f.Name) {
			if (version == "" || one.Version == version) && !slices.Contains(all, one.Code.SHA256) {
				all = append(all, one.Code.SHA256)
			}
		}
	}
	return all, nil
}

// checkVariable says whether a function has the variable that a fault takes away.
func (n *Node) checkVariable(f *fault.Fault) error {
	var names []string
	for _, one := range n.catalog.View().Functions() {
		if !f.Meets(one.Name) {
			continue
		}
		for name := range one.Env {
			if name == f.With.Name {
				return nil
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return &daruma.Error{Op: "start fault", Ref: f.String(), Kind: daruma.KindNotFound,
		Err: fmt.Errorf("with.name: %s has no variable %s; it has %s", f.Target.Function, f.With.Name, orNone(slices.Compact(names)))}
}

// shown has the answers of APIs meet faults.
func (n *Node) shown(w http.ResponseWriter, r *http.Request, api *catalog.API, preflight bool) (http.ResponseWriter, context.Context) {
	ctx, bare := n.faults.Web(r.Context(), inject.Shown{API: api.LogicalID, Preflight: preflight})
	if bare {
		w = &bareWriter{ResponseWriter: w}
	}
	return w, ctx
}

// A bareWriter leaves out the headers by which browsers share an answer.
type bareWriter struct{ http.ResponseWriter }

// Unwrap leads to what is written to.
func (w *bareWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader takes the headers away before they are sent.
func (w *bareWriter) WriteHeader(status int) {
	const shares = "Access-Control-"
	for name := range w.Header() {
		if len(name) >= len(shares) && strings.EqualFold(name[:len(shares)], shares) {
			delete(w.Header(), name)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}
