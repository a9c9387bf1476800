package dynamodb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	validationException    = "ValidationException"
	serializationException = "SerializationException"
	wrong                  = "One or more parameter values were invalid: "
)

func TestItemsAreWrittenAndRead(t *testing.T) {
	w := newWorld(t)
	w.plain()
	const all = `{"a":{"S":"x"},"bin":{"B":"AAH/"},"bs":{"BS":["AQ=="]},"l":{"L":[{"N":"1"},{"M":{"k":{"BOOL":false}}}]},"n":{"N":"100"},"nothing":{"NULL":true},"ns":{"NS":["1","2"]},"ss":{"SS":["b","a"]},"t":{"BOOL":true}}`
	for _, c := range []struct{ op, body, want string }{
		{"PutItem", `{"TableName":"plain","Item":` + strings.Replace(all, `"100"`, `"1.00e2"`, 1) + `}`, `{}`},
		{"GetItem", `{"TableName":"plain","Key":{"a":{"S":"x"}}}`, `{"Item":` + all + `}`},
		{"GetItem", `{"TableName":"arn:aws:dynamodb:us-east-1:000000000000:table/plain","Key":{"a":{"S":"x"}},"ProjectionExpression":"n, l[0]"}`, `{"Item":{"l":{"L":[{"N":"1"}]},"n":{"N":"100"}}}`},
		{"GetItem", `{"TableName":"plain","Key":{"a":{"S":"x"}},"AttributesToGet":["n","t"],"ReturnConsumedCapacity":"TOTAL"}`, `{"Item":{"n":{"N":"100"},"t":{"BOOL":true}},"ConsumedCapacity":{"CapacityUnits":0.5,"TableName":"plain"}}`},
		{"GetItem", `{"TableName":"plain","Key":{"a":{"S":"gone"}},"ConsistentRead":true,"ReturnConsumedCapacity":"INDEXES"}`, `{"ConsumedCapacity":{"CapacityUnits":1,"TableName":"plain","Table":{"CapacityUnits":1}}}`},
		{"UpdateItem", `{"TableName":"plain","Key":{"a":{"S":"y"}},"UpdateExpression":"SET n = :n ADD #c :n","ExpressionAttributeNames":{"#c":"count"},"ExpressionAttributeValues":{":n":{"N":"5"}},"ReturnValues":"ALL_NEW"}`, `{"Attributes":{"a":{"S":"y"},"count":{"N":"5"},"n":{"N":"5"}}}`},
		{"UpdateItem", `{"TableName":"plain","Key":{"a":{"S":"y"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"1"}},"ReturnValues":"UPDATED_OLD"}`, `{"Attributes":{"n":{"N":"5"}}}`},
		{"UpdateItem", `{"TableName":"plain","Key":{"a":{"S":"new"}}}`, `{}`},
		{"GetItem", `{"TableName":"plain","Key":{"a":{"S":"new"}}}`, `{"Item":{"a":{"S":"new"}}}`},
		{"DeleteItem", `{"TableName":"plain","Key":{"a":{"S":"new"}},"ReturnValues":"ALL_OLD"}`, `{"Attributes":{"a":{"S":"new"}}}`},
		{"DeleteItem", `{"TableName":"plain","Key":{"a":{"S":"new"}},"ReturnValues":"ALL_OLD"}`, `{}`},
		{"PutItem", `{"TableName":"range","Item":{"a":{"S":"x"},"b":{"N":"1"},"c":{"S":"s"}},"ReturnConsumedCapacity":"INDEXES","ReturnItemCollectionMetrics":"SIZE"}`, `{"ConsumedCapacity":{"CapacityUnits":3,"TableName":"range","Table":{"CapacityUnits":1},"LocalSecondaryIndexes":{"local":{"CapacityUnits":1}},"GlobalSecondaryIndexes":{"global":{"CapacityUnits":1}}},"ItemCollectionMetrics":{"ItemCollectionKey":{"a":{"S":"x"}},"SizeEstimateRangeGB":[0,1]}}`},
		{"Query", `{"TableName":"range","KeyConditionExpression":"a = :a","ExpressionAttributeValues":{":a":{"S":"x"}}}`, `{"Count":1,"ScannedCount":1,"Items":[{"a":{"S":"x"},"b":{"N":"1"},"c":{"S":"s"}}]}`},
		{"Query", `{"TableName":"range","IndexName":"global","KeyConditionExpression":"c = :c","ExpressionAttributeValues":{":c":{"S":"s"}},"Limit":1,"Select":"COUNT"}`, `{"Count":1,"ScannedCount":1,"LastEvaluatedKey":{"a":{"S":"x"},"b":{"N":"1"},"c":{"S":"s"}}}`},
		{"Scan", `{"TableName":"plain","FilterExpression":"n > :n","ExpressionAttributeValues":{":n":{"N":"50"}},"ProjectionExpression":"n"}`, `{"Count":1,"ScannedCount":2,"Items":[{"n":{"N":"100"}}]}`},
		{"BatchWriteItem", `{"RequestItems":{"plain":[{"PutRequest":{"Item":{"a":{"S":"b1"}}}},{"DeleteRequest":{"Key":{"a":{"S":"y"}}}}]},"ReturnConsumedCapacity":"TOTAL"}`, `{"UnprocessedItems":{},"ConsumedCapacity":[{"CapacityUnits":2,"TableName":"plain"}]}`},
		{"BatchGetItem", `{"RequestItems":{"plain":{"Keys":[{"a":{"S":"b1"}},{"a":{"S":"y"}}]},"range":{"Keys":[{"a":{"S":"x"},"b":{"N":"1.0"}}],"ProjectionExpression":"c"}}}`, `{"Responses":{"plain":[{"a":{"S":"b1"}}],"range":[{"c":{"S":"s"}}]},"UnprocessedKeys":{}}`},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"plain","Item":{"a":{"S":"t1"}}}},{"ConditionCheck":{"TableName":"plain","Key":{"a":{"S":"b1"}},"ConditionExpression":"attribute_exists(a)"}}],"ReturnConsumedCapacity":"TOTAL"}`, `{"ConsumedCapacity":[{"CapacityUnits":4,"WriteCapacityUnits":4,"TableName":"plain"}]}`},
		{"TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"plain","Key":{"a":{"S":"t1"}}}},{"Get":{"TableName":"plain","Key":{"a":{"S":"gone"}}}}]}`, `{"Responses":[{"Item":{"a":{"S":"t1"}}},{}]}`},
	} {
		if diff := cmp.Diff(c.want, w.ok(c.op, c.body)); diff != "" {
			t.Errorf("%s %s: %s", c.op, c.body, diff)
		}
	}
}

