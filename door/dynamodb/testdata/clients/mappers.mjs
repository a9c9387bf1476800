// Mappers of documents to tables: Dynamoose and ElectroDB, as they are.
import assert from "node:assert/strict";
import dynamoose from "dynamoose";
import { Entity, Service } from "electrodb";
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";

const endpoint = process.argv[2];
dynamoose.aws.ddb.set(new dynamoose.aws.ddb.DynamoDB({ endpoint, region: "us-east-1" }));
const Cat = dynamoose.model("Cat", new dynamoose.Schema({
  id: { type: String, hashKey: true }, born: { type: Number, rangeKey: true }, name: { type: String, index: { name: "by-name", type: "global" } },
  toys: { type: Set, schema: [String] }, meta: { type: Object, schema: { color: String } }, at: Date,
}, { timestamps: true }));
const Table = new dynamoose.Table("cats", [Cat], { initialize: false, throughput: "ON_DEMAND", waitForActive: { enabled: true, check: { timeout: 10000, frequency: 10 } } });
await Table.initialize();

const at = new Date(1700000000000);
await Cat.create({ id: "a", born: 1, name: "Tom", toys: new Set(["ball"]), meta: { color: "red" }, at });
await assert.rejects(Cat.create({ id: "a", born: 1, name: "Again" }), { name: "ConditionalCheckFailedException" });
const tom = await Cat.get({ id: "a", born: 1 });
assert.deepEqual([tom.name, [...tom.toys], tom.meta.color, tom.at.getTime()], ["Tom", ["ball"], "red", at.getTime()]);
await Cat.update({ id: "a", born: 1 }, { $SET: { "meta": { color: "blue" } }, $ADD: { toys: new Set(["mouse"]) } });
const blue = await Cat.get({ id: "a", born: 1 });
assert.deepEqual([blue.meta.color, [...blue.toys].sort()], ["blue", ["ball", "mouse"]]);
await Cat.batchPut(Array.from({ length: 20 }, (_, i) => ({ id: "many", born: i, name: i % 2 ? "odd" : "even" })));
assert.equal((await Cat.query("id").eq("many").where("born").between(3, 7).exec()).length, 5);
assert.equal((await Cat.query("name").eq("odd").using("by-name").exec()).length, 10);
assert.equal((await Cat.scan("name").contains("o").limit(5).all().exec()).length, 11);
assert.equal((await Cat.batchGet([{ id: "many", born: 1 }, { id: "many", born: 100 }])).length, 1);
await dynamoose.transaction([Cat.transaction.create({ id: "t", born: 1 }), Cat.transaction.condition({ id: "a", born: 1 }, new dynamoose.Condition("name").eq("Tom"))]);
await assert.rejects(dynamoose.transaction([Cat.transaction.create({ id: "t", born: 1 }), Cat.transaction.delete({ id: "a", born: 1 })]), { name: "TransactionCanceledException" });
assert((await Cat.get({ id: "a", born: 1 })) !== undefined);
await Cat.delete({ id: "a", born: 1 });
assert.equal(await Cat.get({ id: "a", born: 1 }), undefined);

// One table, several kinds of items, keys made of their attributes.
const client = new DynamoDBClient({ endpoint, region: "us-east-1" });
const names = ["pk", "sk", "gsi1pk", "gsi1sk"];
const key = (pk, sk) => [{ AttributeName: pk, KeyType: "HASH" }, { AttributeName: sk, KeyType: "RANGE" }];
await client.send(new CreateTableCommand({
  TableName: "electro", BillingMode: "PAY_PER_REQUEST", AttributeDefinitions: names.map((AttributeName) => ({ AttributeName, AttributeType: "S" })), KeySchema: key("pk", "sk"),
  GlobalSecondaryIndexes: [{ IndexName: "gsi1", KeySchema: key("gsi1pk", "gsi1sk"), Projection: { ProjectionType: "ALL" } }],
}));
const entity = (name, attributes, by) => new Entity({
  model: { entity: name, version: "1", service: "shop" }, attributes: { store: { type: "string", required: true }, id: { type: "string", required: true }, ...attributes },
  indexes: { primary: { pk: { field: "pk", composite: ["store"] }, sk: { field: "sk", composite: ["id"] } }, other: { index: "gsi1", collection: "all", pk: { field: "gsi1pk", composite: ["store"] }, sk: { field: "gsi1sk", composite: [by] } } },
}, { client, table: "electro" });
const Order = entity("order", { state: { type: ["open", "done"], required: true }, total: { type: "number", default: 0 }, lines: { type: "list", items: { type: "string" } }, seen: { type: "set", items: "string" } }, "state");
const Note = entity("note", { text: { type: "string", required: true } }, "text");
const shop = new Service({ Order, Note });
await Order.put(Array.from({ length: 40 }, (_, i) => ({ store: "s", id: String(i).padStart(2, "0"), state: i % 4 ? "open" : "done", lines: ["x"] }))).go();
await Note.create({ store: "s", id: "n", text: "hello" }).go();
await assert.rejects(Note.create({ store: "s", id: "n", text: "again" }).go(), /conditional request failed/);
assert.equal((await Order.query.primary({ store: "s" }).between({ id: "10" }, { id: "19" }).go()).data.length, 10);
assert.equal((await Order.query.other({ store: "s", state: "done" }).go()).data.length, 10);
assert.equal((await Order.scan.where(({ state }, { eq }) => eq(state, "open")).go({ pages: "all" })).data.length, 30);
const changed = await Order.patch({ store: "s", id: "01" }).set({ state: "done" }).add({ total: 5, seen: ["a"] }).append({ lines: ["y"] }).where(({ state }, { eq }) => eq(state, "open")).go({ response: "all_new" });
assert.deepEqual([changed.data.total, changed.data.lines, changed.data.seen], [5, ["x", "y"], ["a"]]);
await assert.rejects(Order.patch({ store: "s", id: "no" }).set({ state: "done" }).go(), /conditional request failed/);
const all = await shop.collections.all({ store: "s" }).go({ pages: "all" });
assert.deepEqual([all.data.Order.length, all.data.Note.length], [40, 1]);
const write = await shop.transaction.write(({ Order, Note }) => [Order.upsert({ store: "s", id: "new", state: "open" }).commit(), Note.delete({ store: "s", id: "n" }).commit()]).go();
assert.equal(write.canceled, false);
const refused = await shop.transaction.write(({ Order, Note }) => [Order.create({ store: "s", id: "new", state: "open" }).commit({ response: "all_old" }), Note.put({ store: "s", id: "m", text: "x" }).commit()]).go();
assert.deepEqual([refused.canceled, refused.data[0].code], [true, "ConditionalCheckFailed"]);
assert.equal((await Note.get({ store: "s", id: "m" }).go()).data, null);
