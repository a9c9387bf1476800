package dynamodb

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestsFromBeforeExpressionsMeanTheSame(t *testing.T) {
	w := newWorld(t)
	w.plain()
	w.ok("PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"},"n":{"N":"1"},"ss":{"SS":["a","b"]},"l":{"L":[{"S":"1"}]},"s":{"S":"hello"}}}`)
	for _, b := range []string{"1", "2", "3"} {
		w.ok("PutItem", `{"TableName":"range","Item":{"a":{"S":"x"},"b":{"N":"`+b+`"},"d":{"S":"d`+b+`"}}}`)
	}
	for _, c := range []struct{ op, body, want string }{
		{"PutItem", `{"TableName":"plain","Item":{"a":{"S":"y"}},"Expected":{"a":{"Exists":false}}}`, `{}`},
		{"DeleteItem", `{"TableName":"plain","Key":{"a":{"S":"y"}},"Expected":{"a":{"Value":{"S":"y"}}},"ReturnValues":"ALL_OLD"}`, `{"Attributes":{"a":{"S":"y"}}}`},
		{"UpdateItem", `{"TableName":"plain","Key":{"a":{"S":"x"}},"AttributeUpdates":{"n":{"Action":"ADD","Value":{"N":"4"}},"ss":{"Action":"DELETE","Value":{"SS":["a"]}},"l":{"Action":"ADD","Value":{"L":[{"S":"2"}]}},"s":{"Action":"DELETE"},"name":{"Value":{"S":"new"}}},"Expected":{"n":{"ComparisonOperator":"GE","AttributeValueList":[{"N":"1"}]},"s":{"ComparisonOperator":"BEGINS_WITH","AttributeValueList":[{"S":"hel"}]}},"ReturnValues":"ALL_NEW"}`,
			`{"Attributes":{"a":{"S":"x"},"l":{"L":[{"S":"1"},{"S":"2"}]},"n":{"N":"5"},"name":{"S":"new"},"ss":{"SS":["b"]}}}`},
		{"UpdateItem", `{"TableName":"plain","Key":{"a":{"S":"z"}},"AttributeUpdates":{"n":{"Action":"ADD","Value":{"N":"4"}}},"ReturnValues":"UPDATED_NEW"}`, `{"Attributes":{"n":{"N":"4"}}}`},
		{"Query", `{"TableName":"range","KeyConditions":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"x"}]},"b":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"2"}]}},"AttributesToGet":["b"]}`, `{"Count":2,"ScannedCount":2,"Items":[{"b":{"N":"1"}},{"b":{"N":"2"}}]}`},
		{"Query", `{"TableName":"range","KeyConditions":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"x"}]}},"QueryFilter":{"d":{"ComparisonOperator":"IN","AttributeValueList":[{"S":"d1"},{"S":"d3"}]}},"Select":"COUNT"}`, `{"Count":2,"ScannedCount":3}`},
		{"Scan", `{"TableName":"range","ScanFilter":{"d":{"ComparisonOperator":"NOT_CONTAINS","AttributeValueList":[{"S":"2"}]},"e":{"ComparisonOperator":"NULL"}},"ConditionalOperator":"AND","AttributesToGet":["b"]}`, `{"Count":2,"ScannedCount":3,"Items":[{"b":{"N":"1"}},{"b":{"N":"3"}}]}`},
		{"Scan", `{"TableName":"range","ScanFilter":{"d":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"d2"}]},"b":{"ComparisonOperator":"LT","AttributeValueList":[{"N":"2"}]}},"ConditionalOperator":"OR","AttributesToGet":["b"]}`, `{"Count":2,"ScannedCount":3,"Items":[{"b":{"N":"1"}},{"b":{"N":"2"}}]}`},
	} {
		if diff := cmp.Diff(c.want, w.ok(c.op, c.body)); diff != "" {
			t.Errorf("%s %s: %s", c.op, c.body, diff)
		}
	}
	w.refused("PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"}},"Expected":{"a":{"Exists":false}}}`, "ConditionalCheckFailedException", "The conditional request failed")
}

func TestMistakesInRequestsFromBeforeExpressionsAreToldInTheServicesWords(t *testing.T) {
	w := newWorld(t)
	w.plain()
	w.ok("PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"},"s":{"S":"text"}}}`)
	expect := func(e string) string {
		return `{"TableName":"plain","Item":{"a":{"S":"x"}},"Expected":{"a":` + e + `}}`
	}
	update := func(u string) string {
		return `{"TableName":"plain","Key":{"a":{"S":"x"}},"AttributeUpdates":{"s":` + u + `}}`
	}
	scan := func(f string) string { return `{"TableName":"plain","ScanFilter":{"s":` + f + `}}` }
	for _, c := range []struct{ op, body, want string }{
		{"PutItem", expect(`{"Value":{"S":"a"},"AttributeValueList":[]}`), wrong + "Value and AttributeValueList cannot be used together for Attribute: a"},
		{"PutItem", expect(`{"Exists":true,"ComparisonOperator":"EQ","Value":{"S":"a"}}`), wrong + "Exists and ComparisonOperator cannot be used together for Attribute: a"},
		{"PutItem", expect(`{"ComparisonOperator":"EQ"}`), wrong + "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a"},
		{"PutItem", expect(`{"AttributeValueList":[]}`), wrong + "AttributeValueList can only be used with a ComparisonOperator for Attribute: a"},
		{"PutItem", expect(`{}`), wrong + "Value must be provided when Exists is null for Attribute: a"},
		{"PutItem", expect(`{"Exists":true}`), wrong + "Value must be provided when Exists is true for Attribute: a"},
		{"PutItem", expect(`{"Exists":false,"Value":{"S":"a"}}`), wrong + "Value cannot be used when Exists is false for Attribute: a"},
		{"PutItem", expect(`{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"S":"a"}]}`), wrong + "Invalid number of argument(s) for the BETWEEN ComparisonOperator"},
		{"PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"}},"ConditionalOperator":"OR"}`, "ConditionalOperator cannot be used without Filter or Expected"},
		{"UpdateItem", update(`{"Action":"PUT"}`), wrong + "Only DELETE action is allowed when no attribute value is specified"},
		{"UpdateItem", update(`{"Action":"DELETE","Value":{"S":"a"}}`), wrong + "DELETE action with value is not supported for the type S"},
		{"UpdateItem", update(`{"Action":"ADD","Value":{"S":"a"}}`), wrong + "ADD action is not supported for the type S"},
		{"UpdateItem", update(`{"Action":"ADD","Value":{"N":"1"}}`), "Type mismatch for attribute to update"},
		{"Scan", scan(`{"ComparisonOperator":"LT","AttributeValueList":[{"SS":["a"]}]}`), wrong + "ComparisonOperator LT is not valid for SS AttributeValue type"},
		{"Scan", scan(`{"ComparisonOperator":"NULL","AttributeValueList":[{"S":"a"}]}`), wrong + "Invalid number of argument(s) for the NULL ComparisonOperator"},
		{"Query", `{"TableName":"plain","KeyConditions":{}}`, "Conditions can be of length 1 or 2 only"},
		{"Query", `{"TableName":"plain","KeyConditions":{"a":{"ComparisonOperator":"NE","AttributeValueList":[{"S":"a"}]}}}`, "Attempted conditional constraint is not an indexable operation"},
		{"Query", `{"TableName":"plain","KeyConditions":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]}},"QueryFilter":{"a":{"ComparisonOperator":"NOT_NULL"}}}`, "QueryFilter can only contain non-primary key attributes: Primary key attribute: a"},
	} {
		w.refused(c.op, c.body, validationException, c.want)
	}
}
