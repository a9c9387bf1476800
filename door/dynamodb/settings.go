package dynamodb

import (
	"strings"
	"time"

	"github.com/daruma-io/daruma/table"
)

func (d *Door) alter(c *call, a table.Alteration) *refusal {
	if _, err := d.cfg.Tables.Alter(c.ctx, a); err != nil {
		return d.refused(err)
	}
	return nil
}

func (d *Door) updateTimeToLive(c *call) *refusal {
	spec := c.node.get("TimeToLiveSpecification")
	e := table.ExpirySetting{Attribute: spec.str("AttributeName"), Enabled: spec.flag("Enabled")}
	if r := d.alter(c, table.Alteration{Table: tableName(c.node.str("TableName")), Expiry: &e}); r != nil {
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

// resource finds the table that an ARN names.
func (d *Door) resource(c *call) (*table.Definition, *refusal) {
	arn := c.node.str("ResourceArn")
	if !strings.HasPrefix(arn, "arn:aws:dynamodb:") || !strings.Contains(arn, ":table/") {
		return nil, validation("Invalid TableArn: Invalid ResourceArn provided as input " + arn)
	}
	t := d.cfg.Tables.Definition(tableName(arn))
	if t == nil || d.arn(t.Name) != arn {
		return nil, &refusal{status: 400, typ: namespace + "ResourceNotFoundException", key: "message", message: "Requested resource not found: ResourcArn: " + arn + " not found"}
	}
	return t, nil
}

func (d *Door) tagResource(c *call) *refusal {
	if len(c.node.list("Tags")) == 0 {
		return validation("Atleast one Tag needs to be provided as Input.")
	}
	t, r := d.resource(c)
	if r != nil {
		return r
	}
	return d.alter(c, table.Alteration{Table: t.Name, Tag: tagsIn(c.node)})
}

func (d *Door) untagResource(c *call) *refusal {
	if len(c.node.list("TagKeys")) == 0 {
		return validation("Atleast one Tag Key needs to be provided as Input.")
	}
	t, r := d.resource(c)
	if r != nil {
		return r
	}
	return d.alter(c, table.Alteration{Table: t.Name, Untag: c.node.texts("TagKeys")})
}

func (d *Door) listTags(c *call) *refusal {
	t, r := d.resource(c)
	if r != nil {
		return r
	}
	tags := t.Tags
	if tags == nil {
		tags = []table.Tag{}
	}
	type tag struct{ Key, Value string }
	all := make([]tag, len(tags))
	for i, t := range tags {
		all[i] = tag(t)
	}
	return c.reply(map[string]any{"Tags": all})
}

// recoveryDays is how far back continuous backups reach, where they are on.
const recoveryDays = 35

func (d *Door) backups(c *call, t *table.Definition) *refusal {
	recovery := map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if t.Recovery {
		now := seconds(d.cfg.Clock.Now().Truncate(time.Second))
		recovery = map[string]any{"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": recoveryDays, "EarliestRestorableDateTime": now, "LatestRestorableDateTime": now}
	}
	return c.reply(map[string]any{"ContinuousBackupsDescription": map[string]any{"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}})
}

func (d *Door) tableOr(c *call) (*table.Definition, *refusal) {
	name := tableName(c.node.str("TableName"))
	t := d.cfg.Tables.Definition(name)
	if t == nil {
		return nil, &refusal{status: 400, typ: namespace + "TableNotFoundException", key: "message", message: "Table not found: " + name}
	}
	return t, nil
}

func (d *Door) describeBackups(c *call) *refusal {
	t, r := d.tableOr(c)
	if r != nil {
		return r
	}
	return d.backups(c, t)
}

// updateBackups keeps what was asked for, so that what reads it back sees it.
// There is nothing to restore from but the cell's own checkpoints.
func (d *Door) updateBackups(c *call) *refusal {
	t, r := d.tableOr(c)
	if r != nil {
		return r
	}
	on := c.node.get("PointInTimeRecoverySpecification").flag("PointInTimeRecoveryEnabled")
	made, err := d.cfg.Tables.Alter(c.ctx, table.Alteration{Table: t.Name, Recovery: &on})
	if err != nil {
		return d.refused(err)
	}
	return d.backups(c, made)
}

func (d *Door) describeLimits(c *call) *refusal {
	return c.reply(map[string]any{"AccountMaxReadCapacityUnits": 80000, "AccountMaxWriteCapacityUnits": 80000, "TableMaxReadCapacityUnits": 40000, "TableMaxWriteCapacityUnits": 40000})
}

func (d *Door) describeEndpoints(c *call) *refusal {
	return c.reply(map[string]any{"Endpoints": []any{map[string]any{"Address": "dynamodb." + d.cfg.Region + ".amazonaws.com", "CachePeriodInMinutes": 1440}}})
}
