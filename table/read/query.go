package read

import (
	"bytes"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
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
	Condition    string           // a key condition; it or Keys is required unless Scan
	Keys         []expression.Key // what is asked of key attributes, without a Condition
	Filter       string
	Projection   string
	Leaves       bool // what the projection leads to is wanted under the last names of its paths
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
	Capacity throughput.Capacity
}

// A Plan is a query with what it is about.
type Plan struct {
	*Query
	Schema     *schema.Table
	order      *schema.Ordering
	within     cell.Range
	filter     *expression.Bound
	projection *expression.Bound
	names      []string // of a last key
	whole      bool     // items are read from the table, since the index has not all of them
}

// ResolveQuery checks a query, in the order in which the service does.
func ResolveQuery(expressions *expression.Cache, tables func(name string) *schema.Table, q *Query) (*Plan, error) {
	p := &Plan{Query: q}
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
		b, err := expressions.Bind(&scope, e.kind, e.text)
		if err != nil {
			return nil, refuse.Said(err)
		}
		*e.to = b
	}
	if err := scope.Unused(); err != nil {
		return nil, refuse.Said(err)
	}
	keys := q.Keys
	if condition != nil {
		var err error
		if keys, err = condition.Keys(); err != nil {
			return nil, refuse.Said(err)
		}
	}
	if p.Schema = tables(q.Table); p.Schema == nil {
		return nil, refuse.NoResource()
	}
	if err := p.choose(); err != nil {
		return nil, err
	}
	if err := p.bound(keys); err != nil {
		return nil, err
	}
	for _, check := range []func() error{p.checkProjection, p.checkFilter, p.show, p.checkFilterPaths} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Plan) checkProjection() error { return p.Schema.CheckPaths(p.projection) }

func (p *Plan) checkFilterPaths() error { return p.Schema.CheckPaths(p.filter) }

// choose finds the order in which items are read.
func (p *Plan) choose() error {
	p.order = p.Schema.Ordering(p.Index)
	if p.order == nil {
		return refuse.Invalid("The table does not have the specified index: %s", p.Index)
	}
	p.names = p.Schema.Key.Names()
	x := p.order.Index
	if x == nil {
		return nil
	}
	for _, n := range x.Key.Names() {
		if !slices.Contains(p.names, n) {
			p.names = append(p.names, n)
		}
	}
	if !x.Local && p.Consistent {
		return refuse.Invalid("Consistent reads are not supported on global secondary indexes")
	}
	return nil
}

// show finds out whether the index has what is to be returned.
func (p *Plan) show() error {
	x := p.order.Index
	switch {
	case x == nil || x.Projection.Kind == schema.ProjectAll:
		return nil
	case !x.Local && p.Select == SelectAll:
		return refuse.Invalid("%sSelect type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", refuse.WrongParameters, x.Name)
	case p.Select == SelectAll:
		p.whole = true
	}
	if p.projection == nil {
		return nil
	}
	var absent []string
	there := p.Schema.Projection(x)
	for _, n := range p.projection.Heads() {
		if !slices.Contains(there, n) {
			absent = append(absent, n)
		}
	}
	if len(absent) > 0 && !x.Local {
		return refuse.Invalid("%sGlobal secondary index %s does not project %s", refuse.WrongParameters, x.Name, schema.Listed(absent))
	}
	p.whole = len(absent) > 0
	return nil
}

func (p *Plan) checkFilter() error {
	if p.filter == nil || p.Scan {
		return nil
	}
	for _, n := range p.filter.Heads() {
		if slices.Contains(p.order.Key.Names(), n) {
			return refuse.Invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", n)
		}
	}
	return nil
}

