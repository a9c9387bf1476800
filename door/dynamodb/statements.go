package dynamodb

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/quote"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/statement"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// The operations whose requests are statements (API Reference, ExecuteStatement,
// BatchExecuteStatement, ExecuteTransaction).

const (
	batchStatementsMax    = 25
	transactStatementsMax = 100
)

func statementInput(name string, more ...field) *shape {
	return structure(name, append([]field{needed(text("Statement", lengthMax(statement.TextBytesMax), lengthMin(1))), member("Parameters", listOf(element(attributeShape)), lengthMin(1)), failureField()}, more...)...)
}

func executeFields() []field {
	return []field{flagField("ConsistentRead"), text("NextToken", lengthMax(32768), lengthMin(1)), consumedField(), member("Limit", &shape{typ: tInteger}, valueMin(1))}
}

func batchStatementInput() *shape {
	one := element(statementInput("BatchStatementRequest", flagField("ConsistentRead")))
	return structure("BatchExecuteStatementInput", needed(member("Statements", listOf(one), lengthMax(batchStatementsMax), lengthMin(1))), consumedField())
}

func transactStatementInput() *shape {
	one := element(statementInput("ParameterizedStatement"))
	return structure("ExecuteTransactionInput", needed(member("TransactStatements", listOf(one), lengthMax(transactStatementsMax), lengthMin(1))), text("ClientRequestToken", lengthMax(36), lengthMin(1)), consumedField())
}

// parsed reads the statement of a request, and the table it is about. There is a
// statement even when there is no such table.
func (d *Door) parsed(n *node) (*statement.Statement, *schema.Definition, *refusal) {
	var params []value.Value
	list := n.list("Parameters")
	for i := range list {
		v, text := attribute(&list[i], 0)
		if text != "" {
			return nil, nil, validation(text)
		}
		params = append(params, v)
	}
	s, err := statement.Parse(n.str("Statement"), params)
	if err != nil {
		return nil, nil, d.misstated(err)
	}
	of := d.cfg.Tables.Definition(tableName(s.Table))
	if of == nil {
		return s, nil, &refusal{status: 400, typ: namespace + "ResourceNotFoundException", key: "message", message: "Requested resource not found"}
	}
	s.Table = of.Name
	return s, of, nil
}

// misstated says what is wrong with a statement, or why its request was refused.
func (d *Door) misstated(err error) *refusal {
	if e, ok := errors.AsType[*statement.Error](err); ok {
		return validation(e.Message)
	}
	return d.refused(err)
}

func duplicate() *refusal {
	return &refusal{status: 400, typ: namespace + "DuplicateItemException", key: "Message", message: "Duplicate primary key exists in table"}
}

