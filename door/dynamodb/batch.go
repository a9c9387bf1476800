package dynamodb

import (
	"github.com/daruma-io/daruma/quote"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

func (d *Door) batchGet(c *call) *refusal {
	n := c.node
	var gets []read.Get
	var of []*node // the request of each
	for i := range n.get("RequestItems").kids {
		r := &n.get("RequestItems").kids[i]
		if r.kind == nodeNull {
			continue
		}
		if text := checkExpressions(r, []string{"ProjectionExpression"}, []string{"AttributesToGet"}); text != "" {
			return validation(text)
		}
		g := read.Get{Table: tableName(r.key), Consistent: r.flag("ConsistentRead")}
		if text := projection(r, &g.Projection, &g.Names); text != "" {
			return validation(text)
		}
		keys := r.list("Keys")
		for k := range keys {
			key, text := item(&keys[k], 0)
			if text != "" {
				return validation(text)
			}
			g.Key = key
			gets, of = append(gets, g), append(of, r)
		}
	}
	if len(gets) > table.BatchGetMax {
		return validation("Too many items requested for the BatchGetItem call")
	}
	got, left, err := d.cfg.Tables.GetBatch(c.ctx, gets)
	if err != nil {
		return d.refused(err)
	}
	unread := map[int]bool{}
	for _, i := range left {
		unread[i] = true
	}
	b := []byte(`{"Responses":{`)
	var used []throughput.Capacity
	for i := 0; i < len(gets); {
		b = comma(b)
		b = quote.Append(b, of[i].key)
		b = append(b, `:[`...)
		for from := of[i]; i < len(gets) && of[i] == from; i++ {
			if unread[i] {
				continue
			}
			used = throughput.Add(used, got[i].Capacity)
			if got[i].Found {
				b = comma(b)
				b = value.AppendItemJSON(b, got[i].Item)
			}
		}
		b = append(b, ']')
	}
	b = append(b, `},"UnprocessedKeys":{`...)
	for i := 0; i < len(left); {
		r := of[left[i]]
		b = comma(b)
		b = quote.Append(b, r.key)
		b = append(b, `:{"Keys":[`...)
		for ; i < len(left) && of[left[i]] == r; i++ {
			b = comma(b)
			b = value.AppendItemJSON(b, gets[left[i]].Key)
		}
		b = append(b, ']')
		for k := range r.kids {
			if r.kids[k].key != "Keys" && r.kids[k].kind != nodeNull {
				b = append(b, ',')
				b = quote.Append(b, r.kids[k].key)
				b = append(b, ':')
				b = r.kids[k].appendJSON(b)
			}
		}
		b = append(b, '}')
	}
	b = append(b, '}')
	c.out = append(appendAllConsumed(b, n, used, false), '}')
	return nil
}

// appendJSON writes a node as it came.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case nodeNumber:
		return append(b, n.text...)
	case nodeString:
		return quote.Append(b, n.text)
	case nodeArray:
		b = append(b, '[')
		for i := range n.kids {
			b = comma(b)
			b = n.kids[i].appendJSON(b)
		}
		return append(b, ']')
	case nodeObject:
		b = append(b, '{')
		for i := range n.kids {
			b = comma(b)
			b = quote.Append(b, n.kids[i].key)
			b = append(b, ':')
			b = n.kids[i].appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, words[n.kind]...)
}

func (d *Door) batchWrite(c *call) *refusal {
	n := c.node
	var actions []write.Action
	requests := n.get("RequestItems").elements()
	for i := range requests {
		writes := requests[i].elements()
		if len(writes) == 0 {
			return validation("The batch write request list for a table cannot be null or empty")
		}
		for k := range writes {
			a, text := batched(&writes[k])
			if text != "" {
				return validation(text)
			}
			a.Table = tableName(requests[i].key)
			actions = append(actions, a)
		}
	}
	if len(actions) > write.BatchMax {
		return validation("Too many items requested for the BatchWriteItem call")
	}
	done, left, err := d.cfg.Tables.WriteBatch(c.ctx, actions)
	if err != nil {
		return d.refused(err)
	}
	b := []byte(`{"UnprocessedItems":{`)
	for i := 0; i < len(left); {
		b = comma(b)
		b = quote.Append(b, left[i].Table)
		b = append(b, `:[`...)
		for from := left[i].Table; i < len(left) && left[i].Table == from; i++ {
			b = comma(b)
			if left[i].Kind == write.Put {
				b = value.AppendItemJSON(append(b, `{"PutRequest":{"Item":`...), left[i].Item)
			} else {
				b = value.AppendItemJSON(append(b, `{"DeleteRequest":{"Key":`...), left[i].Item)
			}
			b = append(b, `}}`...)
		}
		b = append(b, ']')
	}
	b = append(b, '}')
	b = appendCollections(b, n, done)
	var used []throughput.Capacity
	for _, o := range done {
		used = throughput.Add(used, o.Capacity)
	}
	c.out = append(appendAllConsumed(b, n, used, false), '}')
	return nil
}