// bound works out which part of the order is read. The key attributes are looked
// at in turn, each in the start and in the conditions.
func (p *Plan) bound(keys []expression.Key) error {
	if err := p.checkStart(); err != nil {
		return err
	}
	var asked []expression.Key // in the order of the schema
	for i, n := range p.order.Key.Names() {
		if err := p.checkStartOf(n); err != nil {
			return err
		}
		if p.Scan {
			continue
		}
		k, err := p.condition(keys, asked, i)
		if err != nil {
			return err
		}
		asked = append(asked, k...)
	}
	if p.Scan { // which tells of it before, a query later
		if err := p.show(); err != nil {
			return err
		}
	}
	if err := p.checkStartKey(); err != nil {
		return err
	}
	if !p.Scan {
		partition := p.partition(asked)
		p.sorted(partition, asked[len(p.order.Key.Hash):])
		return p.resume(partition, len(asked) > len(p.order.Key.Hash))
	}
	p.within = cell.Prefix(p.order.Prefix)
	if p.Segments > 1 {
		p.within = cell.Range{Lower: p.segment(p.Segment), Upper: p.segment(p.Segment + 1)}
	}
	return p.resumeScan()
}

// segment is where a part of a scan begins.
func (p *Plan) segment(n int) []byte {
	if n == p.Segments {
		return cell.Prefix(p.order.Prefix).Upper
	}
	at := (uint64(n)<<24 + uint64(p.Segments) - 1) / uint64(p.Segments)
	return append(append([]byte(nil), p.order.Prefix...), byte(at>>16), byte(at>>8), byte(at))
}

const unsupportedKey = "Query key condition not supported"

// condition finds what is asked of the key attribute at i, behind those that were
// found before: all of the partition's must be equal, and of the others all but the
// last. It returns nothing where nothing is asked.
func (p *Plan) condition(keys, before []expression.Key, i int) ([]expression.Key, error) {
	all := p.order.Key.Names()
	n, hash := all[i], i < len(p.order.Key.Hash)
	if len(all) == 1 && len(keys) > 1 {
		return nil, refuse.Invalid(unsupportedKey)
	}
	at := slices.IndexFunc(keys, func(k expression.Key) bool { return k.Name == n })
	switch {
	case at < 0 && (hash || len(before) < len(keys)):
		return nil, refuse.Invalid("Query condition missed key schema element: %s", n)
	case at < 0:
		return nil, nil
	}
	k := keys[at]
	if k.Is == expression.NotIndexable {
		return nil, refuse.Invalid("Attempted conditional constraint is not an indexable operation")
	}
	if err := p.checkKeyValue(n, k.Low); err != nil {
		return nil, err
	}
	if k.Is == expression.Between {
		if err := p.checkKeyValue(n, k.High); err != nil {
			return nil, err
		}
	}
	last := len(before)+1 == len(keys)
	switch {
	case (hash || !last) && k.Is != expression.Equal, k.Is == expression.BeginsWith && k.Low.Kind() == value.Number, !last && i == len(all)-1:
		return nil, refuse.Invalid(unsupportedKey)
	}
	return keys[at : at+1], nil
}

func (p *Plan) checkKeyValue(name string, v value.Value) error {
	if v.Kind() != p.Schema.Kind(name) {
		return refuse.Invalid("%sCondition parameter type does not match schema type", refuse.WrongParameters)
	}
	if v.Kind() != value.Number && v.Text() == "" {
		return refuse.Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", schema.EmptyWord(v.Kind()), name)
	}
	return nil
}

// partition is where the items lie whose keys are asked for.
func (p *Plan) partition(asked []expression.Key) []byte {
	values := make([]value.Value, len(p.order.Key.Hash))
	for i := range values {
		values[i] = asked[i].Low
	}
	return schema.AppendPartition(slices.Clone(p.order.Prefix), values...)
}

// sorted narrows a partition to what is asked of its sort keys.
func (p *Plan) sorted(partition []byte, keys []expression.Key) {
	at := slices.Clone(partition)
	p.within = cell.Prefix(at)
	for i := range keys {
		k := &keys[i]
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
			all.Lower, all.Upper = equal.Lower, cell.Prefix(value.AppendKey(slices.Clone(at), k.High)).Upper
		case expression.BeginsWith:
			all = cell.Prefix(value.AppendKeyPrefix(slices.Clone(at), k.Low))
		}
		p.within, at = all, low
	}
}

const badStart = "The provided starting key is invalid"

// checkStart checks how many attributes the key has that a page begins behind.
func (p *Plan) checkStart() error {
	switch {
	case p.Start == nil || len(p.Start) == len(p.names):
		return nil
	case p.Scan && p.Index == "":
		return refuse.Invalid("%s: The provided key element does not match the schema", badStart)
	}
	return refuse.Invalid(badStart)
}

