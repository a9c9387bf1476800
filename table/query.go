package table

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/value"
)

// pageBytesMax is how much one page of a query looks at.
const pageBytesMax = 1 << 20

// A Selection says what of the items a query returns.
type Selection uint8

// The selections.
const (
	SelectDefault   Selection = iota // what is projected, or in the index, or all
	SelectAll                        // all attributes
	SelectProjected                  // what is in the index
	SelectCount                      // nothing: how many there are
	SelectSpecific                   // what the projection asks for
)

// A Query asks for items in the order of a table, or of an index. Without a
// condition it is a scan.
type Query struct {
	Table, Index string
	Scan         bool
	Condition    string // a key condition; required unless Scan
	Filter       string
	Projection   string
	Names        value.Item
	Values       value.Item
	Select       Selection
	Limit        int        // items looked at; 0 for no limit
	Start        value.Item // the last key of the page before; nil to begin
	Backward     bool
	Consistent   bool
	Segment      int // of a scan: which of Segments parts
	Segments     int // 0 for one
}

// A Page is what a query found.
type Page struct {
	Items    []value.Item // nil for SelectCount
	Count    int          // found
	Scanned  int          // looked at
	Last     value.Item   // where the next page begins; nil at the end
	Capacity Capacity
}

// A plan is a query with what it is about.
type plan struct {
	*Query
	schema     *schema
	order      *ordering
	within     cell.Range
	filter     *expression.Bound
	projection *expression.Bound
	names      []string // of a last key
	whole      bool     // items are read from the table, since the index has not all of them
}

// Query returns a page of items.
func (t *Tables) Query(ctx context.Context, q Query) (*Page, error) {
	p, err := t.plan(&q)
	if err != nil {
		return nil, err
	}
	if err := t.meters.admit(p.schema, q.Index, false); err != nil {
		return nil, err
	}
	page := &Page{Capacity: Capacity{Table: q.Table}}
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) error { return p.run(r, page) })
	if err != nil {
		return nil, err
	}
	t.meters.charge(p.schema, page.Capacity)
	return page, nil
}

// plan checks a query, in the order in which the service does.
func (t *Tables) plan(q *Query) (*plan, error) {
	p := &plan{Query: q}
	scope := expression.Scope{Names: q.Names, Values: q.Values}
	var condition *expression.Bound
	for _, e := range []struct {
		kind expression.Kind
		text string
		to   **expression.Bound
	}{{expression.KeyCondition, q.Condition, &condition}, {expression.Filter, q.Filter, &p.filter}, {expression.Projection, q.Projection, &p.projection}} {
		if e.text == "" {
			continue
		}
		b, err := t.machine.bind(&scope, e.kind, e.text)
		if err != nil {
			return nil, err
		}
		*e.to = b
	}
	if err := scope.Unused(); err != nil {
		return nil, said(err)
	}
	var keys []expression.Key
	if condition != nil {
		var err error
		if keys, err = condition.Keys(); err != nil {
			return nil, said(err)
		}
	}
	if p.schema = t.machine.table(q.Table); p.schema == nil {
		return nil, notFound()
	}
	if err := p.choose(); err != nil {
		return nil, err
	}
	if err := p.bound(keys); err != nil {
		return nil, err
	}
	return p, p.checkFilter()
}

// choose finds the order in which items are read.
func (p *plan) choose() error {
	s := p.schema
	p.order = s.ordering(p.Index)
	if p.order == nil {
		return invalid("The table does not have the specified index: %s", p.Index)
	}
	p.names = s.Key.names()
	x := p.order.index
	if x == nil {
		return nil
	}
	p.names = slices.Concat(p.names, x.Key.names())
	switch {
	case !x.Local && p.Consistent:
		return invalid("Consistent reads are not supported on global secondary indexes")
	case x.Projection.Kind == ProjectAll:
		return nil
	case !x.Local && p.Select == SelectAll:
		return invalid("%sSelect type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", wrongParameters, x.Name)
	case p.Select == SelectAll:
		p.whole = true
	}
	if p.projection == nil {
		return nil
	}
	var absent []string
	there := s.projection(x)
	for _, n := range p.projection.Heads() {
		if !slices.Contains(there, n) {
			absent = append(absent, n)
		}
	}
	if len(absent) > 0 && !x.Local {
		return invalid("%sGlobal secondary index %s does not project %s", wrongParameters, x.Name, listed(absent))
	}
	p.whole = len(absent) > 0
	return nil
}

