package dynamodb

import (
	"strconv"

	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/value"
)

var selections = map[string]table.Selection{
	"": table.SelectDefault, "ALL_ATTRIBUTES": table.SelectAll, "ALL_PROJECTED_ATTRIBUTES": table.SelectProjected, "COUNT": table.SelectCount, "SPECIFIC_ATTRIBUTES": table.SelectSpecific,
}

func (d *Door) query(c *call) *refusal {
	n := c.node
	if text := checkExpressions(n, []string{"ProjectionExpression", "FilterExpression", "KeyConditionExpression"}, []string{"AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"}); text != "" {
		return validation(text)
	}
	q := table.Query{Condition: n.str("KeyConditionExpression")}
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
	q := table.Query{Scan: true}
	total, hasTotal := n.integer("TotalSegments")
	segment, hasSegment := n.integer("Segment")
	switch {
	case hasTotal && !hasSegment:
		return validation("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case hasSegment && !hasTotal:
		return validation("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case hasTotal && segment >= total:
		return validation("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: " + strconv.FormatInt(segment, 10) + " is not less than TotalSegments: " + strconv.FormatInt(total, 10))
	}
	q.Segment, q.Segments = int(segment), int(total)
	return d.read(c, &q)
}

// read fills in what queries and scans have in common, reads a page, and
// answers with it.
func (d *Door) read(c *call, q *table.Query) *refusal {
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

func readQuery(n *node, q *table.Query) string {
	q.Table, q.Index = tableName(n.str("TableName")), n.str("IndexName")
	q.Consistent = n.flag("ConsistentRead")
	limit, _ := n.integer("Limit")
	q.Limit = int(limit)
	// What is wrong with a filter is told before all else, with a key condition later.
	if text := legacyQuery(n, &table.Query{Scan: q.Scan, Condition: "later"}); text != "" {
		return text
	}
	if start := n.get("ExclusiveStartKey"); start != nil {
		it, text := item(start, 0)
		if text != "" {
			return "The provided starting key is invalid: " + text
		}
		q.Start = it
		if it == nil {
			q.Start = value.Item{}
		}
	}
	if text := n.checkTexts(expression.KeyCondition, expression.Filter); text != "" {
		return text
	}
	q.Filter, q.Values = n.str("FilterExpression"), n.values()
	if text := projection(n, &q.Projection, &q.Names); text != "" {
		return text
	}
	if text := legacyQuery(n, q); text != "" {
		return text
	}
	if !q.Scan && q.Condition == "" {
		return "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
	}
	q.Select = selections[n.str("Select")]
	return checkSelect(n, q)
}

// checkSelect says what is wrong with what is to be returned.
func checkSelect(n *node, q *table.Query) string {
	asked := ""
	for _, name := range []string{"AttributesToGet", "ProjectionExpression"} {
		if n.get(name) != nil {
			asked = name
		}
	}
	what := n.str("Select")
	switch {
	case q.Select == table.SelectSpecific && asked == "":
		return "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
	case q.Select == table.SelectProjected && q.Index == "":
		return "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
	case asked != "" && what != "" && q.Select != table.SelectSpecific:
		if q.Select == table.SelectCount {
			return "Cannot specify the " + asked + " when choosing to get only the Count"
		}
		return "Cannot specify the " + asked + " when choosing to get " + what
	}
	return ""
}
