package dynamodb

import (
	"errors"
	"fmt"
	"slices"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/value"
)

// schema reads a key schema. The text says what is wrong with it.
func schema(n *node) (table.KeySchema, string) {
	var k table.KeySchema
	for i, e := range n.list("KeySchema") {
		name, hash := e.str("AttributeName"), e.str("KeyType") == "HASH"
		switch {
		case i == 0 && !hash:
			return k, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
		case hash && (len(k.Range) > 0 || i == 1 && n.get("IndexName") == nil):
			return k, "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
		case hash:
			k.Hash = append(k.Hash, name)
		default:
			k.Range = append(k.Range, name)
		}
	}
	if len(k.Hash) > table.KeyAttributesMax || len(k.Range) > table.KeyAttributesMax {
		return k, fmt.Sprintf("%sInvalid KeySchema: an index has at most %d HASH and %d RANGE attributes", wrongParameters, table.KeyAttributesMax, table.KeyAttributesMax)
	}
	return k, ""
}

func throughputIn(n *node) table.Throughput {
	m := n.get("ProvisionedThroughput")
	read, _ := m.integer("ReadCapacityUnits")
	write, _ := m.integer("WriteCapacityUnits")
	return table.Throughput{Read: read, Write: write}
}

func definitionsIn(n *node) []table.KeyAttribute {
	var all []table.KeyAttribute
	for _, e := range n.list("AttributeDefinitions") {
		all = append(all, table.KeyAttribute{Name: e.str("AttributeName"), Kind: value.KindOf(e.str("AttributeType"))})
	}
	return all
}

func indexIn(n *node, local bool) (table.Index, string) {
	k, text := schema(n)
	p := n.get("Projection")
	x := table.Index{Name: n.str("IndexName"), Local: local, Key: k, Throughput: throughputIn(n), Projection: table.Projection{Kind: table.ProjectionKind(p.str("ProjectionType")), Include: p.texts("NonKeyAttributes")}}
	if text == "" && local && len(k.Hash) > 1 {
		text = "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
	}
	return x, text
}

func tagsIn(n *node) []table.Tag {
	var all []table.Tag
	for _, e := range n.list("Tags") {
		all = append(all, table.Tag{Key: e.str("Key"), Value: e.str("Value")})
	}
	return all
}

// absent refuses members that mean something to the service and nothing here:
// to take them would say that it is done.
func absent(n *node, names ...string) string {
	for _, name := range names {
		if n.get(name) != nil {
			return name + " is not supported here"
		}
	}
	if n.get("SSESpecification").flag("Enabled") {
		return "SSESpecification is not supported here: a table is not encrypted with a key of its own"
	}
	return ""
}

func viewIn(n *node) (table.View, string) {
	s := n.get("StreamSpecification")
	view := table.View(s.str("StreamViewType"))
	switch on := s.flag("StreamEnabled"); {
	case on && view == "":
		return "", wrongParameters + "StreamViewType is required when StreamEnabled is true"
	case !on && view != "":
		return "", wrongParameters + "StreamViewType can only be specified when StreamEnabled is true"
	}
	return view, ""
}

func (d *Door) createTable(c *call) *refusal {
	create, text := creation(c.node)
	if text != "" {
		return validation(text)
	}
	made, err := d.cfg.Tables.Create(c.ctx, create)
	if err != nil {
		return d.refused(err)
	}
	return c.reply(map[string]any{"TableDescription": d.describe(d.bare(made), "CREATING")})
}

// creation reads a table that is to be made.
func creation(n *node) (create table.Creation, text string) {
	if text := absent(n, "OnDemandThroughput", "WarmThroughput", "ResourcePolicy", "GlobalTableSourceArn", "GlobalTableSettingsReplicationMode"); text != "" {
		return create, text
	}
	if n.get("ProvisionedThroughput") == nil && n.str("BillingMode") != "PAY_PER_REQUEST" {
		return create, wrongParameters + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
	}
	k, text := schema(n)
	if text != "" {
		return create, text
	}
	create.Definition = table.Definition{
		Name: tableName(n.str("TableName")), Attributes: definitionsIn(n), Key: k, OnDemand: n.str("BillingMode") == "PAY_PER_REQUEST", Throughput: throughputIn(n),
		Protected: n.flag("DeletionProtectionEnabled"), Class: n.str("TableClass"), Tags: tagsIn(n),
	}
	for _, kind := range []string{"LocalSecondaryIndexes", "GlobalSecondaryIndexes"} {
		if m := n.get(kind); m != nil && len(m.kids) == 0 {
			return create, wrongParameters + "List of " + kind + " is empty"
		}
		for _, e := range n.list(kind) {
			x, text := indexIn(&e, kind == "LocalSecondaryIndexes")
			if text != "" {
				return create, text
			}
			if why := absent(&e, "OnDemandThroughput", "WarmThroughput"); why != "" {
				return create, why
			}
			create.Definition.Indexes = append(create.Definition.Indexes, x)
		}
	}
	if n.get("StreamSpecification") != nil {
		create.View, text = viewIn(n)
	}
	return create, text
}

