package statement

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// Query returns the request of a Select about a table: a query when its condition
// is about one partition, a scan otherwise.
func (s *Statement) Query(d *schema.Definition) (read.Query, error) {
	q := read.Query{Table: s.Table, Index: s.Index}
	key := d.Key
	if s.Index != "" {
		x := d.Index(s.Index)
		if x == nil {
			return q, invalid("The table does not have the specified index: %s", s.Index)
		}
		key = x.Key
	}
	w := &writer{}
	keys, rest := s.split(key)
	if q.Scan = keys == nil; q.Scan {
		rest = s.where.parts()
	} else {
		q.Condition = w.all(keys)
	}
	if len(rest) > 0 {
		q.Filter = w.all(rest)
	}
	if len(s.paths) > 0 {
		texts := make([]string, len(s.paths))
		for i, p := range s.paths {
			texts[i] = w.path(p)
		}
		q.Projection, q.Leaves = strings.Join(texts, ", "), true
	}
	for _, o := range s.order {
		switch name := o.path.head(); {
		case q.Scan:
			return q, invalid("Must have WHERE clause in the statement when using ORDER BY clause.")
		case slices.Contains(key.Range, name):
			q.Backward = o.backward
		case !slices.Contains(key.Hash, name):
			return q, invalid("Variable reference %s in ORDER BY clause must be part of the primary key", name)
		}
	}
	q.Names, q.Values = w.names, w.values
	return q, nil
}

// split parts a condition into what a key answers and the rest; keys is nil when
// it answers nothing, or when the rest looks at it, which no filter may.
func (s *Statement) split(key schema.KeySchema) (keys, rest []*condition) {
	parts := s.where.parts()
	take := func(name string, ops ...string) bool {
		for i, c := range parts {
			if n, ok := c.key(); ok && n == name && slices.Contains(ops, c.op) {
				keys = append(keys, c)
				parts = slices.Delete(slices.Clone(parts), i, i+1)
				return true
			}
		}
		return false
	}
	for _, h := range key.Hash {
		if !take(h, "=") {
			return nil, nil
		}
	}
	for i, r := range key.Range {
		if take(r, "=") {
			continue
		}
		if !take(r, "<", "<=", ">", ">=", "BETWEEN", "begins_with") || i < len(key.Range)-1 {
			break
		}
	}
	for _, c := range parts {
		for _, name := range append(slices.Clone(key.Hash), key.Range...) {
			if c.mentions(name) {
				return nil, nil
			}
		}
	}
	return keys, parts
}

// Get returns the request of a Select that is about one item, and false for others.
func (s *Statement) Get(d *schema.Definition) (read.Get, bool) {
	key, rest, err := s.keyed(d)
	if err != nil || len(rest) > 0 || s.Index != "" || len(s.order) > 0 {
		return read.Get{}, false
	}
	w, g := &writer{}, read.Get{Table: s.Table, Key: key}
	texts := make([]string, len(s.paths))
	for i, p := range s.paths {
		texts[i] = w.path(p)
	}
	g.Projection, g.Names, g.Leaves = strings.Join(texts, ", "), w.names, true
	return g, true
}

// keyed returns the key that a condition asks for, and the rest of it.
func (s *Statement) keyed(d *schema.Definition) (value.Item, []*condition, error) {
	parts := s.where.parts()
	var key []value.Attribute
	for _, name := range append(slices.Clone(d.Key.Hash), d.Key.Range...) {
		i := slices.IndexFunc(parts, func(c *condition) bool { n, ok := c.key(); return ok && n == name && c.op == "=" })
		if i < 0 {
			return nil, nil, invalid("Where clause does not contain a mandatory equality on all key attributes")
		}
		key = append(key, value.Attribute{Name: name, Value: parts[i].args[1].value})
		parts = slices.Delete(slices.Clone(parts), i, i+1)
	}
	it, _, _ := value.Sorted(key)
	return it, parts, nil
}

// Action returns the request of a statement that writes one item, or of Exists,
// which checks one.
func (s *Statement) Action(d *schema.Definition) (write.Action, error) {
	w := &writer{}
	a := write.Action{Table: s.Table, Return: s.returns}
	if s.Kind == Insert {
		a.Kind, a.Item = write.Put, s.item
		a.Condition = "attribute_not_exists(" + w.name(d.Key.Hash[0]) + ")"
		a.Names = w.names
		return a, nil
	}
	key, rest, err := s.keyed(d)
	if err != nil {
		return a, err
	}
	a.Item = key
	switch s.Kind {
	case Update:
		a.Kind, a.Update = write.Update, s.update(w)
	case Delete:
		a.Kind = write.Delete
	default:
		a.Kind = write.Check
	}
	if a.Kind != write.Delete { // there must be an item: a statement makes none
		a.Condition = "attribute_exists(" + w.name(d.Key.Hash[0]) + ")"
	}
	if len(rest) > 0 {
		text := w.all(rest)
		if a.Condition != "" {
			if len(rest) == 1 && rest[0].op == "OR" {
				text = "(" + text + ")"
			}
			text = a.Condition + " AND " + text
		}
		a.Condition = text
	}
	a.Names, a.Values = w.names, w.values
	return a, nil
}

// update writes what an Update does.
func (s *Statement) update(w *writer) string {
	clauses := map[string][]string{}
	for _, set := range s.sets {
		switch set.verb {
		case "":
			clauses["SET"] = append(clauses["SET"], w.path(set.path)+" = "+w.operand(set.value))
		default:
			clauses[set.verb] = append(clauses[set.verb], w.path(set.path)+" "+w.operand(set.value))
		}
	}
	for _, p := range s.removes {
		clauses["REMOVE"] = append(clauses["REMOVE"], w.path(p))
	}
	var texts []string
	for _, verb := range []string{"SET", "REMOVE", "ADD", "DELETE"} {
		if len(clauses[verb]) > 0 {
			texts = append(texts, verb+" "+strings.Join(clauses[verb], ", "))
		}
	}
	return strings.Join(texts, " ")
}