func (p *plan) checkFilter() error {
	if p.filter == nil || p.Scan {
		return nil
	}
	for _, n := range p.filter.Heads() {
		if slices.Contains(p.order.key.names(), n) {
			return invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", n)
		}
	}
	return nil
}

// bound works out which part of the order is read.
func (p *plan) bound(keys []expression.Key) error {
	if err := p.checkStart(); err != nil {
		return err
	}
	if p.Scan {
		p.within = cell.Prefix(p.order.prefix)
		if p.Segments > 1 {
			p.within = cell.Range{Lower: p.segment(p.Segment), Upper: p.segment(p.Segment + 1)}
		}
		return p.resume(nil)
	}
	partition, rest, err := p.partition(keys)
	if err != nil {
		return err
	}
	if err := p.sorted(partition, rest); err != nil {
		return err
	}
	return p.resume(partition)
}

// segment is where a part of a scan begins.
func (p *plan) segment(n int) []byte {
	if n == p.Segments {
		return cell.Prefix(p.order.prefix).Upper
	}
	at := (uint64(n)<<24 + uint64(p.Segments) - 1) / uint64(p.Segments)
	return append(append([]byte(nil), p.order.prefix...), byte(at>>16), byte(at>>8), byte(at))
}

// partition finds the keys that must be equal, and returns where their
// partition lies, and the other keys in the order of the schema.
func (p *plan) partition(keys []expression.Key) ([]byte, []expression.Key, error) {
	k := p.order.key
	find := func(name string) *expression.Key {
		for i := range keys {
			if keys[i].Name == name {
				return &keys[i]
			}
		}
		return nil
	}
	var values []value.Value
	for _, n := range k.Hash {
		key := find(n)
		if key == nil {
			return nil, nil, invalid("Query condition missed key schema element: %s", n)
		}
		values = append(values, key.Low)
	}
	var rest []expression.Key
	for _, n := range k.Range {
		key := find(n)
		if key == nil {
			break
		}
		rest = append(rest, *key)
	}
	if len(values)+len(rest) < len(keys) {
		if len(rest) < len(k.Range) {
			return nil, nil, invalid("Query condition missed key schema element: %s", k.Range[len(rest)])
		}
		return nil, nil, invalid("Query key condition not supported")
	}
	for i, n := range k.Hash {
		if find(n).Is != expression.Equal {
			return nil, nil, invalid("Query key condition not supported")
		}
		if err := p.checkKeyValue(n, values[i]); err != nil {
			return nil, nil, err
		}
	}
	return appendPartition(slices.Clone(p.order.prefix), values...), rest, nil
}

func (p *plan) checkKeyValue(name string, v value.Value) error {
	if v.Kind() != p.schema.kind(name) {
		return invalid("%sCondition parameter type does not match schema type", wrongParameters)
	}
	if v.Kind() != value.Number && v.Text() == "" {
		return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", emptyWord(v.Kind()), name)
	}
	return nil
}

// sorted narrows a partition to what is asked of its sort keys: all but the
// last must be equal.
func (p *plan) sorted(partition []byte, keys []expression.Key) error {
	at := slices.Clone(partition)
	p.within = cell.Prefix(at)
	for i := range keys {
		k := &keys[i]
		if i < len(keys)-1 && k.Is != expression.Equal {
			return invalid("Query key condition not supported")
		}
		if err := p.checkKeyValue(k.Name, k.Low); err != nil {
			return err
		}
		low := value.AppendKey(slices.Clone(at), k.Low)
		all, equal := cell.Prefix(at), cell.Prefix(low)
		switch k.Is {
		case expression.Equal:
			all = equal
		case expression.Less:
			all.Upper = equal.Lower
		case expression.LessEqual:
			all.Upper = equal.Upper
		case expression.More:
			all.Lower = equal.Upper
		case expression.MoreEqual:
			all.Lower = equal.Lower
		case expression.Between:
			if err := p.checkKeyValue(k.Name, k.High); err != nil {
				return err
			}
			all.Lower, all.Upper = equal.Lower, cell.Prefix(value.AppendKey(slices.Clone(at), k.High)).Upper
		case expression.BeginsWith:
			if k.Low.Kind() == value.Number {
				return invalid("Query key condition not supported")
			}
			all = cell.Prefix(value.AppendKeyPrefix(slices.Clone(at), k.Low))
		}
		p.within, at = all, low
	}
	return nil
}