func TestAFailedConditionGivesTheItemWhenAsked(t *testing.T) {
	w := newWorld(t)
	w.plain()
	w.ok("PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"},"n":{"N":"1"}}}`)
	status, text := w.call("PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"}},"ConditionExpression":"attribute_not_exists(a)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`)
	if want := `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed","Item":{"a":{"S":"x"},"n":{"N":"1"}}}`; status != 400 || text != want {
		t.Errorf("got %d %s", status, text)
	}
	status, text = w.call("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"plain","Item":{"a":{"S":"x"}},"ConditionExpression":"attribute_not_exists(a)"}},{"Put":{"TableName":"plain","Item":{"a":{"S":"y"}}}}]}`)
	if want := `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, None]","CancellationReasons":[{"Code":"ConditionalCheckFailed","Message":"The conditional request failed"},{"Code":"None"}]}`; status != 400 || text != want {
		t.Errorf("got %d %s", status, text)
	}
}

func TestWhatIsOfTheWrongTypeIsToldFirst(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ op, body, want string }{
		{"PutItem", `{"TableName":23}`, "NUMBER_VALUE cannot be converted to String"},
		{"PutItem", `{"TableName":true}`, "TRUE_VALUE cannot be converted to String"},
		{"PutItem", `{"TableName":34.56}`, "DECIMAL_VALUE cannot be converted to String"},
		{"PutItem", `{"TableName":[]}`, "Unrecognized collection type class java.lang.String"},
		{"PutItem", `{"TableName":{}}`, "Start of structure or map found where not expected"},
		{"PutItem", `{"Item":"x"}`, "Unexpected field type"},
		{"PutItem", `{"Item":[]}`, "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>"},
		{"PutItem", `{"Item":{"a":"x"}}`, "Unexpected value type in payload"},
		{"PutItem", `{"Item":{"a":[]}}`, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"},
		{"PutItem", `{"Item":{"a":{"S":1}}}`, "NUMBER_VALUE cannot be converted to String"},
		{"PutItem", `{"Item":{"a":{"BOOL":"maybe"}}}`, "Unexpected token received from parser"},
		{"PutItem", `{"Item":{"a":{"B":"23456"}}}`, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		{"PutItem", `{"Item":{"a":{"B":"=+/="}}}`, "Invalid last non-pad Base64 character dectected"},
		{"PutItem", `{"Item":{"a":{"B":1}}}`, "only base-64-encoded strings are convertible to bytes"},
		{"PutItem", `{"Item":{"a":{"SS":"x"}}}`, "Unexpected field type"},
		{"PutItem", `{"Item":{"a":{"L":[1]}}}`, "Unexpected value type in payload"},
		{"GetItem", `{"ConsistentRead":"x"}`, "Unexpected token received from parser"},
		{"GetItem", `{"AttributesToGet":{}}`, "Start of structure or map found where not expected"},
		{"Query", `{"Limit":"1"}`, "STRING_VALUE cannot be converted to Integer"},
		{"BatchGetItem", `{"RequestItems":{"plain":{"Keys":["x"]}}}`, cast},
		{"BatchGetItem", `{"RequestItems":{"plain":{"Keys":"x"}}}`, "Unexpected field type"},
		{"BatchWriteItem", `{"RequestItems":"x"}`, "Unexpected field type"},
		{"BatchWriteItem", `{"RequestItems":{"plain":"x"}}`, cast},
		{"Scan", `{"ScanFilter":{"a":{"AttributeValueList":[{"S":true}]}}}`, "TRUE_VALUE cannot be converted to String"},
		{"PutItem", `{"Expected":{"a":{"AttributeValueList":[{"BS":["23456"]}]}}}`, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		{"CreateTable", `{"ProvisionedThroughput":"x"}`, "Unexpected field type"},
	} {
		w.refused(c.op, c.body, serializationException, c.want)
	}
	w.refused("PutItem", `{"TableName":`, serializationException, "")
	w.plain()
	w.ok("PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"},"t":{"BOOL":"Yes"},"f":{"BOOL":"0"}}}`)
	if got, want := w.ok("GetItem", `{"TableName":"plain","Key":{"a":{"S":"x"}},"ConsistentRead":"true"}`), `{"Item":{"a":{"S":"x"},"f":{"BOOL":false},"t":{"BOOL":true}}}`; got != want {
		t.Errorf("texts that stand for true and false: got %s, want %s", got, want)
	}
	w.refused("Wat", `{}`, "UnknownOperationException", "")
}

func TestWhatIsMissingOrOutOfRangeIsToldTogether(t *testing.T) {
	w := newWorld(t)
	const (
		pattern = "failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
		short   = "failed to satisfy constraint: Member must have length greater than or equal to 3"
		null    = "failed to satisfy constraint: Member must not be null"
	)
	for _, c := range []struct{ op, body, want string }{
		{"GetItem", `{"TableName":"abc"}`, "1 validation error detected: Value null at 'key' " + null},
		{"GetItem", `{"TableName":"a;"}`, "3 validation errors detected: Value 'a;' at 'tableName' " + short + "; Value 'a;' at 'tableName' " + pattern + "; Value null at 'key' " + null},
		{"PutItem", `{"TableName":"abc","Item":{},"ReturnValues":"hi","ReturnConsumedCapacity":"hi"}`, "2 validation errors detected: Value 'hi' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value 'hi' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"},
		{"Query", `{"TableName":"abc","Limit":0}`, "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"BatchGetItem", `{"RequestItems":{}}`, "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"BatchWriteItem", `{"RequestItems":{"a":[]}}`, "2 validation errors detected: Value '{a=[]}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]; Value '{a=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"},
		{"ListTables", `{"Limit":101}`, "1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100"},
		{"CreateTable", `{}`, "The parameter 'TableName' is required but was not present in the request"},
		{"CreateTable", `{"TableName":"a"}`, "TableName must be at least 3 characters long and at most 255 characters long"},
		{"CreateTable", `{"TableName":"abc","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"X"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}`, "1 validation error detected: Value 'X' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]"},
		{"DescribeTable", `{"TableName":"abc;"}`, "1 validation error detected: Value 'abc;' at 'tableName' " + pattern},
	} {
		w.refused(c.op, c.body, validationException, c.want)
	}
}