// Wish makes a wish of a request to create a table, as a template declares it.
// It is KindInvalid for what the service would refuse.
// Its stream has the label given.
func Wish(request, label string) (table.Wish, error) {
	wrong := func(text string) (table.Wish, error) {
		return table.Wish{}, &daruma.Error{Kind: daruma.KindInvalid, Err: errors.New(text)}
	}
	n, ok := parse(request)
	if !ok {
		return wrong("it is no JSON")
	}
	input := createInput()
	for _, check := range []func(*node) string{input.checkTypes, input.checkName, input.checkLimits} {
		if text := check(&n); text != "" {
			return wrong(text)
		}
	}
	create, text := creation(&n)
	if text != "" {
		return wrong(text)
	}
	create.Label = label
	return table.Wish{Creation: create}, nil
}

// bare is a definition with its stream, without counts.
func (d *Door) bare(t *table.Definition) *table.Description {
	out := &table.Description{Definition: t}
	for _, s := range d.cfg.Tables.Streams(t.Name) {
		if s.Number == t.LastStream {
			out.Stream = s
		}
	}
	return out
}

func (d *Door) describeTable(c *call) *refusal {
	t, err := d.cfg.Tables.Describe(c.ctx, tableName(c.node.str("TableName")))
	if err != nil {
		return d.refused(err)
	}
	return c.reply(map[string]any{"Table": d.describe(t, "ACTIVE")})
}

func (d *Door) deleteTable(c *call) *refusal {
	name := tableName(c.node.str("TableName"))
	before, err := d.cfg.Tables.Describe(c.ctx, name)
	if err != nil {
		return d.refused(err)
	}
	if _, err := d.cfg.Tables.Drop(c.ctx, name); err != nil {
		return d.refused(err)
	}
	return c.reply(map[string]any{"TableDescription": d.describe(before, "DELETING")})
}

// namesMax is how many names of tables one answer has.
const namesMax = 100

func (d *Door) listTables(c *call) *refusal {
	limit, ok := c.node.integer("Limit")
	if !ok {
		limit = namesMax
	}
	names := d.cfg.Tables.Names()
	if after := c.node.str("ExclusiveStartTableName"); after != "" {
		i, found := slices.BinarySearch(names, after)
		if found {
			i++
		}
		names = names[i:]
	}
	answer := map[string]any{"TableNames": names}
	if len(names) > int(limit) {
		names = names[:limit]
		answer["TableNames"], answer["LastEvaluatedTableName"] = names, names[limit-1]
	}
	return c.reply(answer)
}

const nothingToUpdate = "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"

const advice = " Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."

// unchangedThroughput says that a change of throughput changes nothing, and "" when it does.
func unchangedThroughput(what string, was, is table.Throughput) string {
	if was.Read != is.Read || was.Write != is.Write {
		return ""
	}
	kind := "table"
	if what != "the table" {
		kind = "index"
	}
	return fmt.Sprintf("The provisioned throughput for %s will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for the %s: %d. Requested ReadCapacityUnits: %d. Current WriteCapacityUnits provisioned for the %s: %d. Requested WriteCapacityUnits: %d.%s", what, kind, was.Read, is.Read, kind, was.Write, is.Write, advice)
}