const badStart = "The provided starting key is invalid"

// checkStart checks the key that a page begins behind.
func (p *plan) checkStart() error {
	if p.Start == nil {
		return nil
	}
	want := slices.Compact(slices.Sorted(slices.Values(p.names)))
	if len(p.Start) != len(want) {
		switch {
		case p.Index != "":
			return invalid(badStart)
		case p.Scan:
			return invalid("%s: The provided key element does not match the schema", badStart)
		}
		return invalid("Exclusive Start Key must have same size as table's key schema")
	}
	for _, n := range want {
		v, ok := p.Start.Get(n)
		switch {
		case !ok || v.Kind() != p.schema.kind(n):
			if p.Index != "" && !p.Scan {
				return invalid(badStart)
			}
			return invalid("%s: The provided key element does not match the schema", badStart)
		case v.Kind() != value.Number && v.Text() == "":
			return invalid("%s: One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", badStart, emptyWord(v.Kind()), n)
		}
	}
	return nil
}

// resume begins behind the key of the page before.
func (p *plan) resume(partition []byte) error {
	if p.Start == nil {
		return nil
	}
	var key []byte
	if p.order.index == nil {
		key = p.schema.itemKey(p.Start)
	} else {
		key = p.schema.entryKey(p.order, p.Start)
	}
	if !p.Scan && !bytes.HasPrefix(key, partition) {
		return invalid("%s", "The provided starting key is outside query boundaries based on provided conditions")
	}
	if bytes.Compare(key, p.within.Lower) < 0 || p.within.Upper != nil && bytes.Compare(key, p.within.Upper) >= 0 {
		if p.Scan {
			return invalid("%s: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d", badStart, p.Segments, p.Segment)
		}
		return invalid("The provided starting key does not match the range key predicate")
	}
	if p.Backward {
		p.within.Upper = key
	} else {
		p.within.Lower = append(key, 0)
	}
	return nil
}

// run reads the page.
func (p *plan) run(r *cell.Reader, page *Page) error {
	if x := p.order.index; x != nil {
		if _, building := r.Get(buildKey(p.schema.Number, x.Number)); building {
			return invalid("Cannot read from backfilling global secondary index: %s", x.Name)
		}
	}
	scan := r.Scan
	if p.Backward {
		scan = r.ScanBack
	}
	if p.Select != SelectCount {
		page.Items = []value.Item{}
	}
	size, fetched := 0, 0.0
	if bytes.Compare(p.within.Lower, p.within.Upper) < 0 || p.within.Upper == nil {
		for _, record := range scan(p.within) {
			it, n, err := decodeItem(record)
			if err != nil {
				return err
			}
			size += n
			page.Scanned++
			full, units, err := p.fetch(r, it)
			if err != nil {
				return err
			}
			fetched += units
			if p.filter == nil || p.filter.Matches(full) {
				page.Count++
				if p.Select != SelectCount {
					page.Items = append(page.Items, p.shown(full))
				}
			}
			if page.Scanned == p.Limit || size >= pageBytesMax {
				page.Last = pick(it, p.names)
				break
			}
		}
	}
	units := readUnits(size, p.Consistent)
	if p.order.index == nil {
		page.Capacity.Units = units
	} else {
		page.Capacity.Units = fetched
		page.Capacity.index(p.order.index, units)
	}
	return nil
}

func (p *plan) shown(it value.Item) value.Item {
	if p.projection == nil {
		return it
	}
	return p.projection.Project(it)
}

// fetch returns the whole item where an index has only a part of it.
func (p *plan) fetch(r *cell.Reader, it value.Item) (value.Item, float64, error) {
	if !p.whole {
		return it, 0, nil
	}
	record, ok := r.Get(p.schema.itemKey(it))
	if !ok {
		return nil, 0, corrupt("index "+strings.TrimSpace(p.Index), errHead)
	}
	whole, n, err := decodeItem(record)
	return whole, readUnits(n, p.Consistent), err
}
