package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/daruma-io/daruma/template/tree"
)

const (
	dynamoTable = "AWS::DynamoDB::Table"
	simpleTable = "AWS::Serverless::SimpleTable"
)

// TableStreamLabel ends the ARN of the stream of a table that a template
// declares: functions are told the ARN before there is a stream.
const TableStreamLabel = "2012-08-10T00:00:00.000"

// A Table is a table that should exist.
type Table struct {
	LogicalID string
	Name      string
	Request   string // the request to create it, as the service's API has it: JSON
	Expiry    string // the attribute that says when items expire; "" for none
	Retain    bool   // it stays, with its items, when the template says nothing of it any more
	Position  string
}

// table reads an AWS::DynamoDB::Table.
func (l *loader) table(r *resource) {
	p := l.properties(r)
	p.require("KeySchema")
	request := map[string]any{}
	for _, name := range []string{"KeySchema", "AttributeDefinitions", "BillingMode", "ProvisionedThroughput", "LocalSecondaryIndexes", "GlobalSecondaryIndexes", "StreamSpecification", "TableClass", "DeletionProtectionEnabled"} {
		if v := p.value(name); v != nil {
			request[name] = plainValue(name, v.Value())
		}
	}
	l.indexPromises(p, request)
	if s, ok := request["StreamSpecification"].(map[string]any); ok {
		s["StreamEnabled"] = true
	}
	if request["BillingMode"] == "PAY_PER_REQUEST" {
		delete(request, "ProvisionedThroughput") // the service takes both from a template, and this one counts
	}
	t := Table{Retain: l.retained(r)}
	if s := p.sub("TimeToLiveSpecification"); s != nil {
		if name := s.text("AttributeName"); s.boolean("Enabled") {
			t.Expiry = name
		}
		s.done()
	}
	tagRequest(request, l.tagList(p))
	p.accept("WarmThroughput") // a table of here needs no warming
	l.protection(p)
	l.insights(p)
	for name, missing := range map[string]string{
		"KinesisStreamSpecification": "the copies of changes in the stream", "ResourcePolicy": "the policy of the table",
		"ImportSourceSpecification": "the items that would be imported", "OnDemandThroughput": "the limit of throughput on demand",
	} {
		p.refuse(name, missing, "")
	}
	l.addTable(r, p, t, request)
}

// simpleTable reads an AWS::Serverless::SimpleTable: one key, on demand unless
// throughput is given.
func (l *loader) simpleTable(r *resource) {
	p := l.properties(r)
	name, kind := "id", "S"
	if k := p.sub("PrimaryKey"); k != nil {
		k.require("Type")
		if n := k.text("Name"); n != "" {
			name = n
		}
		switch k.one("Type", "String", "Number", "Binary") {
		case "Number":
			kind = "N"
		case "Binary":
			kind = "B"
		}
		k.done()
	}
	request := map[string]any{
		"KeySchema":            []any{map[string]any{"AttributeName": name, "KeyType": "HASH"}},
		"AttributeDefinitions": []any{map[string]any{"AttributeName": name, "AttributeType": kind}},
		"BillingMode":          "PAY_PER_REQUEST",
	}
	if v := p.value("ProvisionedThroughput"); v != nil {
		request["BillingMode"], request["ProvisionedThroughput"] = "PROVISIONED", plainValue("", v.Value())
	}
	tagRequest(request, p.textMap("Tags"))
	t := Table{Retain: l.retained(r)}
	l.protection(p)
	l.addTable(r, p, t, request)
}

// insights reads whether reports about keys are asked for.
func (l *loader) insights(p *properties) {
	s := p.sub("ContributorInsightsSpecification")
	if s == nil {
		return
	}
	if s.boolean("Enabled") {
		l.unkeep(insights, s.at("Enabled"))
	}
	s.accept("Mode")
	s.done()
}

// indexPromises takes out of the request what global indexes ask for that
// changes nothing here, as for tables.
func (l *loader) indexPromises(p *properties, request map[string]any) {
	all, _ := request["GlobalSecondaryIndexes"].([]any)
	for i, item := range p.list("GlobalSecondaryIndexes") {
		if of, ok := all[i].(map[string]any); ok && item.Kind == tree.Map {
			l.insights(l.within(fmt.Sprintf("GlobalSecondaryIndexes[%d]", i), item))
			delete(of, "ContributorInsightsSpecification")
			delete(of, "WarmThroughput")
		}
	}
}

// protection reads what protects items on AWS, and not here.
func (l *loader) protection(p *properties) {
	if s := p.sub("PointInTimeRecoverySpecification"); s != nil {
		if s.boolean("PointInTimeRecoveryEnabled") {
			l.unkeep(recovery, s.at("PointInTimeRecoveryEnabled"))
		}
		s.accept("RecoveryPeriodInDays")
		s.done()
	}
	if s := p.sub("SSESpecification"); s != nil {
		if s.boolean("SSEEnabled") {
			l.unkeep(encryption, s.at("SSEEnabled"))
		}
		s.accept("SSEType", "KMSMasterKeyId")
		s.done()
	}
}

func tagRequest(request map[string]any, tags map[string]string) {
	var all []any
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, map[string]any{"Key": name, "Value": tags[name]})
	}
	if all != nil {
		request["Tags"] = all
	}
}

func (l *loader) addTable(r *resource, p *properties, t Table, request map[string]any) {
	name := l.physicalName(r, r.at)
	p.text("TableName")
	p.done()
	if name == nil || name.Kind == tree.Broken {
		return
	}
	for _, o := range l.app.Tables {
		if o.Name == name.Text {
			p.fault("TableName", p.at("TableName"), "the table "+o.Name+" exists already", "the other is "+o.LogicalID)
			return
		}
	}
	request["TableName"] = name.Text
	text, err := json.Marshal(request)
	if err != nil {
		p.fault("", r.at, "the table's properties are no JSON: "+err.Error(), "")
		return
	}
	t.LogicalID, t.Name, t.Request, t.Position = r.id, name.Text, string(text), r.at.String()
	l.app.Tables = append(l.app.Tables, t)
}

// plainValue makes numbers and booleans of texts, where the API wants those:
// a template may write them either way.
func plainValue(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plainValue(k, v[k])
		}
	case []any:
		for i := range v {
			v[i] = plainValue(name, v[i])
		}
	case string:
		switch name {
		case "ReadCapacityUnits", "WriteCapacityUnits":
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				return n
			}
		case "DeletionProtectionEnabled":
			if b, err := strconv.ParseBool(v); err == nil {
				return b
			}
		}
	}
	return v
}

// tableARN is that of a table.
func (l *loader) tableARN(name string) string { return l.arn("dynamodb", "table/"+name) }