func (d *Door) updateTable(c *call) *refusal {
	n := c.node
	if text := absent(n, "ReplicaUpdates", "OnDemandThroughput", "WarmThroughput", "MultiRegionConsistency", "GlobalTableWitnessUpdates", "GlobalTableSettingsReplicationMode"); text != "" {
		return validation(text)
	}
	a := table.Alteration{Table: tableName(n.str("TableName")), Attributes: definitionsIn(n)}
	if text := d.alterations(n, &a); text != "" {
		return validation(text)
	}
	was := d.cfg.Tables.Definition(a.Table)
	if was == nil {
		return d.refused(noTable(a.Table))
	}
	if text := effective(was, &a); text != "" {
		return validation(text)
	}
	if a.Add != nil || a.Remove != "" {
		for i := range was.Indexes {
			if was.Indexes[i].Building {
				return &refusal{status: 400, typ: namespace + "LimitExceededException", key: "message", message: "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"}
			}
		}
	}
	made, err := d.cfg.Tables.Alter(c.ctx, a)
	if err != nil {
		return d.refused(err)
	}
	after, err := d.cfg.Tables.Describe(c.ctx, made.Name)
	if err != nil {
		return d.refused(err)
	}
	return c.reply(map[string]any{"TableDescription": d.describe(after, "UPDATING")})
}

func noTable(name string) error {
	return &table.Refusal{Code: table.NotFound, Message: "Requested resource not found: Table: " + name + " not found"}
}

// alterations reads what is to change.
func (d *Door) alterations(n *node, a *table.Alteration) string {
	any := false
	for _, name := range []string{"ProvisionedThroughput", "BillingMode", "StreamSpecification", "GlobalSecondaryIndexUpdates", "SSESpecification", "TableClass", "DeletionProtectionEnabled"} {
		m := n.get(name)
		any = any || m != nil && (m.kind != nodeArray || len(m.kids) > 0)
	}
	if !any {
		return nothingToUpdate
	}
	if mode := n.str("BillingMode"); mode != "" {
		onDemand := mode == "PAY_PER_REQUEST"
		a.OnDemand = &onDemand
	}
	if n.get("ProvisionedThroughput") != nil {
		t := throughputIn(n)
		if a.OnDemand != nil && *a.OnDemand {
			return wrongParameters + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
		}
		a.Throughput = &t
	}
	if n.get("StreamSpecification") != nil {
		view, text := viewIn(n)
		if text != "" {
			return text
		}
		a.View = &view
	}
	if m := n.get("DeletionProtectionEnabled"); m != nil {
		on := m.kind == nodeTrue
		a.Protected = &on
	}
	if class := n.str("TableClass"); class != "" {
		a.Class = &class
	}
	return indexAlterations(n, a)
}

func indexAlterations(n *node, a *table.Alteration) string {
	changes := 0
	for _, e := range n.list("GlobalSecondaryIndexUpdates") {
		update, create, remove := e.get("Update"), e.get("Create"), e.get("Delete")
		given := 0
		for _, m := range []*node{update, create, remove} {
			if m != nil {
				given++
			}
		}
		if given != 1 {
			return wrongParameters + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null"
		}
		switch {
		case update != nil:
			name := update.str("IndexName")
			if _, twice := a.Resize[name]; twice {
				return wrongParameters + "Only one global secondary index update per index is allowed simultaneously. Index: " + name
			}
			if why := absent(update, "OnDemandThroughput", "WarmThroughput"); why != "" {
				return why
			}
			if a.Resize == nil {
				a.Resize = map[string]table.Throughput{}
			}
			a.Resize[name] = throughputIn(update)
		case create != nil:
			if why := absent(create, "OnDemandThroughput", "WarmThroughput"); why != "" {
				return why
			}
			x, text := indexIn(create, false)
			if text != "" {
				return text
			}
			a.Add = &x
			changes++
		default:
			a.Remove = remove.str("IndexName")
			changes++
		}
	}
	if changes > 1 {
		return wrongParameters + "Only 1 online index can be created or deleted simultaneously per table"
	}
	return ""
}

// effective says that a change of throughput changes nothing.
func effective(was *table.Definition, a *table.Alteration) string {
	if a.Throughput != nil && (a.OnDemand == nil || *a.OnDemand == was.OnDemand) {
		if text := unchangedThroughput("the table", was.Throughput, *a.Throughput); text != "" && len(a.Resize) == 0 {
			return text
		}
	}
	for name, t := range a.Resize {
		if x := was.Index(name); x != nil && !was.OnDemand {
			if text := unchangedThroughput("the index "+name, x.Throughput, t); text != "" {
				return text
			}
		}
	}
	return ""
}
