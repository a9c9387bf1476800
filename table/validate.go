package table

import (
	"slices"
	"strconv"
	"strings"
)

// validate holds a definition to the rules for tables (API Reference,
// CreateTable), in the order in which the service tells them.
func (d *Definition) validate() error {
	if err := d.validateThroughput(); err != nil {
		return err
	}
	if err := d.validateKey(d.Key); err != nil {
		return err
	}
	if len(d.Indexes) == 0 && len(d.Attributes) != len(d.Key.names()) {
		return invalid("%sNumber of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions", wrongParameters)
	}
	if err := d.validateIndexes(); err != nil {
		return err
	}
	used := d.keysUsed()
	if len(used) < len(d.Attributes) {
		return invalid("%sSome AttributeDefinitions are not used. AttributeDefinitions: %s, keys used: %s", wrongParameters, d.attributeList(), listed(used))
	}
	return nil
}

func (d *Definition) validateThroughput() error {
	t := d.Throughput
	switch {
	case d.OnDemand && (t.Read != 0 || t.Write != 0):
		return invalid("%sNeither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST", wrongParameters)
	case !d.OnDemand && (t.Read < 1 || t.Write < 1):
		return invalid("%sReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED", wrongParameters)
	}
	return t.validate("")
}

func (t Throughput) validate(index string) error {
	of := ""
	if index != "" {
		of = " for index " + index
	}
	switch {
	case t.Read > ThroughputMax:
		return invalid("Given value %d for ReadCapacityUnits is out of bounds%s", t.Read, of)
	case t.Write > ThroughputMax:
		return invalid("Given value %d for WriteCapacityUnits is out of bounds%s", t.Write, of)
	}
	return nil
}

func listed(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

func (d *Definition) attributeList() string {
	names := make([]string, len(d.Attributes))
	for i := range names {
		names[i] = d.Attributes[i].Name
	}
	return listed(names)
}

// validateKey checks that what a key is made of is defined.
func (d *Definition) validateKey(k KeySchema) error {
	names := k.names()
	for _, n := range names {
		if d.kind(n) == 0 {
			return invalid("%sSome index key attributes are not defined in AttributeDefinitions. Keys: %s, AttributeDefinitions: %s", wrongParameters, listed(names), d.attributeList())
		}
	}
	for i := range names {
		if slices.Contains(names[:i], names[i]) {
			return invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
		}
	}
	return nil
}

func (d *Definition) validateIndexes() error {
	locals, globals, included := 0, 0, 0
	for i := range d.Indexes {
		x := &d.Indexes[i]
		if x.Local {
			locals++
			if len(d.Key.Range) == 0 {
				return invalid("%sTable KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex", wrongParameters)
			}
		} else {
			globals++
		}
		if err := d.validateIndex(x); err != nil {
			return err
		}
		if slices.ContainsFunc(d.Indexes[:i], func(o Index) bool { return o.Name == x.Name }) {
			return invalid("%sDuplicate index name: %s", wrongParameters, x.Name)
		}
		included += len(x.Projection.Include)
	}
	switch {
	case locals > LocalIndexesMax:
		return invalid("%sNumber of LocalSecondaryIndexes exceeds per-table limit of %d", wrongParameters, LocalIndexesMax)
	case globals > GlobalIndexesMax:
		return invalid("%sGlobalSecondaryIndex count exceeds the per-table limit of %d", wrongParameters, GlobalIndexesMax)
	case included > nonKeyProjections:
		return refuse(&Refusal{Code: LimitExceeded, Message: "The total number of non-key attributes projected into the table's indexes exceeds " + strconv.Itoa(nonKeyProjections)})
	}
	return nil
}

func (d *Definition) validateIndex(x *Index) error {
	if err := d.validateKey(x.Key); err != nil {
		return err
	}
	switch {
	case x.Local && len(x.Key.Range) == 0:
		return invalid("%sIndex KeySchema does not have a range key for index: %s", wrongParameters, x.Name)
	case x.Local && x.Key.Hash[0] != d.Key.Hash[0]:
		return invalid("%sIndex KeySchema does not have the same leading hash key as table KeySchema for index: %s. index hash key: %s, table hash key: %s", wrongParameters, x.Name, x.Key.Hash[0], d.Key.Hash[0])
	}
	switch p := x.Projection; p.Kind {
	case ProjectAll, ProjectKeys:
		if p.Include != nil {
			return invalid("%sProjectionType is %s, but NonKeyAttributes is specified", wrongParameters, p.Kind)
		}
	case ProjectInclude:
		if p.Include == nil {
			return invalid("%sProjectionType is INCLUDE, but NonKeyAttributes is not specified", wrongParameters)
		}
	default:
		return invalid("%sUnknown ProjectionType: null", wrongParameters)
	}
	t := x.Throughput
	switch {
	case x.Local:
	case d.OnDemand && (t.Read != 0 || t.Write != 0):
		return invalid("%sProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", wrongParameters, x.Name)
	case !d.OnDemand && (t.Read < 1 || t.Write < 1):
		return invalid("%sProvisionedThroughput must be specified for index: %s", wrongParameters, x.Name)
	}
	return t.validate(x.Name)
}

// keysUsed is the attributes that keys are made of, in order of first use.
func (d *Definition) keysUsed() []string {
	used := d.Key.names()
	for i := range d.Indexes {
		for _, n := range d.Indexes[i].Key.names() {
			if !slices.Contains(used, n) {
				used = append(used, n)
			}
		}
	}
	return used
}