// action is the write, or the check, that a statement asks for.
func (d *Door) action(n *node, s *statement.Statement, of *schema.Definition) (write.Action, *refusal) {
	a, err := s.Action(of)
	if err != nil {
		return a, d.misstated(err)
	}
	if a.Kind == write.Put && a.Item.Size() > schema.ItemBytesMax {
		return a, validation("Item size has exceeded the maximum allowed size")
	}
	a.OldOnFailure = n.str("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" && s.Kind != statement.Insert
	return a, nil
}

// write takes the write that a statement asks for.
func (d *Door) writeStatement(c *call, n *node, s *statement.Statement, of *schema.Definition) (write.Outcome, *refusal) {
	a, why := d.action(n, s, of)
	if why != nil {
		return write.Outcome{}, why
	}
	out, err := d.cfg.Tables.Write(c.ctx, a)
	if r, ok := errors.AsType[*refuse.Error](err); ok && r.Code == refuse.ConditionFailed && s.Kind == statement.Insert {
		return out, duplicate()
	}
	if err != nil {
		return out, d.refused(err)
	}
	return out, nil
}

func (d *Door) executeStatement(c *call) *refusal {
	n := c.node
	s, of, why := d.parsed(n)
	if why != nil {
		return why
	}
	var items []value.Item
	var used throughput.Capacity
	var last value.Item
	switch s.Kind {
	case statement.Exists:
		return validation("EXISTS is a condition of transactions: use ExecuteTransaction")
	case statement.Select:
		page, why := d.selectPage(c, s, of)
		if why != nil {
			return why
		}
		items, used, last = page.Items, page.Capacity, page.Last
	default:
		out, why := d.writeStatement(c, n, s, of)
		if why != nil {
			return why
		}
		if used = out.Capacity; out.Attributes != nil {
			items = append(items, out.Attributes)
		}
	}
	b := append(make([]byte, 0, 1024), `{"Items":[`...)
	for _, it := range items {
		b = value.AppendItemJSON(comma(b), it)
	}
	b = append(b, ']')
	if last != nil {
		b = append(b, `,"NextToken":"`...)
		b = base64.StdEncoding.AppendEncode(b, value.AppendItem(nil, last))
		b = value.AppendItemJSON(append(b, `","LastEvaluatedKey":`...), last)
	}
	c.out = append(appendConsumed(b, n, used), '}')
	return nil
}

// selectPage reads a page of what a statement selects.
func (d *Door) selectPage(c *call, s *statement.Statement, of *schema.Definition) (*read.Page, *refusal) {
	n := c.node
	token := n.str("NextToken")
	if g, ok := s.Get(of); ok && token == "" {
		g.Consistent = n.flag("ConsistentRead")
		got, err := d.cfg.Tables.Get(c.ctx, g)
		if err != nil {
			return nil, d.refused(err)
		}
		page := &read.Page{Capacity: got.Capacity}
		if got.Found {
			page.Items = []value.Item{got.Item}
		}
		return page, nil
	}
	q, err := s.Query(of)
	if err != nil {
		return nil, d.misstated(err)
	}
	limit, _ := n.integer("Limit")
	q.Limit, q.Consistent = int(limit), n.flag("ConsistentRead")
	if token != "" {
		raw, err := base64.StdEncoding.DecodeString(token)
		if err == nil {
			q.Start, err = value.DecodeItem(string(raw))
		}
		if err != nil {
			return nil, validation("Given NextToken is not valid: it is none of this service")
		}
	}
	page, err := d.cfg.Tables.Query(c.ctx, q)
	if err != nil {
		return nil, d.refused(err)
	}
	return page, nil
}

// statementCodes are the names of refusals in the answer of a batch.
var statementCodes = [...]string{
	refuse.Validation: "ValidationError", refuse.ConditionFailed: "ConditionalCheckFailed", refuse.NotFound: "ResourceNotFound", refuse.InUse: "TransactionConflict",
	refuse.Throttled: "ProvisionedThroughputExceeded", refuse.LimitExceeded: "RequestLimitExceeded",
}

func (d *Door) batchExecute(c *call) *refusal {
	n := c.node
	requests := n.list("Statements")
	reads := 0
	type one struct {
		s   *statement.Statement
		of  *schema.Definition
		why *refusal
	}
	all := make([]one, len(requests))
	for i := range requests {
		all[i].s, all[i].of, all[i].why = d.parsed(&requests[i])
		if all[i].s != nil && all[i].s.Kind.Reads() {
			reads++
		} else if all[i].s == nil {
			return all[i].why // what cannot be read is told of the whole batch
		}
	}
	if reads != 0 && reads != len(all) {
		return validation("The batch must contain either all reads or all writes")
	}
	b := []byte(`{"Responses":[`)
	var used []throughput.Capacity
	for i, x := range all {
		var it value.Item
		var capacity throughput.Capacity
		why := x.why
		if why == nil {
			it, capacity, why = d.executeOne(c, &requests[i], x.s, x.of)
		}
		if why == nil {
			used = throughput.Add(used, capacity)
		}
		b = append(comma(b), '{')
		if why != nil {
			b = why.asBatchError(b)
		}
		b = quote.Append(append(comma(b), `"TableName":`...), x.s.Table)
		if it != nil {
			b = value.AppendItemJSON(append(b, `,"Item":`...), it)
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	c.out = append(appendAllConsumed(b, n, used, false), '}')
	return nil
}

// executeOne executes one statement of a batch: of one item.
func (d *Door) executeOne(c *call, n *node, s *statement.Statement, of *schema.Definition) (value.Item, throughput.Capacity, *refusal) {
	if s.Kind == statement.Exists {
		return nil, throughput.Capacity{}, validation("EXISTS is a condition of transactions: use ExecuteTransaction")
	}
	if s.Kind != statement.Select {
		out, why := d.writeStatement(c, n, s, of)
		return out.Attributes, out.Capacity, why
	}
	g, ok := s.Get(of)
	if !ok {
		return nil, throughput.Capacity{}, validation("Select statements within BatchExecuteStatement must specify the primary key in the where clause.")
	}
	g.Consistent = n.flag("ConsistentRead")
	got, err := d.cfg.Tables.Get(c.ctx, g)
	if err != nil {
		return nil, throughput.Capacity{}, d.refused(err)
	}
	if !got.Found {
		return nil, got.Capacity, nil
	}
	return got.Item, got.Capacity, nil
}

// batchErrors are the codes of a batch's errors, by the types of refusals.
func (r *refusal) asBatchError(b []byte) []byte {
	code := "InternalServerError"
	for i, name := range codes {
		if name != "" && r.typ == namespace+name && i < len(statementCodes) && statementCodes[i] != "" {
			code = statementCodes[i]
		}
	}
	switch r.typ {
	case "com.amazon.coral.validate#ValidationException":
		code = "ValidationError"
	case namespace + "DuplicateItemException":
		code = "DuplicateItem"
	}
	b = quote.Append(append(b, `"Error":{"Code":`...), code)
	b = quote.Append(append(b, `,"Message":`...), r.message)
	return append(append(b, r.members...), '}')
}

func (d *Door) executeTransaction(c *call) *refusal {
	n := c.node
	requests := n.list("TransactStatements")
	var gets []read.Get
	var actions []write.Action
	var inserts []int
	for i := range requests {
		s, of, why := d.parsed(&requests[i])
		if why != nil {
			return why
		}
		if s.Kind == statement.Select {
			g, ok := s.Get(of)
			if !ok {
				return validation("Select statements within ExecuteTransaction must specify the primary key in the where clause.")
			}
			g.Consistent = true
			gets = append(gets, g)
			continue
		}
		a, why := d.action(&requests[i], s, of)
		if why != nil {
			return why
		}
		if a.Return != write.ReturnNothing {
			return validation("RETURNING clause is not supported within ExecuteTransaction")
		}
		if s.Kind == statement.Insert {
			inserts = append(inserts, i)
		}
		actions = append(actions, a)
	}
	if len(gets) > 0 && len(actions) > 0 {
		return validation("The transaction must contain either all reads or all writes")
	}
	if len(gets) > 0 {
		return d.transactReads(c, gets)
	}
	out, err := d.cfg.Tables.Transact(c.ctx, n.str("ClientRequestToken"), actions)
	if err != nil {
		if r, ok := errors.AsType[*refuse.Error](err); ok {
			named := *r
			named.Reasons = slices.Clone(r.Reasons)
			for _, i := range inserts {
				if i < len(named.Reasons) && named.Reasons[i].Code == refuse.ReasonCondition {
					named.Reasons[i] = refuse.Reason{Code: "DuplicateItem", Message: "Duplicate primary key exists in table"}
				}
			}
			codes := make([]string, len(named.Reasons))
			for i, reason := range named.Reasons {
				codes[i] = string(reason.Code)
			}
			if len(inserts) > 0 && r.Code == refuse.Canceled {
				named.Message = "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]"
			}
			err = &named
		}
		return d.refused(err)
	}
	var used []throughput.Capacity
	b := []byte(`{"Responses":[`)
	for _, o := range out {
		b = append(comma(b), `{}`...)
		used = throughput.Add(used, o.Capacity)
	}
	c.out = append(appendAllConsumed(append(b, ']'), n, used, true), '}')
	return nil
}

// transactReads answers a transaction that reads.
func (d *Door) transactReads(c *call, gets []read.Get) *refusal {
	got, err := d.cfg.Tables.GetAll(c.ctx, gets)
	if err != nil {
		return d.refused(err)
	}
	b := []byte(`{"Responses":[`)
	var used []throughput.Capacity
	for _, g := range got {
		b = append(comma(b), '{')
		if g.Found {
			b = value.AppendItemJSON(append(b, `"Item":`...), g.Item)
		}
		b = append(b, '}')
		used = throughput.Add(used, g.Capacity)
	}
	c.out = append(appendAllConsumed(append(b, ']'), c.node, used, true), '}')
	return nil
}
