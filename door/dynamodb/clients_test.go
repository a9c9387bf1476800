package dynamodb

import (
	"testing"

	"github.com/daruma-io/daruma/door/wire/wiretest"
)

// One list of what is expected for each client that people use, unmodified.

func TestBoto3GetsWhatItExpects(t *testing.T) {
	wiretest.PythonScript(t, nil, "testdata/clients/boto.py", newWorld(t).url)
}

func TestTheIdempotencyUtilityForPythonRunsAsItIs(t *testing.T) {
	wiretest.PythonScript(t, []string{"aws-lambda-powertools", "aws-xray-sdk", "jmespath"}, "testdata/clients/idempotency.py", newWorld(t).url)
}

func TestPynamoDBGetsWhatItExpects(t *testing.T) {
	wiretest.PythonScript(t, []string{"pynamodb"}, "testdata/clients/mapper.py", newWorld(t).url)
}

func TestTheJavaScriptDocumentClientGetsWhatItExpects(t *testing.T) {
	wiretest.NodeScript(t, []string{"@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb"}, "testdata/clients/document.mjs", newWorld(t).url)
}

func TestTheIdempotencyUtilityForTypeScriptRunsAsItIs(t *testing.T) {
	wiretest.NodeScript(t, []string{"@aws-lambda-powertools/idempotency", "@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb"}, "testdata/clients/idempotency.mjs", newWorld(t).url)
}

func TestDynamooseAndElectroDBGetWhatTheyExpect(t *testing.T) {
	wiretest.NodeScript(t, []string{"dynamoose", "electrodb", "@aws-sdk/client-dynamodb"}, "testdata/clients/mappers.mjs", newWorld(t).url)
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	w := newWorld(t)
	const key, other = `{"id":{"S":"a"}}`, `{"id":{"S":"b"}}`
	wiretest.CLI(t, w.url, "dynamodb", []wiretest.Step{
		{Args: []string{"create-table", "--table-name", "cli", "--attribute-definitions", "AttributeName=id,AttributeType=S", "--key-schema", "AttributeName=id,KeyType=HASH", "--billing-mode", "PAY_PER_REQUEST"}, Want: `"TableStatus": "CREATING"`},
		{Args: []string{"wait", "table-exists", "--table-name", "cli"}},
		{Args: []string{"put-item", "--table-name", "cli", "--item", `{"id":{"S":"a"},"n":{"N":"1.50"}}`, "--return-consumed-capacity", "TOTAL"}, Want: `"CapacityUnits": 1`},
		{Args: []string{"put-item", "--table-name", "cli", "--item", key, "--condition-expression", "attribute_not_exists(id)"}, Want: "An error occurred (ConditionalCheckFailedException) when calling the PutItem operation: The conditional request failed", Fail: true},
		{Args: []string{"get-item", "--table-name", "cli", "--key", key, "--consistent-read"}, Want: `"N": "1.5"`},
		{Args: []string{"update-item", "--table-name", "cli", "--key", key, "--update-expression", "ADD n :n", "--expression-attribute-values", `{":n":{"N":"1"}}`, "--return-values", "UPDATED_NEW"}, Want: `"N": "2.5"`},
		{Args: []string{"batch-write-item", "--request-items", `{"cli":[{"PutRequest":{"Item":` + other + `}}]}`}, Want: `"UnprocessedItems": {}`},
		{Args: []string{"scan", "--table-name", "cli", "--page-size", "1", "--query", "length(Items)"}, Want: "2"},
		{Args: []string{"query", "--table-name", "cli", "--key-condition-expression", "id = :a", "--expression-attribute-values", `{":a":{"S":"b"}}`, "--select", "COUNT"}, Want: `"Count": 1`},
		{Args: []string{"transact-write-items", "--transact-items", `[{"Delete":{"TableName":"cli","Key":` + other + `,"ConditionExpression":"attribute_exists(n)"}}]`}, Want: "(TransactionCanceledException)", Fail: true},
		{Args: []string{"update-continuous-backups", "--table-name", "cli", "--point-in-time-recovery-specification", "PointInTimeRecoveryEnabled=true"}, Want: "(ValidationException) when calling the UpdateContinuousBackups operation: PointInTimeRecoveryEnabled is not supported here", Fail: true},
		{Args: []string{"describe-table", "--table-name", "cli"}, Want: `"TableStatus": "ACTIVE"`},
		{Args: []string{"list-tables"}, Want: `"cli"`},
		{Args: []string{"delete-table", "--table-name", "cli"}, Want: `"TableStatus": "DELETING"`},
		{Args: []string{"wait", "table-not-exists", "--table-name", "cli"}},
		{Args: []string{"describe-table", "--table-name", "cli"}, Want: "(ResourceNotFoundException)", Fail: true},
	})
}
