package dynamodb

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/dynamodb/streams"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/schema"
)

// The answers of operations on tables, as the API Reference has them.

type seconds time.Time

// MarshalJSON writes a time as seconds since 1970, to the millisecond.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(s).UnixMilli())/1000, 'f', -1, 64), nil
}

func moment(t time.Time) *seconds {
	if t.IsZero() {
		return nil
	}
	s := seconds(t)
	return &s
}

type keyElement struct {
	AttributeName string
	KeyType       string
}

type attributeDefinition struct {
	AttributeName string
	AttributeType string
}

type throughputAnswer struct {
	LastIncreaseDateTime   *seconds `json:",omitempty"`
	LastDecreaseDateTime   *seconds `json:",omitempty"`
	NumberOfDecreasesToday int
	ReadCapacityUnits      int64
	WriteCapacityUnits     int64
}

type projectionAnswer struct {
	ProjectionType   string
	NonKeyAttributes []string `json:",omitempty"`
}

type warmth struct {
	ReadUnitsPerSecond  int64
	WriteUnitsPerSecond int64
	Status              string
}

type indexAnswer struct {
	IndexName             string
	KeySchema             []keyElement
	Projection            projectionAnswer
	IndexStatus           string            `json:",omitempty"`
	Backfilling           *bool             `json:",omitempty"`
	ProvisionedThroughput *throughputAnswer `json:",omitempty"`
	WarmThroughput        *warmth           `json:",omitempty"`
	IndexSizeBytes        int64
	ItemCount             int64
	IndexArn              string
}

type billingAnswer struct {
	BillingMode                       string
	LastUpdateToPayPerRequestDateTime *seconds `json:",omitempty"`
}

type streamAnswer struct {
	StreamEnabled  bool
	StreamViewType string `json:",omitempty"`
}

type classAnswer struct {
	TableClass string
}

type tableAnswer struct {
	AttributeDefinitions      []attributeDefinition
	TableName                 string
	KeySchema                 []keyElement
	TableStatus               string
	CreationDateTime          *seconds
	ProvisionedThroughput     throughputAnswer
	BillingModeSummary        *billingAnswer `json:",omitempty"`
	TableSizeBytes            int64
	ItemCount                 int64
	TableArn                  string
	TableId                   string
	LocalSecondaryIndexes     []indexAnswer `json:",omitempty"`
	GlobalSecondaryIndexes    []indexAnswer `json:",omitempty"`
	StreamSpecification       *streamAnswer `json:",omitempty"`
	LatestStreamLabel         string        `json:",omitempty"`
	LatestStreamArn           string        `json:",omitempty"`
	TableClassSummary         *classAnswer  `json:",omitempty"`
	WarmThroughput            *warmth       `json:",omitempty"`
	DeletionProtectionEnabled bool
}

func keySchema(k schema.KeySchema) []keyElement {
	var all []keyElement
	for _, n := range k.Hash {
		all = append(all, keyElement{n, "HASH"})
	}
	for _, n := range k.Range {
		all = append(all, keyElement{n, "RANGE"})
	}
	return all
}

func throughputOf(t schema.Throughput) throughputAnswer {
	return throughputAnswer{LastIncreaseDateTime: moment(t.Increased), LastDecreaseDateTime: moment(t.Decreased), NumberOfDecreasesToday: t.Decreases, ReadCapacityUnits: t.Read, WriteCapacityUnits: t.Write}
}

// Warm throughput is what a table can take at once: on demand that of a new
// table, otherwise what is provisioned.
const (
	warmReads  = 12000
	warmWrites = 4000
)

func warmthOf(onDemand bool, t schema.Throughput, status string) *warmth {
	if onDemand {
		return &warmth{warmReads, warmWrites, status}
	}
	return &warmth{t.Read, t.Write, status}
}

// streamARN is a stream's name.
func (d *Door) streamARN(s *table.Stream) string {
	return streams.ARN(catalog.Place{Region: d.cfg.Region, Account: d.cfg.Account}, s)
}

// describe writes a table with a status of its own.
func (d *Door) describe(t *table.Description, status string) *tableAnswer {
	a := &tableAnswer{
		TableName: t.Name, TableStatus: status, CreationDateTime: moment(t.Created), KeySchema: keySchema(t.Key), ProvisionedThroughput: throughputOf(t.Throughput),
		TableSizeBytes: t.Count.Bytes, ItemCount: t.Count.Items, TableArn: d.arn(t.Name), TableId: t.ID, DeletionProtectionEnabled: t.Protected,
		WarmThroughput: warmthOf(t.OnDemand, t.Throughput, status),
	}
	for _, k := range t.Attributes {
		a.AttributeDefinitions = append(a.AttributeDefinitions, attributeDefinition{k.Name, k.Kind.String()})
	}
	if t.OnDemand {
		a.BillingModeSummary = &billingAnswer{BillingMode: "PAY_PER_REQUEST"}
		if t.Billed != nil && status != "CREATING" {
			a.BillingModeSummary.LastUpdateToPayPerRequestDateTime = moment(*t.Billed)
		}
	}
	if t.Class != "" {
		a.TableClassSummary = &classAnswer{t.Class}
	}
	if s := t.Stream; s != nil {
		a.LatestStreamLabel, a.LatestStreamArn = streams.Label(s), d.streamARN(s)
		if t.Definition.Stream != 0 {
			a.StreamSpecification = &streamAnswer{true, string(s.View)}
		}
	}
	for i := range t.Definition.Indexes {
		x := &t.Definition.Indexes[i]
		out := indexAnswer{IndexName: x.Name, KeySchema: keySchema(x.Key), Projection: projectionAnswer{string(x.Projection.Kind), x.Projection.Include}, IndexArn: d.arn(t.Name) + "/index/" + x.Name}
		if i < len(t.Indexes) {
			out.IndexSizeBytes, out.ItemCount = t.Indexes[i].Bytes, t.Indexes[i].Items
		}
		if x.Local {
			a.LocalSecondaryIndexes = append(a.LocalSecondaryIndexes, out)
			continue
		}
		own := throughputOf(x.Throughput)
		out.IndexStatus, out.ProvisionedThroughput = "ACTIVE", &own
		if status == "CREATING" {
			out.IndexStatus = status
		}
		if x.Building {
			out.IndexStatus, out.Backfilling = "CREATING", new(true)
		}
		out.WarmThroughput = warmthOf(t.OnDemand, x.Throughput, out.IndexStatus)
		a.GlobalSecondaryIndexes = append(a.GlobalSecondaryIndexes, out)
	}
	return a
}

// reply answers with v as JSON.
func (c *call) reply(v any) *refusal {
	b, err := json.Marshal(v)
	if err != nil {
		return failed(err)
	}
	c.out = b
	return nil
}
