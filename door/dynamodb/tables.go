package dynamodb

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
)

// readKey reads a key schema. The text says what is in a place where it cannot be; its
// turn comes when the attributes are known to be defined.
func readKey(n *node) (k schema.KeySchema, misplaced string) {
	for i, e := range n.list("KeySchema") {
		name, hash := e.str("AttributeName"), e.str("KeyType") == "HASH"
		switch {
		case misplaced != "":
		case i == 0 && !hash:
			misplaced = "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
		case hash && (len(k.Range) > 0 || i == 1 && n.get("IndexName") == nil):
			misplaced = "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
		}
		if hash {
			k.Hash = append(k.Hash, name)
		} else {
			k.Range = append(k.Range, name)
		}
	}
	if misplaced == "" && (len(k.Hash) > schema.KeyAttributesMax || len(k.Range) > schema.KeyAttributesMax) {
		misplaced = fmt.Sprintf("%sInvalid KeySchema: an index has at most %d HASH and %d RANGE attributes", wrongParameters, schema.KeyAttributesMax, schema.KeyAttributesMax)
	}
	return k, misplaced
}

func throughputIn(n *node) schema.Throughput {
	m := n.get("ProvisionedThroughput")
	read, _ := m.integer("ReadCapacityUnits")
	write, _ := m.integer("WriteCapacityUnits")
	return schema.Throughput{Read: read, Write: write}
}

func definitionsIn(n *node) []schema.KeyAttribute {
	var all []schema.KeyAttribute
	for _, e := range n.list("AttributeDefinitions") {
		all = append(all, schema.KeyAttribute{Name: e.str("AttributeName"), Kind: value.KindOf(e.str("AttributeType"))})
	}
	return all
}

func indexIn(n *node, local bool) (schema.Index, string) {
	k, text := readKey(n)
	p := n.get("Projection")
	x := schema.Index{Name: n.str("IndexName"), Local: local, Key: k, Throughput: throughputIn(n), Projection: schema.Projection{Kind: schema.ProjectionKind(p.str("ProjectionType")), Include: p.texts("NonKeyAttributes")}}
	if text == "" && local && len(k.Hash) > 1 {
		text = "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
	}
	return x, text
}

func tagsIn(n *node) []schema.Tag {
	var all []schema.Tag
	for _, e := range n.list("Tags") {
		all = append(all, schema.Tag{Key: e.str("Key"), Value: e.str("Value")})
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

func viewIn(n *node) (schema.View, string) {
	s := n.get("StreamSpecification")
	view := schema.View(s.str("StreamViewType"))
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
func creation(n *node) (create schema.Creation, text string) {
	if text := absent(n, "OnDemandThroughput", "WarmThroughput", "ResourcePolicy", "GlobalTableSourceArn", "GlobalTableSettingsReplicationMode"); text != "" {
		return create, text
	}
	k, misplaced := readKey(n)
	create.Definition = schema.Definition{
		Name: tableName(n.str("TableName")), Attributes: definitionsIn(n), Key: k, OnDemand: n.str("BillingMode") == "PAY_PER_REQUEST", Throughput: throughputIn(n),
		Protected: n.flag("DeletionProtectionEnabled"), Class: n.str("TableClass"), Tags: tagsIn(n),
	}
	for _, check := range []func() error{create.ValidateThroughput, create.ValidateKey} {
		if err := check(); err != nil {
			return create, refuse.Text(err)
		}
	}
	if misplaced != "" {
		return create, misplaced
	}
	for _, kind := range []string{"LocalSecondaryIndexes", "GlobalSecondaryIndexes"} {
		if m := n.get(kind); m != nil && len(m.kids) == 0 {
			return create, wrongParameters + "List of " + kind + " is empty"
		}
		for _, e := range n.list(kind) {
			x, misplaced := indexIn(&e, kind == "LocalSecondaryIndexes")
			if err := create.ValidateIndexKey(&x); err != nil {
				return create, refuse.Text(err)
			}
			if misplaced != "" {
				return create, misplaced
			}
			if why := absent(&e, "OnDemandThroughput", "WarmThroughput"); why != "" {
				return create, why
			}
			create.Indexes = append(create.Indexes, x)
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
func Wish(request, label string) (schema.Wish, error) {
	wrong := func(text string) (schema.Wish, error) {
		return schema.Wish{}, &daruma.Error{Kind: daruma.KindInvalid, Err: errors.New(text)}
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
	return schema.Wish{Creation: create}, nil
}

// bare is a definition with its stream, without counts.
func (d *Door) bare(t *schema.Definition) *table.Description {
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
func unchangedThroughput(what string, was, is schema.Throughput) string {
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
	a := schema.Alteration{Table: tableName(n.str("TableName")), Attributes: definitionsIn(n)}
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
	if changes := online(n); changes > 0 {
		if changes > 1 || slices.ContainsFunc(was.Indexes, func(x schema.Index) bool { return x.Building }) {
			return &refusal{status: 400, typ: namespace + "LimitExceededException", key: "message", message: "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"}
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
	return &refuse.Error{Code: refuse.NotFound, Message: "Requested resource not found: Table: " + name + " not found"}
}

// alterations reads what is to change.
func (d *Door) alterations(n *node, a *schema.Alteration) string {
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
		if err := t.Validate(""); err != nil {
			return refuse.Text(err)
		}
		a.Throughput = &t
	} else if a.OnDemand != nil && !*a.OnDemand {
		return wrongParameters + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED"
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

func indexAlterations(n *node, a *schema.Alteration) string {
	seen := map[string]bool{}
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
		name := cmp.Or(update.str("IndexName"), create.str("IndexName"), remove.str("IndexName"))
		if seen[name] {
			return wrongParameters + "Only one global secondary index update per index is allowed simultaneously. Index: " + name
		}
		seen[name] = true
		switch {
		case update != nil:
			if why := absent(update, "OnDemandThroughput", "WarmThroughput"); why != "" {
				return why
			}
			if a.Resize == nil {
				a.Resize = map[string]schema.Throughput{}
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
		default:
			a.Remove = name
		}
	}
	return ""
}

// online counts the indexes that a request creates and deletes.
func online(n *node) int {
	count := 0
	for _, e := range n.list("GlobalSecondaryIndexUpdates") {
		if e.get("Update") == nil {
			count++
		}
	}
	return count
}

// effective says that a change of throughput changes nothing.
func effective(was *schema.Definition, a *schema.Alteration) string {
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