// checkStartOf checks one attribute of that key; a scan of a table does not tell of
// them one by one.
func (p *Plan) checkStartOf(name string) error {
	if p.Start == nil || p.Scan && p.Index == "" {
		return nil
	}
	v, ok := p.Start.Get(name)
	if !ok {
		return refuse.Invalid(badStart)
	}
	return p.Schema.CheckKeyValue(name, v)
}

// checkStartKey checks what of that key is the key of an item.
func (p *Plan) checkStartKey() error {
	if p.Start == nil {
		return nil
	}
	if err := p.Schema.CheckKey(p.Schema.KeyItem(p.Start)); err != nil {
		return refuse.Invalid("%s: %s", badStart, refuse.Text(err))
	}
	return nil
}

func (p *Plan) startAt() []byte {
	if p.order.Index == nil {
		return p.Schema.ItemKey(p.Start)
	}
	return p.Schema.EntryPlace(p.order, p.Start)
}

// resume begins behind the key of the page before; narrowed says that something is
// asked of sort keys, too.
func (p *Plan) resume(partition []byte, narrowed bool) error {
	if p.Start == nil {
		return nil
	}
	key := p.startAt()
	own := len(schema.AppendPartition(slices.Clone(p.order.Prefix), p.startPartition()...))
	if !p.contains(slices.Concat(partition, key[own:])) {
		return refuse.Invalid("The provided starting key does not match the range key predicate")
	}
	switch {
	case bytes.HasPrefix(key, partition):
	case narrowed:
		return refuse.Invalid("The query can return at most one row and cannot be restarted")
	default:
		return refuse.Invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	p.behind(key)
	return nil
}

func (p *Plan) startPartition() []value.Value {
	values := make([]value.Value, len(p.order.Key.Hash))
	for i, n := range p.order.Key.Hash {
		values[i], _ = p.Start.Get(n)
	}
	return values
}

func (p *Plan) resumeScan() error {
	if p.Start == nil {
		return nil
	}
	key := p.startAt()
	if !p.contains(key) {
		return refuse.Invalid("%s: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d", badStart, p.Segments, p.Segment)
	}
	p.behind(key)
	return nil
}

func (p *Plan) contains(key []byte) bool {
	return bytes.Compare(key, p.within.Lower) >= 0 && (p.within.Upper == nil || bytes.Compare(key, p.within.Upper) < 0)
}

func (p *Plan) behind(key []byte) {
	if p.Backward {
		p.within.Upper = key
	} else {
		p.within.Lower = slices.Concat(key, []byte{0})
	}
}

// Run reads the page.
func (p *Plan) Run(r *cell.Reader, page *Page) error {
	if x := p.order.Index; x != nil {
		if _, building := r.Get(schema.BuildKey(p.Schema.Number, x.Number)); building {
			return refuse.Invalid("Cannot read from backfilling global secondary index: %s", x.Name)
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
			it, n, err := schema.DecodeItem(record)
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
					page.Items = append(page.Items, shown(p.projection, p.Leaves, full))
				}
			}
			if page.Scanned == p.Limit || size >= pageBytesMax {
				page.Last = schema.Pick(it, p.names)
				break
			}
		}
	}
	units := throughput.ReadUnits(size, p.Consistent)
	if p.order.Index == nil {
		page.Capacity.Units = units
	} else {
		page.Capacity.Units = fetched
		page.Capacity.Index(p.order.Index, units)
	}
	return nil
}

// fetch returns the whole item where an index has only a part of it.
func (p *Plan) fetch(r *cell.Reader, it value.Item) (value.Item, float64, error) {
	if !p.whole {
		return it, 0, nil
	}
	record, ok := r.Get(p.Schema.ItemKey(it))
	if !ok {
		return nil, 0, value.Corrupt("index "+strings.TrimSpace(p.Index), value.ErrHead)
	}
	whole, n, err := schema.DecodeItem(record)
	return whole, throughput.ReadUnits(n, p.Consistent), err
}
