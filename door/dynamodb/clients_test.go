package dynamodb

import (
	"path/filepath"
	"strings"
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
	bin := wiretest.Python(t)
	w := newWorld(t)
	dir := t.TempDir()
	const key, other = `{"id":{"S":"a"}}`, `{"id":{"S":"b"}}`
	for _, c := range []struct {
		args []string
		want string
		fail bool
	}{
		{args: []string{"create-table", "--table-name", "cli", "--attribute-definitions", "AttributeName=id,AttributeType=S", "--key-schema", "AttributeName=id,KeyType=HASH", "--billing-mode", "PAY_PER_REQUEST"}, want: `"TableStatus": "CREATING"`},
		{args: []string{"wait", "table-exists", "--table-name", "cli"}},
		{args: []string{"put-item", "--table-name", "cli", "--item", `{"id":{"S":"a"},"n":{"N":"1.50"}}`, "--return-consumed-capacity", "TOTAL"}, want: `"CapacityUnits": 1`},
		{args: []string{"put-item", "--table-name", "cli", "--item", key, "--condition-expression", "attribute_not_exists(id)"}, want: "An error occurred (ConditionalCheckFailedException) when calling the PutItem operation: The conditional request failed", fail: true},
		{args: []string{"get-item", "--table-name", "cli", "--key", key, "--consistent-read"}, want: `"N": "1.5"`},
		{args: []string{"update-item", "--table-name", "cli", "--key", key, "--update-expression", "ADD n :n", "--expression-attribute-values", `{":n":{"N":"1"}}`, "--return-values", "UPDATED_NEW"}, want: `"N": "2.5"`},
		{args: []string{"batch-write-item", "--request-items", `{"cli":[{"PutRequest":{"Item":` + other + `}}]}`}, want: `"UnprocessedItems": {}`},
		{args: []string{"scan", "--table-name", "cli", "--page-size", "1", "--query", "length(Items)"}, want: "2"},
		{args: []string{"query", "--table-name", "cli", "--key-condition-expression", "id = :a", "--expression-attribute-values", `{":a":{"S":"b"}}`, "--select", "COUNT"}, want: `"Count": 1`},
		{args: []string{"transact-write-items", "--transact-items", `[{"Delete":{"TableName":"cli","Key":` + other + `,"ConditionExpression":"attribute_exists(n)"}}]`}, want: "(TransactionCanceledException)", fail: true},
		{args: []string{"update-continuous-backups", "--table-name", "cli", "--point-in-time-recovery-specification", "PointInTimeRecoveryEnabled=true"}, want: "(ValidationException) when calling the UpdateContinuousBackups operation: PointInTimeRecoveryEnabled is not supported here", fail: true},
		{args: []string{"describe-table", "--table-name", "cli"}, want: `"TableStatus": "ACTIVE"`},
		{args: []string{"list-tables"}, want: `"cli"`},
		{args: []string{"delete-table", "--table-name", "cli"}, want: `"TableStatus": "DELETING"`},
		{args: []string{"wait", "table-not-exists", "--table-name", "cli"}},
		{args: []string{"describe-table", "--table-name", "cli"}, want: "(ResourceNotFoundException)", fail: true},
	} {
		out, err := wiretest.Command(dir, filepath.Join(bin, "aws"), append([]string{"--endpoint-url", w.url, "--output", "json", "dynamodb"}, c.args...)...)
		if (err != nil) != c.fail || !strings.Contains(out, c.want) {
			t.Errorf("aws dynamodb %s: got %v\n%s\nwant %s", strings.Join(c.args, " "), err, out, c.want)
		}
	}
}
