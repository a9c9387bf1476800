package dynamodb

import (
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/value"
)

var selections = map[string]read.Selection{
	"": read.SelectDefault, "ALL_ATTRIBUTES": read.SelectAll, "ALL_PROJECTED_ATTRIBUTES": read.SelectProjected, "COUNT": read.SelectCount, "SPECIFIC_ATTRIBUTES": read.SelectSpecific,
}

func (d *Door) query(c *call) *refusal {
	n := c.node
	if text := checkExpressions(n, []string{"ProjectionExpression", "FilterExpression", "KeyConditionExpression"}, []string{"AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"}); text != "" {
		return validation(text)
	}
	var q read.Query
	if m := n.get("ScanIndexForward"); m != nil && m.kind == nodeFalse {
		q.Backward = true
	}
	return d.read(c, &q)
}

func (d *Door) scan(c *call) *refusal {
	n := c.node
	if text := checkExpressions(n, []string{"ProjectionExpression", "FilterExpression"}, []string{"AttributesToGet", "ScanFilter", "ConditionalOperator"}); text != "" {
		return validation(text)
	}
	return d.read(c, &read.Query{Scan: true})
}

// segments reads which part of a scan is asked for.
func segments(n *node, q *read.Query) string {
	total, hasTotal := n.integer("TotalSegments")
	segment, hasSegment := n.integer("Segment")
	switch {
	case hasTotal && !hasSegment:
		return "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"
	case hasSegment && !hasTotal:
		return "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
	case hasTotal && segment >= total:
		return "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: " + strconv.FormatInt(segment, 10) + " is not less than TotalSegments: " + strconv.FormatInt(total, 10)
	}
	q.Segment, q.Segments = int(segment), int(total)
	return ""
}

// read fills in what queries and scans have in common, reads a page, and
// answers with it.
func (d *Door) read(c *call, q *read.Query) *refusal {
	n := c.node
	if text := readQuery(n, q); text != "" {
		return validation(text)
	}
	page, err := d.cfg.Tables.Query(c.ctx, *q)
	if err != nil {
		return legacyRefusal(n, d.refused(err))
	}
	b := append(make([]byte, 0, 4096), `{"Count":`...)
	b = strconv.AppendInt(b, int64(page.Count), 10)
	b = append(b, `,"ScannedCount":`...)
	b = strconv.AppendInt(b, int64(page.Scanned), 10)
	if page.Items != nil {
		b = append(b, `,"Items":[`...)
		for i := range page.Items {
			b = comma(b)
			b = value.AppendItemJSON(b, page.Items[i])
		}
		b = append(b, ']')
	}
	if page.Last != nil {
		b = append(b, `,"LastEvaluatedKey":`...)
		b = value.AppendItemJSON(b, page.Last)
	}
	c.out = append(appendConsumed(b, n, page.Capacity), '}')
	return nil
}

// readQuery reads a query or a scan; what is wrong with it is told in the order of the service.
func readQuery(n *node, q *read.Query) string {
	q.Table, q.Index = tableName(n.str("TableName")), n.str("IndexName")
	q.Consistent = n.flag("ConsistentRead")
	limit, _ := n.integer("Limit")
	q.Limit = int(limit)
	steps := []func(*node, *read.Query) string{legacyFilter, legacyPaths, start, readKeys}
	if q.Scan {
		steps = []func(*node, *read.Query) string{legacyPaths, legacyFilter, start, segments, readExpressions}
	}
	for _, step := range steps {
		if text := step(n, q); text != "" {
			return text
		}
	}
	q.Select = selections[n.str("Select")]
	return checkSelect(n, q)
}

func legacyPaths(n *node, q *read.Query) string {
	return legacyProjection(n, &q.Projection, &q.Names)
}

// start reads the key that a page begins behind.
func start(n *node, q *read.Query) string {
	key := n.get("ExclusiveStartKey")
	if key == nil {
		return ""
	}
	it, text := item(key, 0)
	if text != "" && !slices.ContainsFunc(bare, func(s string) bool { return strings.Contains(text, s) }) {
		text = "The provided starting key is invalid: " + text
	}
	if q.Start = it; it == nil {
		q.Start = value.Item{}
	}
	return text
}

// bare is parts of the texts that the service tells of a value in a starting key as
// it does elsewhere; the others it begins with what they are about.
var bare = []string{"contains duplicates", "number set", "numeric value", "significant digits", "number with magnitude"}

// readKeys reads what a query asks of keys, and its expressions.
func readKeys(n *node, q *read.Query) string {
	if n.get("KeyConditions") == nil && n.get("KeyConditionExpression") == nil {
		return "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
	}
	if text := readExpressions(n, q); text != "" || q.Condition != "" {
		return text
	}
	return legacyKeys(n, q)
}

func readExpressions(n *node, q *read.Query) string {
	if text := n.checkTexts(expression.KeyCondition, expression.Filter, expression.Projection); text != "" {
		return text
	}
	q.Condition = n.expression(expression.KeyCondition)
	if text := n.expression(expression.Filter); text != "" {
		q.Filter = text
	}
	if text := n.expression(expression.Projection); text != "" {
		q.Projection = text
	}
	for _, a := range n.names() {
		q.Names = q.Names.With(a.Name, a.Value)
	}
	for _, a := range n.values() {
		q.Values = q.Values.With(a.Name, a.Value)
	}
	return ""
}

// checkSelect says what is wrong with what is to be returned.
func checkSelect(n *node, q *read.Query) string {
	asked := ""
	for _, name := range []string{"AttributesToGet", "ProjectionExpression"} {
		if n.get(name) != nil {
			asked = name
		}
	}
	what := n.str("Select")
	switch {
	case q.Select == read.SelectSpecific && asked == "":
		return "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
	case q.Select == read.SelectProjected && q.Index == "":
		return "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
	case asked != "" && what != "" && q.Select != read.SelectSpecific:
		if q.Select == read.SelectCount {
			return "Cannot specify the " + asked + " when choosing to get only the Count"
		}
		return "Cannot specify the " + asked + " when choosing to get " + what
	}
	return ""
}