// batched reads one write of a batch.
func batched(n *node) (write.Action, string) {
	put, del := n.get("PutRequest"), n.get("DeleteRequest")
	switch {
	case put != nil && del != nil:
		return write.Action{}, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	case put != nil:
		it, text := item(put.get("Item"), 0)
		if text == "" && it.Size() > schema.ItemBytesMax {
			text = "Item size has exceeded the maximum allowed size"
		}
		return write.Action{Kind: write.Put, Item: it}, text
	case del != nil:
		key, text := item(del.get("Key"), 0)
		return write.Action{Kind: write.Delete, Item: key}, text
	}
	return write.Action{}, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes" // the service's words for neither
}

// appendCollections appends which partitions were written, when a request asks for that.
func appendCollections(b []byte, n *node, done []write.Outcome) []byte {
	if n.str("ReturnItemCollectionMetrics") != "SIZE" {
		return b
	}
	byTable := map[string][]byte{}
	var order []string
	for _, o := range done {
		if o.Collection == nil {
			continue
		}
		name := o.Capacity.Table
		if byTable[name] == nil {
			order = append(order, name)
		}
		byTable[name] = appendMetrics(comma(byTable[name]), o.Collection)
	}
	if len(order) == 0 {
		return b
	}
	b = append(comma(b), `"ItemCollectionMetrics":{`...)
	for _, name := range order {
		b = quote.Append(comma(b), name)
		b = append(append(append(b, `:[`...), byTable[name]...), ']')
	}
	return append(b, '}')
}

func (d *Door) transactWrite(c *call) *refusal {
	n := c.node
	items := n.list("TransactItems")
	actions := make([]write.Action, 0, len(items))
	for i := range items {
		a, text := transacted(&items[i])
		if text != "" {
			return validation(text)
		}
		actions = append(actions, a)
	}
	out, err := d.cfg.Tables.Transact(c.ctx, n.str("ClientRequestToken"), actions)
	if err != nil {
		return d.refused(err)
	}
	var used []throughput.Capacity
	for _, o := range out {
		used = throughput.Add(used, o.Capacity)
	}
	b := appendCollections([]byte{'{'}, n, out)
	c.out = append(appendAllConsumed(b, n, used, true), '}')
	return nil
}

// transacted reads one action of a transaction.
func transacted(n *node) (write.Action, string) {
	kinds := []struct {
		name, item string
		kind       write.Kind
	}{{"ConditionCheck", "Key", write.Check}, {"Put", "Item", write.Put}, {"Delete", "Key", write.Delete}, {"Update", "Key", write.Update}}
	var a write.Action
	found := 0
	for _, k := range kinds {
		m := n.get(k.name)
		if m == nil {
			continue
		}
		found++
		with := []string{"ConditionExpression"}
		if k.kind == write.Update {
			with = []string{"UpdateExpression", "ConditionExpression"}
		}
		if text := checkExpressions(m, with, nil); text != "" {
			return a, text
		}
		it, text := item(m.get(k.item), 0)
		if text != "" {
			return a, text
		}
		a = write.Action{Kind: k.kind, Item: it}
		if text := expressions(m, &a); text != "" {
			return a, text
		}
		if k.kind == write.Put && it.Size() > schema.ItemBytesMax {
			return a, "Item size has exceeded the maximum allowed size"
		}
	}
	if found != 1 {
		return a, "TransactItems can only contain one of Check, Put, Update or Delete"
	}
	return a, ""
}

func (d *Door) transactGet(c *call) *refusal {
	n := c.node
	items := n.list("TransactItems")
	gets := make([]read.Get, 0, len(items))
	for i := range items {
		m := items[i].get("Get")
		if text := checkExpressions(m, []string{"ProjectionExpression"}, nil); text != "" {
			return validation(text)
		}
		key, text := item(m.get("Key"), 0)
		if text != "" {
			return validation(text)
		}
		g := read.Get{Table: tableName(m.str("TableName")), Key: key, Consistent: true}
		if text := projection(m, &g.Projection, &g.Names); text != "" {
			return validation(text)
		}
		gets = append(gets, g)
	}
	return d.transactReads(c, gets)
}
