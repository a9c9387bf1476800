package dynamodb

import (
	"strconv"

	"github.com/daruma-io/daruma/quote"
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

func (d *Door) putItem(c *call) *refusal {
	n := c.node
	if text := checkExpressions(n, []string{"ConditionExpression"}, []string{"Expected", "ConditionalOperator"}); text != "" {
		return validation(text)
	}
	it, text := item(n.get("Item"), 0)
	switch returns := n.str("ReturnValues"); {
	case text != "":
		return validation(text)
	case returns != "" && returns != "NONE" && returns != "ALL_OLD":
		return validation("ReturnValues can only be ALL_OLD or NONE")
	case it.Size() > schema.ItemBytesMax:
		return validation("Item size has exceeded the maximum allowed size")
	}
	return d.write(c, write.Action{Kind: write.Put, Item: it})
}

func (d *Door) deleteItem(c *call) *refusal {
	n := c.node
	if text := checkExpressions(n, []string{"ConditionExpression"}, []string{"Expected", "ConditionalOperator"}); text != "" {
		return validation(text)
	}
	key, text := item(n.get("Key"), 0)
	switch returns := n.str("ReturnValues"); {
	case text != "":
		return validation(text)
	case returns != "" && returns != "NONE" && returns != "ALL_OLD":
		return validation("ReturnValues can only be ALL_OLD or NONE")
	}
	return d.write(c, write.Action{Kind: write.Delete, Item: key})
}

func (d *Door) updateItem(c *call) *refusal {
	n := c.node
	if text := checkExpressions(n, []string{"UpdateExpression", "ConditionExpression"}, []string{"AttributeUpdates", "Expected", "ConditionalOperator"}); text != "" {
		return validation(text)
	}
	key, text := item(n.get("Key"), 0)
	if text != "" {
		return validation(text)
	}
	return d.write(c, write.Action{Kind: write.Update, Item: key})
}

var returns = map[string]write.Returns{
	"": write.ReturnNothing, "NONE": write.ReturnNothing, "ALL_OLD": write.ReturnAllOld, "UPDATED_OLD": write.ReturnUpdatedOld, "ALL_NEW": write.ReturnAllNew, "UPDATED_NEW": write.ReturnUpdatedNew,
}

// expressions gives an action its expressions, from a request or a part of one.
func expressions(n *node, a *write.Action) string {
	if text := n.checkTexts(expression.Update, expression.Condition); text != "" {
		return text
	}
	a.Table = tableName(n.str("TableName"))
	a.OldOnFailure = n.str("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
	if a.Condition != "" || a.Update != "" {
		return "" // members from before expressions have said it
	}
	a.Condition, a.Update = n.expression(expression.Condition), n.expression(expression.Update)
	a.Names, a.Values = n.names(), n.values()
	return ""
}

// write has an action taken, and answers what came of it.
func (d *Door) write(c *call, a write.Action) *refusal {
	n := c.node
	if text := legacyWrite(n, &a); text != "" {
		return validation(text)
	}
	if text := expressions(n, &a); text != "" {
		return validation(text)
	}
	a.Return = returns[n.str("ReturnValues")]
	out, err := d.cfg.Tables.Write(c.ctx, a)
	if err != nil {
		return legacyRefusal(n, d.refused(err))
	}
	b := append(make([]byte, 0, 256), '{')
	if out.Attributes != nil {
		b = append(b, `"Attributes":`...)
		b = value.AppendItemJSON(b, out.Attributes)
	}
	b = appendConsumed(b, n, out.Capacity)
	if out.Collection != nil && n.str("ReturnItemCollectionMetrics") == "SIZE" {
		b = comma(b)
		b = append(b, `"ItemCollectionMetrics":`...)
		b = appendMetrics(b, out.Collection)
	}
	b = append(b, '}')
	c.out = b
	return nil
}

func appendMetrics(b []byte, key value.Item) []byte {
	b = append(b, `{"ItemCollectionKey":`...)
	b = value.AppendItemJSON(b, key)
	return append(b, `,"SizeEstimateRangeGB":[0,1]}`...)
}

// comma appends a comma when a member comes before.
func comma(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] != '{' && b[len(b)-1] != '[' {
		return append(b, ',')
	}
	return b
}

// appendConsumed appends what a request used, when it asks for that.
func appendConsumed(b []byte, n *node, used throughput.Capacity) []byte {
	how := n.str("ReturnConsumedCapacity")
	if how == "" || how == "NONE" {
		return b
	}
	b = comma(b)
	b = append(b, `"ConsumedCapacity":`...)
	return appendCapacity(b, used, how == "INDEXES", false)
}

// appendAllConsumed is appendConsumed for requests that go to many tables.
// both says that units are told as those of reading or writing, too.
func appendAllConsumed(b []byte, n *node, used []throughput.Capacity, both bool) []byte {
	how := n.str("ReturnConsumedCapacity")
	if how == "" || how == "NONE" {
		return b
	}
	b = comma(b)
	b = append(b, `"ConsumedCapacity":[`...)
	for i := range used {
		b = comma(b)
		b = appendCapacity(b, used[i], how == "INDEXES", both)
	}
	return append(b, ']')
}

func appendUnits(b []byte, units float64, write, both bool) []byte {
	text := strconv.FormatFloat(units, 'f', -1, 64)
	b = append(b, `"CapacityUnits":`+text...)
	if both {
		name := `,"ReadCapacityUnits":`
		if write {
			name = `,"WriteCapacityUnits":`
		}
		b = append(b, name+text...)
	}
	return b
}

func appendCapacity(b []byte, used throughput.Capacity, indexes, both bool) []byte {
	b = append(b, '{')
	b = appendUnits(b, used.Total(), used.Write, both)
	b = append(b, `,"TableName":`...)
	b = quote.Append(b, used.Table)
	if indexes {
		b = append(b, `,"Table":{`...)
		b = append(appendUnits(b, used.Units, used.Write, both), '}')
		for _, of := range []struct {
			name  string
			units []throughput.IndexUnits
		}{{"LocalSecondaryIndexes", used.Locals}, {"GlobalSecondaryIndexes", used.Globals}} {
			if len(of.units) == 0 {
				continue
			}
			b = append(b, `,"`+of.name+`":{`...)
			for _, x := range of.units {
				b = comma(b)
				b = quote.Append(b, x.Name)
				b = append(b, `:{`...)
				b = append(appendUnits(b, x.Units, used.Write, both), '}')
			}
			b = append(b, '}')
		}
	}
	return append(b, '}')
}

func (d *Door) getItem(c *call) *refusal {
	n := c.node
	if text := checkExpressions(n, []string{"ProjectionExpression"}, []string{"AttributesToGet"}); text != "" {
		return validation(text)
	}
	key, text := item(n.get("Key"), 0)
	if text != "" {
		return validation(text)
	}
	g := read.Get{Table: tableName(n.str("TableName")), Key: key, Consistent: n.flag("ConsistentRead")}
	if text := projection(n, &g.Projection, &g.Names); text != "" {
		return validation(text)
	}
	got, err := d.cfg.Tables.Get(c.ctx, g)
	if err != nil {
		return d.refused(err)
	}
	b := append(make([]byte, 0, 1024), '{')
	if got.Found {
		b = append(b, `"Item":`...)
		b = value.AppendItemJSON(b, got.Item)
	}
	c.out = append(appendConsumed(b, n, got.Capacity), '}')
	return nil
}

// projection reads which attributes a request asks for.
func projection(n *node, text *string, names *value.Item) string {
	if why := legacyProjection(n, text, names); why != "" || *text != "" {
		return why
	}
	if why := n.checkTexts(expression.Projection); why != "" {
		return why
	}
	*text, *names = n.expression(expression.Projection), n.names()
	return ""
}