func TestMembersThatDoNotGoTogetherAreToldInTheServicesWords(t *testing.T) {
	long, tooLong := strings.Repeat("n", nameBytesMax+1), "1 validation error detected: Attribute name is too large, must be less than 65536 bytes"
	w := newWorld(t)
	w.plain()
	put := func(rest string) string {
		return `{"TableName":"plain","Item":{"a":{"S":"x"}}` + rest + `}`
	}
	value := func(v string) string { return `{"TableName":"plain","Item":{"a":` + v + `}}` }
	deep := strings.Repeat(`{"L":[`, 33) + `{"S":"x"}` + strings.Repeat(`]}`, 33)
	for _, c := range []struct{ op, body, want string }{
		{"PutItem", put(`,"Expected":{},"ConditionExpression":"a = :b"`), "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"},
		{"PutItem", put(`,"ExpressionAttributeNames":{}`), "ExpressionAttributeNames can only be specified when using expressions"},
		{"PutItem", put(`,"ExpressionAttributeValues":{}`), "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"},
		{"UpdateItem", `{"TableName":"plain","Key":{"a":{"S":"x"}},"ExpressionAttributeValues":{}}`, "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null"},
		{"PutItem", put(`,"ConditionExpression":"a = :b","ExpressionAttributeNames":{}`), "ExpressionAttributeNames must not be empty"},
		{"PutItem", put(`,"ConditionExpression":"a = :b","ExpressionAttributeNames":{"a":"b"}`), `ExpressionAttributeNames contains invalid key: Syntax error; key: "a"`},
		{"PutItem", put(`,"ConditionExpression":"#a = :b","ExpressionAttributeNames":{"#a":""}`), "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"},
		{"PutItem", put(`,"ConditionExpression":"#a = :b","ExpressionAttributeNames":{"#a":"` + long + `"}`), tooLong},
		{"PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"},"":{"S":"y"}}}`, "Empty attribute name"},
		{"PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"},"m":{"M":{"` + long + `":{"S":"y"}}}}}`, tooLong},
		{"GetItem", `{"TableName":"plain","Key":{"a":{"S":"x"}},"AttributesToGet":["` + long + `"]}`, tooLong},
		{"UpdateItem", `{"TableName":"plain","Key":{"a":{"S":"x"}},"AttributeUpdates":{"":{"Value":{"N":"1"}}}}`, "Empty attribute name"},
		{"PutItem", put(`,"ConditionExpression":"a = :b","ExpressionAttributeValues":{":b":{}}`), "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :b"},
		{"PutItem", put(`,"ConditionExpression":""`), "Invalid ConditionExpression: The expression can not be empty;"},
		{"PutItem", put(`,"ReturnValues":"ALL_NEW"`), "ReturnValues can only be ALL_OLD or NONE"},
		{"PutItem", value(`{}`), "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{"PutItem", value(`{"S":"a","N":"1"}`), "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		{"PutItem", value(`{"N":"x"}`), "The parameter cannot be converted to a numeric value: x"},
		{"PutItem", value(`{"N":""}`), "The parameter cannot be converted to a numeric value"},
		{"PutItem", value(`{"NULL":false}`), wrong + "Null attribute value types must have the value of true"},
		{"PutItem", value(`{"SS":[]}`), wrong + "An string set  may not be empty"},
		{"PutItem", value(`{"NS":[]}`), wrong + "An number set  may not be empty"},
		{"PutItem", value(`{"BS":[]}`), wrong + "Binary sets should not be empty"},
		{"PutItem", value(`{"SS":["a","a"]}`), wrong + "Input collection [a, a] contains duplicates."},
		{"PutItem", value(`{"BS":["Yg==","Yg=="]}`), wrong + "Input collection [Yg==, Yg==]of type BS contains duplicates."},
		{"PutItem", value(`{"NS":["1","1.0"]}`), "Input collection contains duplicates"},
		{"PutItem", value(`{"N":"123456789012345678901234567890123456789"}`), "Attempting to store more than 38 significant digits in a Number"},
		{"PutItem", value(deep), "Nesting Levels have exceeded supported limits"},
		{"Query", `{"TableName":"plain"}`, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."},
		{"Query", `{"TableName":"plain","KeyConditionExpression":"b = :a","ExpressionAttributeValues":{":a":{"S":"x"}}}`, "Query condition missed key schema element: a"},
		{"Query", `{"TableName":"plain","KeyConditionExpression":"a > :a","ExpressionAttributeValues":{":a":{"S":"x"}}}`, "Query key condition not supported"},
		{"Query", `{"TableName":"plain","KeyConditionExpression":"a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}`, wrong + "Condition parameter type does not match schema type"},
		{"Query", `{"TableName":"plain","KeyConditionExpression":"a = :a","FilterExpression":"a <> :a","ExpressionAttributeValues":{":a":{"S":"x"}}}`, "Filter Expression can only contain non-primary key attributes: Primary key attribute: a"},
		{"Query", `{"TableName":"plain","KeyConditionExpression":"a = :a","ExpressionAttributeValues":{":a":{"S":"x"}},"ExclusiveStartKey":{"a":{"S":"y"}}}`, "The provided starting key is outside query boundaries based on provided conditions"},
		{"Query", `{"TableName":"plain","IndexName":"gone","KeyConditionExpression":"a = :a","ExpressionAttributeValues":{":a":{"S":"x"}}}`, "The table does not have the specified index: gone"},
		{"Query", `{"TableName":"range","IndexName":"global","ConsistentRead":true,"KeyConditionExpression":"c = :a","ExpressionAttributeValues":{":a":{"S":"x"}}}`, "Consistent reads are not supported on global secondary indexes"},
		{"Scan", `{"TableName":"plain","Segment":1}`, "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"},
		{"Scan", `{"TableName":"plain","TotalSegments":1}`, "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"},
		{"Scan", `{"TableName":"plain","TotalSegments":1,"Segment":1}`, "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 1 is not less than TotalSegments: 1"},
		{"Scan", `{"TableName":"plain","ExclusiveStartKey":{}}`, "The provided starting key is invalid: The provided key element does not match the schema"},
		{"GetItem", `{"TableName":"plain","Key":{"a":{"S":"x"}},"AttributesToGet":["b","b"]}`, wrong + "Duplicate value in attribute name: b"},
		{"BatchGetItem", `{"RequestItems":{"plain":{"Keys":[{"a":{"S":"x"}},{"a":{"S":"x"}}]}}}`, "Provided list of item keys contains duplicates"},
		{"BatchWriteItem", `{"RequestItems":{"plain":[{"PutRequest":{"Item":{"a":{"S":"x"}}}},{"DeleteRequest":{"Key":{"a":{"S":"x"}}}}]}}`, "Provided list of item keys contains duplicates"},
		{"BatchWriteItem", `{"RequestItems":{"plain":[{}]}}`, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		{"UpdateTable", `{"TableName":"plain"}`, nothingToUpdate},
		{"UpdateTable", `{"TableName":"gone","ProvisionedThroughput":{"ReadCapacityUnits":1000000000001,"WriteCapacityUnits":1}}`, "Given value 1000000000001 for ReadCapacityUnits is out of bounds"},
		{"UpdateTable", `{"TableName":"gone","BillingMode":"PROVISIONED"}`, wrong + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED"},
		{"UpdateTable", `{"TableName":"gone","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"abc"}},{"Delete":{"IndexName":"abc"}}]}`, wrong + "Only one global secondary index update per index is allowed simultaneously. Index: abc"},
		{"DescribeTimeToLive", `{}`, "The parameter 'TableName' is required but was not present in the request"},
		{"DescribeTimeToLive", `{"TableName":"a;"}`, "TableName must be at least 3 characters long and at most 255 characters long"},
		{"TagResource", `{}`, "Invalid TableArn"},
		{"TagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/ab","Tags":[]}`, "Invalid TableArn: Invalid ResourceArn provided as input arn:aws:dynamodb:us-east-1:000000000000:table/ab"},
		{"TagResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/gone","Tags":[]}`, "Atleast one Tag needs to be provided as Input."},
		{"UntagResource", `{"ResourceArn":"a:b","TagKeys":[]}`, "Invalid TableArn: Invalid ResourceArn provided as input a:b"},
	} {
		w.refused(c.op, c.body, validationException, c.want)
	}
	w.refused("GetItem", `{"TableName":"gone","Key":{"a":{"S":"x"}}}`, "ResourceNotFoundException", "Requested resource not found")
	w.refused("DescribeTable", `{"TableName":"gone"}`, "ResourceNotFoundException", "Requested resource not found: Table: gone not found")
	w.refused("UpdateTable", `{"TableName":"plain","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"abc"}},{"Delete":{"IndexName":"abd"}}]}`, "LimitExceededException", "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
	const gone = `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/gone"`
	w.refused("TagResource", gone+`,"Tags":[{"Key":"a","Value":"b"}]}`, "ResourceNotFoundException", "Requested resource not found: ResourcArn: arn:aws:dynamodb:us-east-1:000000000000:table/gone not found")
	w.refused("UntagResource", gone+`,"TagKeys":["a"]}`, "ResourceNotFoundException", "Requested resource not found")
}

// A table that is made is described without the time since which it is on demand.
func TestATableThatIsMadeIsOnDemandSinceItIsThere(t *testing.T) {
	w := newWorld(t)
	const since = "LastUpdateToPayPerRequestDateTime"
	if made := w.ok("CreateTable", `{"TableName":"abc","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}`); strings.Contains(made, since) {
		t.Errorf("got %s", made)
	}
	if there := w.ok("DescribeTable", `{"TableName":"abc"}`); !strings.Contains(there, since) {
		t.Errorf("got %s", there)
	}
}

// In a transaction a key that is none of its table's is the reason of its action; a key
// that is empty is wrong with the whole request.
func TestATransactionIsCanceledForAKeyThatIsNone(t *testing.T) {
	w := newWorld(t)
	w.plain()
	const key = "The provided key element does not match the schema"
	for _, c := range []struct{ op, items, code, message string }{
		{"TransactGetItems", `{"Get":{"TableName":"plain","Key":{"a":{"S":"x"}}}},{"Get":{"TableName":"plain","Key":{}}}`, "[None, ValidationError]", key},
		{"TransactWriteItems", `{"Put":{"TableName":"plain","Item":{"a":{"S":"x"}}}},{"Put":{"TableName":"plain","Item":{"a":{"N":"1"}}}}`, "[None, ValidationError]", wrong + "Type mismatch for key a expected: S actual: N"},
		{"TransactWriteItems", `{"Delete":{"TableName":"plain","Key":{"b":{"S":"x"}}}},{"Put":{"TableName":"plain","Item":{"a":{"S":"x"}},"ConditionExpression":"attribute_exists(a)"}}`, "[ValidationError, ConditionalCheckFailed]", key},
		{"TransactWriteItems", `{"Update":{"TableName":"range","Key":{"a":{"S":"x"},"b":{"N":"1"}},"UpdateExpression":"SET c = :v","ExpressionAttributeValues":{":v":{"N":"1"}}}}`, "[ValidationError]", wrong + "Type mismatch for Index Key c Expected: S Actual: N IndexName: local"},
	} {
		status, got := w.call(c.op, `{"TransactItems":[`+c.items+`]}`)
		if status != 400 || !strings.Contains(got, "TransactionCanceledException") || !strings.Contains(got, "specific reasons "+c.code) || !strings.Contains(got, c.message) {
			t.Errorf("%s %s: got %d %s, want %s: %s", c.op, c.items, status, got, c.code, c.message)
		}
	}
	const empty = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: a"
	w.refused("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"plain","Item":{"a":{"S":""}}}}]}`, validationException, empty)
	w.refused("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"plain","Key":{"a":{"S":""}}}}]}`, validationException, empty)
	w.refused("UpdateItem", `{"TableName":"range","Key":{"a":{"S":"x"},"b":{"N":"1"}},"UpdateExpression":"SET c = :v","ExpressionAttributeValues":{":v":{"S":""}}}`, validationException,
		"One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty string value.")
	if got := w.ok("Scan", `{"TableName":"plain"}`); got != `{"Count":0,"ScannedCount":0,"Items":[]}` {
		t.Errorf("a transaction that was canceled left %s", got)
	}
}

// What a transaction writes is 4 MB at most (Quotas, "Transactions").
func TestATransactionThatWritesTooMuchIsRefused(t *testing.T) {
	w := newWorld(t)
	w.plain()
	put := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"Put":{"TableName":"plain","Item":{"a":{"S":"%02d"},"t":{"S":"%s"}}}}`, i, strings.Repeat("x", 380_000)))
		}
		return `{"TransactItems":[` + strings.Join(all, ",") + `]}`
	}
	w.ok("TransactWriteItems", put(11))
	if status, got := w.call("TransactWriteItems", put(12)); status != 400 || !strings.Contains(got, validationException) || !strings.Contains(got, "4 MB") {
		t.Errorf("got %d %.200s", status, got)
	}
}

// Of several mistakes in a request the one whose turn comes first is told.
func TestMistakesAreToldInTheOrderOfTheService(t *testing.T) {
	w := newWorld(t)
	w.plain()
	const (
		empty    = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
		key      = "The provided key element does not match the schema"
		start    = "The provided starting key is invalid"
		scalars  = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
		one      = `,"ExpressionAttributeValues":{":v":{"S":"x"}}`
		notFound = "Requested resource not found"
	)
	ranged := func(condition, rest string) string {
		return `{"TableName":"range","KeyConditions":{` + condition + `}` + rest + `}`
	}
	is := func(name, operator, v string) string {
		return `"` + name + `":{"ComparisonOperator":"` + operator + `","AttributeValueList":[` + v + `]}`
	}
	const x, n1 = `{"S":"x"}`, `{"N":"1"}`
	for _, c := range []struct{ op, body, want string }{
		{"GetItem", `{"TableName":"gone","Key":{"a":{}},"ProjectionExpression":"","ExpressionAttributeNames":{}}`, empty},
		{"UpdateItem", `{"TableName":"gone","Key":{"a":{}},"UpdateExpression":"","ExpressionAttributeValues":{}}`, empty},
		{"DeleteItem", `{"TableName":"gone","Key":{},"ConditionExpression":"a","ExpressionAttributeValues":{":a":{},"b":{}}}`, `ExpressionAttributeValues contains invalid key: Syntax error; key: "b"`},
		{"Scan", `{"TableName":"gone","AttributesToGet":["a","a"],"ScanFilter":{"a":{"ComparisonOperator":"EQ"}},"Segment":1}`, wrong + "Duplicate value in attribute name: a"},
		{"Scan", `{"TableName":"gone","ScanFilter":{"a":{"ComparisonOperator":"EQ"}},"ExclusiveStartKey":{"a":{}},"Segment":1}`, wrong + "Invalid number of argument(s) for the EQ ComparisonOperator"},
		{"Scan", `{"TableName":"gone","ExclusiveStartKey":{"a":{}},"Segment":1}`, start + ": " + empty},
		{"Scan", `{"TableName":"gone","ExclusiveStartKey":{"a":{"N":"x"}},"Segment":1}`, "The parameter cannot be converted to a numeric value: x"},
		{"Query", `{"TableName":"gone","KeyConditionExpression":"a =","FilterExpression":""}`, `Invalid KeyConditionExpression: Syntax error; token: "<EOF>", near: "="`},
		{"Query", `{"TableName":"gone","KeyConditionExpression":"a = :v","FilterExpression":""` + one + `}`, "Invalid FilterExpression: The expression can not be empty;"},

		// When the table is known, its key attributes are looked at in turn.
		{"Query", ranged(is("a", "NE", x), `,"ExclusiveStartKey":{"a":{"S":"x"}}`), start},
		{"Query", ranged(is("a", "NE", x), `,"ExclusiveStartKey":{"a":{"S":"x"},"c":{"S":"x"}}`), "Attempted conditional constraint is not an indexable operation"},
		{"Query", ranged(is("a", "EQ", x), `,"ExclusiveStartKey":{"a":{"S":"x"},"c":{"S":"x"}}`), start},
		{"Query", ranged(is("a", "EQ", x), `,"ExclusiveStartKey":{"a":{"S":"x"},"b":{"S":"x"}}`), key},
		{"Query", ranged(is("a", "EQ", x), `,"IndexName":"local","ExclusiveStartKey":{"a":{"S":"x"},"b":{"S":"x"},"c":{"S":"x"}}`), start + ": " + key},
		{"Query", ranged(is("a", "LT", n1), ""), wrong + "Condition parameter type does not match schema type"},
		{"Query", ranged(is("a", "LT", x), ""), "Query key condition not supported"},
		{"Query", ranged(is("a", "EQ", x)+`,`+is("c", "EQ", x), ""), "Query condition missed key schema element: b"},
		{"Query", ranged(is("a", "EQ", x)+`,`+is("b", "LT", n1), `,"ExclusiveStartKey":{"a":{"S":"x"},"b":{"N":"1"}}`), "The provided starting key does not match the range key predicate"},
		{"Query", ranged(is("a", "EQ", x)+`,`+is("b", "LT", n1), `,"ExclusiveStartKey":{"a":{"S":"y"},"b":{"N":"0"}}`), "The query can return at most one row and cannot be restarted"},
		{"Query", ranged(is("a", "EQ", x), `,"ExclusiveStartKey":{"a":{"S":"y"},"b":{"N":"0"}}`), "The provided starting key is outside query boundaries based on provided conditions"},
		{"Query", ranged(is("c", "EQ", x), `,"IndexName":"global","Select":"ALL_ATTRIBUTES","QueryFilter":{"c":{"ComparisonOperator":"NULL"}}`), "QueryFilter can only contain non-primary key attributes: Primary key attribute: c"},
		{"Scan", `{"TableName":"range","IndexName":"local","ExclusiveStartKey":{"a":{"S":"x"},"b":{"N":"1"},"c":{"N":"1"}}}`, key},
		{"Scan", `{"TableName":"range","IndexName":"local","ExclusiveStartKey":{"a":{"S":"x"}}}`, start},

		// What keys are made of has nothing within it.
		{"GetItem", `{"TableName":"range","Key":{"a":{"S":"x"},"b":{"N":"1"}},"ProjectionExpression":"d, b.c"}`, scalars + "Key: b"},
		{"GetItem", `{"TableName":"range","Key":{"a":{"S":"x"},"b":{"N":"1"}},"ProjectionExpression":"c[1]"}`, scalars + "IndexKey: c"},
		{"Scan", `{"TableName":"range","FilterExpression":"attribute_exists(d.a) OR a.d = :v"` + one + `}`, scalars + "Key: a"},
		{"Query", `{"TableName":"range","KeyConditionExpression":"a = :v","FilterExpression":"c[0] = :v"` + one + `}`, scalars + "IndexKey: c"},

		// A batch tells of the keys of items as of keys, and of keys twice before its tables.
		{"BatchGetItem", `{"RequestItems":{"gone":{"Keys":[{"n":{"N":"1"}},{"n":{"N":"1"}}],"ProjectionExpression":"a."}}}`, `Invalid ProjectionExpression: Syntax error; token: "<EOF>", near: "."`},
		{"BatchGetItem", `{"RequestItems":{"gone":{"Keys":[{"n":{"N":"1"}},{"n":{"N":"1.0"}}]}}}`, "Provided list of item keys contains duplicates"},
		{"BatchWriteItem", `{"RequestItems":{"plain":[{"PutRequest":{"Item":{"a":{"N":"1"}}}}]}}`, key},
		{"BatchWriteItem", `{"RequestItems":{"plain":[{"PutRequest":{"Item":{"b":{"S":"x"}}}}]}}`, key},
	} {
		w.refused(c.op, c.body, validationException, c.want)
	}
	w.refused("Query", `{"TableName":"gone","KeyConditions":{`+is("a", "NE", x)+`}}`, "ResourceNotFoundException", notFound)
}

func TestWhatIsWrongWithATableIsToldInTheServicesWords(t *testing.T) {
	w := newWorld(t)
	const throughput = `,"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}`
	create := func(attributes, key, rest string) string {
		return fmt.Sprintf(`{"TableName":"abc","AttributeDefinitions":[%s],"KeySchema":[%s]%s}`, attributes, key, rest)
	}
	const a, b, hashA, rangeB = `{"AttributeName":"a","AttributeType":"S"}`, `{"AttributeName":"b","AttributeType":"S"}`, `{"AttributeName":"a","KeyType":"HASH"}`, `{"AttributeName":"b","KeyType":"RANGE"}`
	for _, c := range []struct{ body, want string }{
		{create(a, hashA, ""), wrong + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{create(a, hashA, throughput+`,"BillingMode":"PAY_PER_REQUEST"`), wrong + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
		{create(b, rangeB, throughput), "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"},
		{create(a+","+b, hashA+`,{"AttributeName":"b","KeyType":"HASH"}`, throughput), "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"},
		{create(a, hashA+","+rangeB, throughput), "Invalid KeySchema: Some index key attribute have no definition"},
		{create(a, rangeB, throughput), wrong + "Some index key attributes are not defined in AttributeDefinitions. Keys: [b], AttributeDefinitions: [a]"},
		{create(a, rangeB, throughput+`,"BillingMode":"PAY_PER_REQUEST"`), wrong + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
		{create(a, hashA, throughput+`,"LocalSecondaryIndexes":[{"IndexName":"index","KeySchema":[`+rangeB+`],"Projection":{}}]`), wrong + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"},
		{create(a, hashA, throughput+`,"GlobalSecondaryIndexes":[{"IndexName":"index","KeySchema":[`+rangeB+`],"Projection":{}}]`), wrong + "Some index key attributes are not defined in AttributeDefinitions. Keys: [b], AttributeDefinitions: [a]"},
		{create(a+","+b, hashA+`,{"AttributeName":"a","KeyType":"RANGE"}`, throughput), "Both the Hash Key and the Range Key element in the KeySchema have the same name"},
		{create(a+","+b, hashA, throughput), wrong + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"},
		{create(a, hashA, throughput+`,"LocalSecondaryIndexes":[]`), wrong + "List of LocalSecondaryIndexes is empty"},
		{create(a, hashA, throughput+`,"GlobalSecondaryIndexes":[{"IndexName":"index","KeySchema":[`+hashA+`],"Projection":{}}]`), wrong + "Unknown ProjectionType: null"},
		{create(a, hashA, throughput+`,"GlobalSecondaryIndexes":[{"IndexName":"index","KeySchema":[`+hashA+`],"Projection":{"ProjectionType":"ALL","NonKeyAttributes":["x"]}}]`), wrong + "ProjectionType is ALL, but NonKeyAttributes is specified"},
		{create(a, hashA, throughput+`,"GlobalSecondaryIndexes":[{"IndexName":"index","KeySchema":[`+hashA+`],"Projection":{"ProjectionType":"ALL"}}]`), wrong + "ProvisionedThroughput must be specified for index: index"},
		{create(a, hashA, throughput+`,"OnDemandThroughput":{}`), "OnDemandThroughput is not supported here"},
	} {
		w.refused("CreateTable", c.body, validationException, c.want)
	}
}

// What would say that something is done which is not is refused by its name.
func TestWhatATableCannotHaveIsRefusedByName(t *testing.T) {
	w := newWorld(t)
	w.plain()
	const create = `{"TableName":"abc","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]%s}`
	const index = `,"GlobalSecondaryIndexes":[{"IndexName":"index","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"},%q:{}}]`
	const noKey = "SSESpecification is not supported here: a table is not encrypted with a key of its own"
	for _, c := range []struct{ op, body, want string }{
		{"CreateTable", fmt.Sprintf(create, `,"WarmThroughput":{"ReadUnitsPerSecond":1}`), "WarmThroughput is not supported here"},
		{"CreateTable", fmt.Sprintf(create, `,"OnDemandThroughput":{}`), "OnDemandThroughput is not supported here"},
		{"CreateTable", fmt.Sprintf(create, `,"ResourcePolicy":"{}"`), "ResourcePolicy is not supported here"},
		{"CreateTable", fmt.Sprintf(create, `,"GlobalTableSourceArn":"x"`), "GlobalTableSourceArn is not supported here"},
		{"CreateTable", fmt.Sprintf(create, `,"SSESpecification":{"Enabled":true,"SSEType":"KMS"}`), noKey},
		{"CreateTable", fmt.Sprintf(create, fmt.Sprintf(index, "WarmThroughput")), "WarmThroughput is not supported here"},
		{"CreateTable", fmt.Sprintf(create, fmt.Sprintf(index, "OnDemandThroughput")), "OnDemandThroughput is not supported here"},
		{"UpdateTable", `{"TableName":"plain","SSESpecification":{"Enabled":true}}`, noKey},
		{"UpdateTable", `{"TableName":"plain","ReplicaUpdates":[{"Create":{"RegionName":"eu-west-1"}}]}`, "ReplicaUpdates is not supported here"},
		{"UpdateTable", `{"TableName":"plain","MultiRegionConsistency":"STRONG"}`, "MultiRegionConsistency is not supported here"},
		{"UpdateTable", `{"TableName":"plain","WarmThroughput":{"ReadUnitsPerSecond":1}}`, "WarmThroughput is not supported here"},
		{"UpdateContinuousBackups", `{"TableName":"plain","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}`, "PointInTimeRecoveryEnabled is not supported here: a table cannot be restored to an earlier time"},
		{"ListTagsOfResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/plain","NextToken":"x"}`, "Invalid NextToken"},
	} {
		w.refused(c.op, c.body, validationException, c.want)
	}
	w.refused("CreateBackup", `{"TableName":"plain","BackupName":"b"}`, "UnknownOperationException", "CreateBackup is not supported here")
	w.refused("PutThing", `{}`, "UnknownOperationException", "")
	w.ok("CreateTable", fmt.Sprintf(create, `,"TableClass":"STANDARD_INFREQUENT_ACCESS","SSESpecification":{"Enabled":false}`))
	const off = `"PointInTimeRecoveryStatus":"DISABLED"`
	for _, answer := range []string{
		w.ok("DescribeContinuousBackups", `{"TableName":"plain"}`),
		w.ok("UpdateContinuousBackups", `{"TableName":"plain","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":false}}`),
	} {
		if !strings.Contains(answer, off) {
			t.Errorf("got %s, want %s", answer, off)
		}
	}
	if got, want := w.ok("DescribeTable", `{"TableName":"abc"}`), `"TableClassSummary":{"TableClass":"STANDARD_INFREQUENT_ACCESS"}`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := w.ok("DescribeEndpoints", `{}`), `"Address":"`+strings.TrimPrefix(w.url, "http://"); !strings.Contains(got, want) {
		t.Errorf("got %s, want %s: where clients are sent is where they asked", got, want)
	}
}

func TestWhoIsThrottledLearnsByWhat(t *testing.T) {
	w := newWorld(t)
	w.ok("CreateTable", `{"TableName":"slow","ProvisionedThroughput":{"ReadCapacityUnits":1000,"WriteCapacityUnits":1000},"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
		"GlobalSecondaryIndexes":[{"IndexName":"index","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"},"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}]}`)
	put := `{"TableName":"slow","Item":{"a":{"S":"k"},"text":{"S":"` + strings.Repeat("x", 390<<10) + `"}}}`
	w.ok("PutItem", put)
	put = strings.Replace(put, `"xx`, `"yy`, 1)
	const want = `"ThrottlingReasons":[{"reason":"IndexWriteProvisionedThroughputExceeded","resource":"arn:aws:dynamodb:us-east-1:000000000000:table/slow/index/index"}]`
	if status, got := w.call("PutItem", put); status != 400 || !strings.Contains(got, want) {
		t.Errorf("got %d %s, want %s", status, got, want)
	}
}

func FuzzRequests(f *testing.F) {
	w := newWorld(f)
	w.plain()
	door, err := New(Config{Tables: w.tables, Region: region, Account: account, Clock: w.clock})
	if err != nil {
		f.Fatal(err)
	}
	var names []string
	for name := range door.operations {
		names = append(names, name)
	}
	f.Add(uint8(0), `{"TableName":"plain","Key":{"a":{"S":"x"}},"Item":{"a":{"S":"\u00e9\ud83d\ude00"}},"UpdateExpression":"SET x = :a","ExpressionAttributeValues":{":a":{"NS":["1"]}}}`)
	f.Add(uint8(1), `{"RequestItems":{"plain":{"Keys":[{"a":{"S":"x"}}]}}}`)
	f.Add(uint8(2), `{"TransactItems":[{"Get":{"TableName":"plain","Key":{"a":{"S":"t1"}}}}]}`)
	f.Fuzz(func(t *testing.T, op uint8, body string) {
		n, ok := parse(body)
		if !ok || n.kind != nodeObject {
			return
		}
		o := door.operations[names[int(op)%len(names)]]
		if o.input.checkTypes(&n) != "" || o.input.checkName(&n) != "" || o.input.checkLimits(&n) != "" {
			return
		}
		c := &call{ctx: t.Context(), node: &n}
		if r := o.serve(door, c); r != nil && r.status >= 500 {
			t.Fatalf("%s", r.body())
		}
	})
}

// What is only taken away from an item that is not there makes none (API Reference,
// UpdateItem, "AttributeUpdates": "DELETE causes nothing to happen"; of REMOVE observed).
func TestAnUpdateThatOnlyTakesAwayMakesNoItem(t *testing.T) {
	w := newWorld(t)
	w.plain()
	for rest, made := range map[string]bool{
		`,"UpdateExpression":"REMOVE b"`: false,
		`,"UpdateExpression":"DELETE b :s","ExpressionAttributeValues":{":s":{"SS":["x"]}}`: false,
		`,"AttributeUpdates":{"b":{"Action":"DELETE"}}`:                                     false,
		`,"AttributeUpdates":{"b":{"Action":"DELETE","Value":{"SS":["x"]}}}`:                false,
		`,"AttributeUpdates":{}`: true,
		``:                       true,
		`,"UpdateExpression":"REMOVE b SET c = :c","ExpressionAttributeValues":{":c":{"S":"x"}}`:     true,
		`,"UpdateExpression":"DELETE b :s ADD c :s","ExpressionAttributeValues":{":s":{"SS":["x"]}}`: true,
		`,"UpdateExpression":"REMOVE b","ConditionExpression":"attribute_not_exists(a)"`:             false,
	} {
		answer := w.ok("UpdateItem", `{"TableName":"plain","Key":{"a":{"S":"x"}},"ReturnValues":"ALL_NEW"`+rest+`}`)
		there := w.ok("GetItem", `{"TableName":"plain","Key":{"a":{"S":"x"}}}`)
		if got := strings.Contains(answer, "Attributes"); got != made || strings.Contains(there, "Item") != made {
			t.Errorf("%s: got %s and %s, want an item: %v", rest, answer, there, made)
		}
		w.ok("DeleteItem", `{"TableName":"plain","Key":{"a":{"S":"x"}}}`)
	}
}

func TestOfMoreThanTenMistakesTheLastAreNotTold(t *testing.T) {
	w := newWorld(t)
	status, text := w.call("Scan", `{"TableName":"abc;","Select":"hi","ReturnConsumedCapacity":"hi","AttributesToGet":[],"IndexName":"abc;","Segment":-1,"TotalSegments":-1,"Limit":-1,"ScanFilter":{"a":{},"b":{"ComparisonOperator":""}},"ConditionalOperator":"AN"}`)
	if status != 400 || !strings.Contains(text, "10 validation errors detected") || !strings.Contains(text, "at 'segment'") || strings.Contains(text, "attributesToGet") {
		t.Errorf("got %d %s", status, text)
	}
	status, text = w.call("Query", `{"TableName":"abc;","Select":"hi","ReturnConsumedCapacity":"hi","AttributesToGet":[],"IndexName":"abc;","Limit":-1,"KeyConditions":{"a":{},"b":{"ComparisonOperator":""}},"QueryFilter":{"a":{},"b":{"ComparisonOperator":""}},"ConditionalOperator":"AN"}`)
	if status != 400 || !strings.Contains(text, "10 validation errors detected") || !strings.Contains(text, "returnConsumedCapacity") || strings.Contains(text, "keyConditions.b") {
		t.Errorf("got %d %s", status, text)
	}
}
