package schema

import (
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/refuse"
)

// Validate holds a definition to the rules for tables (API Reference,
// CreateTable), in the order in which the service tells them.
func (d *Definition) Validate() error {
	if err := d.ValidateThroughput(); err != nil {
		return err
	}
	if err := d.ValidateKey(); err != nil {
		return err
	}
	if len(d.Indexes) == 0 && len(d.Attributes) != len(d.Key.Names()) {
		return refuse.Invalid("%sNumber of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions", refuse.WrongParameters)
	}
	if err := d.ValidateIndexes(); err != nil {
		return err
	}
	used := d.KeysUsed()
	if len(used) < len(d.Attributes) {
		return refuse.Invalid("%sSome AttributeDefinitions are not used. AttributeDefinitions: %s, keys used: %s", refuse.WrongParameters, d.attributeList(), Listed(used))
	}
	return nil
}

// ValidateThroughput checks that throughput is provisioned, or not, as the table is billed.
func (d *Definition) ValidateThroughput() error {
	t := d.Throughput
	switch {
	case d.OnDemand && (t.Read != 0 || t.Write != 0):
		return refuse.Invalid("%sNeither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST", refuse.WrongParameters)
	case !d.OnDemand && (t.Read < 1 || t.Write < 1):
		return refuse.Invalid("%sReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED", refuse.WrongParameters)
	}
	return t.Validate("")
}

// Validate checks the bounds of what is provisioned for an index, or for the table for "".
func (t Throughput) Validate(index string) error {
	of := ""
	if index != "" {
		of = " for index " + index
	}
	switch {
	case t.Read > ThroughputMax:
		return refuse.Invalid("Given value %d for ReadCapacityUnits is out of bounds%s", t.Read, of)
	case t.Write > ThroughputMax:
		return refuse.Invalid("Given value %d for WriteCapacityUnits is out of bounds%s", t.Write, of)
	}
	return nil
}

// Listed is names as the service lists them.
func Listed(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

func (d *Definition) attributeList() string {
	names := make([]string, len(d.Attributes))
	for i := range names {
		names[i] = d.Attributes[i].Name
	}
	return Listed(names)
}

// ValidateKey checks that what the table's key is made of is defined.
func (d *Definition) ValidateKey() error {
	if len(d.Key.Names()) > len(d.Attributes) {
		return refuse.Invalid("Invalid KeySchema: Some index key attribute have no definition")
	}
	return d.validateKey(d.Key)
}

// ValidateIndexKey checks that the table can have an index of its kind, and that what
// its key is made of is defined.
func (d *Definition) ValidateIndexKey(x *Index) error {
	if x.Local && len(d.Key.Range) == 0 {
		return refuse.Invalid("%sTable KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex", refuse.WrongParameters)
	}
	return d.validateKey(x.Key)
}

func (d *Definition) validateKey(k KeySchema) error {
	names := k.Names()
	for _, n := range names {
		if d.Kind(n) == 0 {
			return refuse.Invalid("%sSome index key attributes are not defined in AttributeDefinitions. Keys: %s, AttributeDefinitions: %s", refuse.WrongParameters, Listed(names), d.attributeList())
		}
	}
	for i := range names {
		if slices.Contains(names[:i], names[i]) {
			return refuse.Invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
		}
	}
	return nil
}

// ValidateIndexes checks the indexes, and what they are made of.
func (d *Definition) ValidateIndexes() error {
	locals, globals, included := 0, 0, 0
	for i := range d.Indexes {
		x := &d.Indexes[i]
		if x.Local {
			locals++
		} else {
			globals++
		}
		if err := d.validateIndex(x); err != nil {
			return err
		}
		if slices.ContainsFunc(d.Indexes[:i], func(o Index) bool { return o.Name == x.Name }) {
			return refuse.Invalid("%sDuplicate index name: %s", refuse.WrongParameters, x.Name)
		}
		included += len(x.Projection.Include)
	}
	switch {
	case locals > LocalIndexesMax:
		return refuse.Invalid("%sNumber of LocalSecondaryIndexes exceeds per-table limit of %d", refuse.WrongParameters, LocalIndexesMax)
	case globals > GlobalIndexesMax:
		return refuse.Invalid("%sGlobalSecondaryIndex count exceeds the per-table limit of %d", refuse.WrongParameters, GlobalIndexesMax)
	case included > nonKeyProjections:
		return refuse.Of(&refuse.Error{Code: refuse.LimitExceeded, Message: "The total number of non-key attributes projected into the table's indexes exceeds " + strconv.Itoa(nonKeyProjections)})
	}
	return nil
}

func (d *Definition) validateIndex(x *Index) error {
	if err := d.ValidateIndexKey(x); err != nil {
		return err
	}
	switch {
	case x.Local && len(x.Key.Range) == 0:
		return refuse.Invalid("%sIndex KeySchema does not have a range key for index: %s", refuse.WrongParameters, x.Name)
	case x.Local && x.Key.Hash[0] != d.Key.Hash[0]:
		return refuse.Invalid("%sIndex KeySchema does not have the same leading hash key as table KeySchema for index: %s. index hash key: %s, table hash key: %s", refuse.WrongParameters, x.Name, x.Key.Hash[0], d.Key.Hash[0])
	}
	switch p := x.Projection; p.Kind {
	case ProjectAll, ProjectKeys:
		if p.Include != nil {
			return refuse.Invalid("%sProjectionType is %s, but NonKeyAttributes is specified", refuse.WrongParameters, p.Kind)
		}
	case ProjectInclude:
		if p.Include == nil {
			return refuse.Invalid("%sProjectionType is INCLUDE, but NonKeyAttributes is not specified", refuse.WrongParameters)
		}
	default:
		return refuse.Invalid("%sUnknown ProjectionType: null", refuse.WrongParameters)
	}
	t := x.Throughput
	switch {
	case x.Local:
	case d.OnDemand && (t.Read != 0 || t.Write != 0):
		return refuse.Invalid("%sProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", refuse.WrongParameters, x.Name)
	case !d.OnDemand && (t.Read < 1 || t.Write < 1):
		return refuse.Invalid("%sProvisionedThroughput must be specified for index: %s", refuse.WrongParameters, x.Name)
	}
	return t.Validate(x.Name)
}

// KeysUsed is the attributes that keys are made of, in order of first use.
func (d *Definition) KeysUsed() []string {
	used := d.Key.Names()
	for i := range d.Indexes {
		for _, n := range d.Indexes[i].Key.Names() {
			if !slices.Contains(used, n) {
				used = append(used, n)
			}
		}
	}
	return used
}
