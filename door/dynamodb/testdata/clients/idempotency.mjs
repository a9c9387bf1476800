// The idempotency utility of Powertools for AWS Lambda (TypeScript), as it is: its records lie in a table.
import assert from "node:assert/strict";
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, ScanCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { IdempotencyAlreadyInProgressError, IdempotencyConfig, IdempotencyValidationError, makeIdempotent } from "@aws-lambda-powertools/idempotency";
import { DynamoDBPersistenceLayer } from "@aws-lambda-powertools/idempotency/dynamodb";

const client = new DynamoDBClient({ endpoint: process.argv[2], region: "us-east-1" });
const doc = DynamoDBDocumentClient.from(client);
const TableName = "records";
await client.send(new CreateTableCommand({ TableName, BillingMode: "PAY_PER_REQUEST", AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }], KeySchema: [{ AttributeName: "id", KeyType: "HASH" }] }));

const context = { functionName: "f", awsRequestId: "r", getRemainingTimeInMillis: () => 30000 };
const runs = [];
const handler = makeIdempotent(async (event) => {
  runs.push(event.order);
  if (event.again) await assert.rejects(handler(event, context), IdempotencyAlreadyInProgressError);
  if (event.fail) throw new RangeError("no");
  return { run: runs.length };
}, { persistenceStore: new DynamoDBPersistenceLayer({ tableName: TableName, awsSdkV3Client: client }), config: new IdempotencyConfig({ eventKeyJmesPath: "order", payloadValidationJmesPath: "amount" }) });

assert.deepEqual(await handler({ order: "a", amount: 5 }, context), { run: 1 });
assert.deepEqual(await handler({ order: "a", amount: 5 }, context), { run: 1 });
assert.deepEqual(runs, ["a"]);
await assert.rejects(handler({ order: "a", amount: 6 }, context), IdempotencyValidationError);
await handler({ order: "b", amount: 5, again: true }, context);
for (const _ of [1, 2]) await assert.rejects(handler({ order: "c", amount: 5, fail: true }, context), RangeError);
assert.deepEqual(runs, ["a", "b", "c", "c"]);

// A record that has expired is none, whether the table has deleted it yet or not; nor is one of a call whose time ran out.
const record = (await doc.send(new ScanCommand({ TableName }))).Items.find((r) => r.data.run === 1);
const set = (UpdateExpression, values, names) => doc.send(new UpdateCommand({ TableName, Key: { id: record.id }, UpdateExpression, ExpressionAttributeValues: values, ExpressionAttributeNames: names }));
await set("SET expiration = :t", { ":t": Math.floor(Date.now() / 1000) - 10 });
assert.deepEqual(await handler({ order: "a", amount: 5 }, context), { run: 5 });
await set("SET #s = :s, in_progress_expiration = :t", { ":s": "INPROGRESS", ":t": Date.now() + 60000 }, { "#s": "status" });
await assert.rejects(handler({ order: "a", amount: 5 }, context), IdempotencyAlreadyInProgressError);
await set("SET in_progress_expiration = :t", { ":t": Date.now() - 10 });
assert.deepEqual(await handler({ order: "a", amount: 5 }, context), { run: 6 });

// Of calls at once, one runs.
const many = await Promise.allSettled(Array.from({ length: 20 }, () => handler({ order: "at once", amount: 1 }, context)));
assert.equal(runs.filter((r) => r === "at once").length, 1);
for (const r of many) assert(r.status === "fulfilled" || r.reason instanceof IdempotencyAlreadyInProgressError, r.reason);
