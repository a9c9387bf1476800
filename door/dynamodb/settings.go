package dynamodb

import (
	"strings"

	"github.com/daruma-io/daruma/table/schema"
)

func (d *Door) alter(c *call, a schema.Alteration) *refusal {
	if _, err := d.cfg.Tables.Alter(c.ctx, a); err != nil {
		return d.refused(err)
	}
	return nil
}

func (d *Door) updateTimeToLive(c *call) *refusal {
	spec := c.node.get("TimeToLiveSpecification")
	e := schema.ExpirySetting{Attribute: spec.str("AttributeName"), Enabled: spec.flag("Enabled")}
	if r := d.alter(c, schema.Alteration{Table: tableName(c.node.str("TableName")), Expiry: &e}); r != nil {
		return r
	}
	return c.reply(map[string]any{"TimeToLiveSpecification": map[string]any{"AttributeName": e.Attribute, "Enabled": e.Enabled}})
}

func (d *Door) describeTimeToLive(c *call) *refusal {
	t := d.cfg.Tables.Definition(tableName(c.node.str("TableName")))
	if t == nil {
		return d.refused(noTable(tableName(c.node.str("TableName"))))
	}
	answer := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if t.Expiry != "" {
		answer = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.Expiry}
	}
	return c.reply(map[string]any{"TimeToLiveDescription": answer})
}

// resource finds the table that an ARN names. Before it is looked for, a request that
// has no elements in the member named is refused with the text given.
func (d *Door) resource(c *call, member, nothing string) (*schema.Definition, *refusal) {
	arn := c.node.str("ResourceArn")
	if !strings.HasPrefix(arn, "arn:aws:dynamodb:") || !strings.Contains(arn, ":table/") || len(tableName(arn)) < 3 {
		return nil, validation("Invalid TableArn: Invalid ResourceArn provided as input " + arn)
	}
	if member != "" && len(c.node.list(member)) == 0 {
		return nil, validation(nothing)
	}
	t := d.cfg.Tables.Definition(tableName(arn))
	if t == nil || d.arn(t.Name) != arn {
		return nil, &refusal{status: 400, typ: namespace + "ResourceNotFoundException", key: "message", message: "Requested resource not found: ResourcArn: " + arn + " not found"}
	}
	return t, nil
}

func (d *Door) tagResource(c *call) *refusal {
	t, r := d.resource(c, "Tags", "Atleast one Tag needs to be provided as Input.")
	if r != nil {
		return r
	}
	return d.alter(c, schema.Alteration{Table: t.Name, Tag: tagsIn(c.node)})
}

func (d *Door) untagResource(c *call) *refusal {
	t, r := d.resource(c, "TagKeys", "Atleast one Tag Key needs to be provided as Input.")
	if r != nil {
		r.message, _, _ = strings.Cut(r.message, ": ResourcArn") // the service does not name it here
		return r
	}
	return d.alter(c, schema.Alteration{Table: t.Name, Untag: c.node.texts("TagKeys")})
}

func (d *Door) listTags(c *call) *refusal {
	if c.node.str("NextToken") != "" {
		return validation("Invalid NextToken") // none is ever given: all tags fit into one answer
	}
	t, r := d.resource(c, "", "")
	if r != nil {
		return r
	}
	tags := t.Tags
	if tags == nil {
		tags = []schema.Tag{}
	}
	type tag struct{ Key, Value string }
	all := make([]tag, len(tags))
	for i, t := range tags {
		all[i] = tag(t)
	}
	return c.reply(map[string]any{"Tags": all})
}

// Nothing can be restored from but checkpoints of the whole cell: no table has
// continuous backups, and what asks for them is refused.

func (c *call) noRecovery() *refusal {
	return c.reply(map[string]any{"ContinuousBackupsDescription": map[string]any{"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}}})
}

func (d *Door) describeBackups(c *call) *refusal {
	if r := d.backedUp(c); r != nil {
		return r
	}
	return c.noRecovery()
}

func (d *Door) updateBackups(c *call) *refusal {
	if r := d.backedUp(c); r != nil {
		return r
	}
	if c.node.get("PointInTimeRecoverySpecification").flag("PointInTimeRecoveryEnabled") {
		return validation("PointInTimeRecoveryEnabled is not supported here: a table cannot be restored to an earlier time")
	}
	return c.noRecovery()
}

// backedUp refuses what is asked of backups of a table that is not there.
func (d *Door) backedUp(c *call) *refusal {
	name := tableName(c.node.str("TableName"))
	if d.cfg.Tables.Definition(name) == nil {
		return &refusal{status: 400, typ: namespace + "TableNotFoundException", key: "message", message: "Table not found: " + name}
	}
	return nil
}

// describeLimits tells what a table may be provisioned with; nothing bounds all of them together.
func (d *Door) describeLimits(c *call) *refusal {
	return c.reply(map[string]any{"AccountMaxReadCapacityUnits": schema.ThroughputMax, "AccountMaxWriteCapacityUnits": schema.ThroughputMax, "TableMaxReadCapacityUnits": schema.ThroughputMax, "TableMaxWriteCapacityUnits": schema.ThroughputMax})
}

// describeEndpoints tells clients that look for an endpoint to stay with the one they asked.
func (d *Door) describeEndpoints(c *call) *refusal {
	return c.reply(map[string]any{"Endpoints": []any{map[string]any{"Address": c.host, "CachePeriodInMinutes": 1440}}})
}
