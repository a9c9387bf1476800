// What the JavaScript SDK's document client, its paginators and waiters expect of tables.
import assert from "node:assert/strict";
import { CreateTableCommand, DynamoDBClient, DescribeTableCommand, waitUntilTableExists, waitUntilTableNotExists, DeleteTableCommand, ConditionalCheckFailedException, TransactionCanceledException, ResourceNotFoundException } from "@aws-sdk/client-dynamodb";
import { BatchGetCommand, BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand, ScanCommand, TransactGetCommand, TransactWriteCommand, UpdateCommand, paginateQuery, paginateScan } from "@aws-sdk/lib-dynamodb";

const client = new DynamoDBClient({ endpoint: process.argv[2], region: "us-east-1", maxAttempts: 1 });
const doc = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
const TableName = "orders";

await client.send(new CreateTableCommand({
  TableName, BillingMode: "PAY_PER_REQUEST", AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }, { AttributeName: "sk", AttributeType: "N" }, { AttributeName: "kind", AttributeType: "S" }],
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }],
  GlobalSecondaryIndexes: [{ IndexName: "by-kind", KeySchema: [{ AttributeName: "kind", KeyType: "HASH" }], Projection: { ProjectionType: "KEYS_ONLY" } }],
}));
await waitUntilTableExists({ client, maxWaitTime: 30 }, { TableName });
assert.equal((await client.send(new DescribeTableCommand({ TableName }))).Table.TableStatus, "ACTIVE");

const Item = { pk: "types", sk: 1, text: "é🙂", nothing: null, yes: true, list: [1, "a", { deep: [] }], map: { a: {} }, texts: new Set(["a", "b"]), bytes: new Uint8Array([0, 255]), gone: undefined };
await doc.send(new PutCommand({ TableName, Item }));
const { gone, ...kept } = Item;
assert.deepEqual((await doc.send(new GetCommand({ TableName, Key: { pk: "types", sk: 1 }, ConsistentRead: true }))).Item, kept);
assert.equal((await doc.send(new GetCommand({ TableName, Key: { pk: "types", sk: 2 } }))).Item, undefined);

for (let from = 0; from < 100; from += 25) {
  const requests = Array.from({ length: 25 }, (_, i) => ({ PutRequest: { Item: { pk: "many", sk: from + i, kind: i % 2 ? "odd" : "even" } } }));
  assert.deepEqual((await doc.send(new BatchWriteCommand({ RequestItems: { [TableName]: requests } }))).UnprocessedItems, {});
}
const sizes = [];
for await (const page of paginateQuery({ client: doc, pageSize: 40 }, { TableName, KeyConditionExpression: "pk = :p", ExpressionAttributeValues: { ":p": "many" } })) sizes.push(page.Items.length);
assert.deepEqual(sizes, [40, 40, 20]);
let scanned = 0;
for await (const page of paginateScan({ client: doc, pageSize: 30 }, { TableName, FilterExpression: "attribute_exists(kind)" })) scanned += page.Count;
assert.equal(scanned, 100);
const odd = await doc.send(new QueryCommand({ TableName, IndexName: "by-kind", KeyConditionExpression: "kind = :k", ExpressionAttributeValues: { ":k": "odd" }, Select: "COUNT" }));
assert.deepEqual([odd.Count, odd.Items], [48, undefined]);
assert.equal((await doc.send(new ScanCommand({ TableName, Limit: 1 }))).LastEvaluatedKey !== undefined, true);
const read = await doc.send(new BatchGetCommand({ RequestItems: { [TableName]: { Keys: [{ pk: "many", sk: 3 }, { pk: "many", sk: 300 }] } } }));
assert.deepEqual([read.Responses[TableName].length, read.UnprocessedKeys], [1, {}]);

const updated = await doc.send(new UpdateCommand({ TableName, Key: { pk: "u", sk: 1 }, UpdateExpression: "SET #c = if_not_exists(#c, :z) + :one, l = :l", ExpressionAttributeNames: { "#c": "count" }, ExpressionAttributeValues: { ":z": 0, ":one": 1, ":l": [1] }, ReturnValues: "UPDATED_NEW" }));
assert.deepEqual(updated.Attributes, { count: 1, l: [1] });
await assert.rejects(doc.send(new PutCommand({ TableName, Item: { pk: "u", sk: 1 }, ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD" })), (e) => {
  assert(e instanceof ConditionalCheckFailedException);
  assert.deepEqual(e.Item.count, { N: "1" });
  return true;
});
await assert.rejects(doc.send(new GetCommand({ TableName: "gone", Key: { a: "b" } })), ResourceNotFoundException);
await assert.rejects(doc.send(new TransactWriteCommand({ TransactItems: [{ Delete: { TableName, Key: { pk: "many", sk: 1 } } }, { ConditionCheck: { TableName, Key: { pk: "u", sk: 1 }, ConditionExpression: "#c > :n", ExpressionAttributeNames: { "#c": "count" }, ExpressionAttributeValues: { ":n": 1 } } }] })), (e) => {
  assert(e instanceof TransactionCanceledException);
  assert.deepEqual(e.CancellationReasons.map((r) => r.Code), ["None", "ConditionalCheckFailed"]);
  return true;
});
await doc.send(new TransactWriteCommand({ TransactItems: [{ Delete: { TableName, Key: { pk: "many", sk: 1 } } }, { Update: { TableName, Key: { pk: "u", sk: 1 }, UpdateExpression: "ADD #c :one", ExpressionAttributeNames: { "#c": "count" }, ExpressionAttributeValues: { ":one": 1 } } }] }));
const both = await doc.send(new TransactGetCommand({ TransactItems: [{ Get: { TableName, Key: { pk: "many", sk: 1 } } }, { Get: { TableName, Key: { pk: "u", sk: 1 } } }] }));
assert.deepEqual(both.Responses.map((r) => r.Item?.count), [undefined, 2]);
assert.equal((await doc.send(new DeleteCommand({ TableName, Key: { pk: "u", sk: 1 }, ReturnValues: "ALL_OLD" }))).Attributes.count, 2);
await client.send(new DeleteTableCommand({ TableName }));
await waitUntilTableNotExists({ client, maxWaitTime: 30 }, { TableName });
