"""What boto3's client, its resource layer and its paginators expect of tables."""

import sys
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

url = sys.argv[1]
resource = boto3.resource("dynamodb", endpoint_url=url)
client = resource.meta.client


def same(got, want, what):
    if got != want:
        raise SystemExit(f"{what}: got {got!r}, want {want!r}")


def fails(code, what, call):
    try:
        call()
    except ClientError as e:
        same(e.response["Error"]["Code"], code, what)
        return e.response
    raise SystemExit(f"{what}: went well, want {code}")


table = resource.create_table(
    TableName="orders",
    BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"), ("state", "S"))],
    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    GlobalSecondaryIndexes=[{"IndexName": "by-state", "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}], "Projection": {"ProjectionType": "ALL"}}],
)
table.wait_until_exists()
table.reload()
same(table.table_status, "ACTIVE", "the status of a table")
same(table.item_count, 0, "the items of a new table")

# Values: each type comes back as it went.
item = {
    "pk": "types", "sk": Decimal("0"), "text": "é🙂", "none": None, "yes": True, "number": Decimal("123456789012345678901234567890.12345678"), "small": Decimal("-1E-130"),
    "bytes": boto3.dynamodb.types.Binary(b"\x00\xff"), "texts": {"a", "b"}, "numbers": {Decimal("1"), Decimal("2.5")}, "list": [Decimal("1"), {"deep": [[]]}], "empty": "", "map": {},
}
table.put_item(Item=item)
same(table.get_item(Key={"pk": "types", "sk": 0}, ConsistentRead=True)["Item"], item, "an item with every type")
same("Item" in table.get_item(Key={"pk": "types", "sk": 1}), False, "an item that is not there")

# The batch writer sends again what was not taken, and may overwrite within a batch.
with table.batch_writer(overwrite_by_pkeys=["pk", "sk"]) as batch:
    for n in range(130):
        batch.put_item(Item={"pk": "many", "sk": n, "state": "even" if n % 2 == 0 else "odd", "n": {"x": n}})
    batch.put_item(Item={"pk": "many", "sk": 129, "state": "odd", "n": {"x": 1000}})
    batch.delete_item(Key={"pk": "many", "sk": 0})

got = table.query(KeyConditionExpression=Key("pk").eq("many") & Key("sk").between(10, 20), FilterExpression=Attr("n.x").gt(12) & Attr("state").begins_with("ev"), ScanIndexForward=False)
same([int(i["sk"]) for i in got["Items"]], [20, 18, 16, 14], "a query with a filter, backwards")
same((got["Count"], got["ScannedCount"]), (4, 11), "what it counted")
got = table.query(IndexName="by-state", KeyConditionExpression=Key("state").eq("odd") & Key("sk").gte(121), ProjectionExpression="sk, #n.x", ExpressionAttributeNames={"#n": "n"})
same(got["Items"], [{"sk": Decimal(n), "n": {"x": Decimal(1000 if n == 129 else n)}} for n in (121, 123, 125, 127, 129)], "a query of an index")
conditions = Attr("none").attribute_type("NULL") & Attr("texts").contains("a") & Attr("text").size().lte(10) & ~Attr("gone").exists() & (Attr("sk").is_in([0, 7]) | Attr("yes").ne(True))
same([i["pk"] for i in table.scan(FilterExpression=conditions)["Items"]], ["types"], "a scan with every kind of condition")

pages = list(client.get_paginator("query").paginate(TableName="orders", KeyConditionExpression=Key("pk").eq("many"), PaginationConfig={"PageSize": 50}))
same([len(p["Items"]) for p in pages], [50, 50, 29], "pages of a query")
same(sum(p["Count"] for s in range(3) for p in client.get_paginator("scan").paginate(TableName="orders", Segment=s, TotalSegments=3, Limit=20)), 130, "segments of a scan")
same(client.get_paginator("list_tables").paginate().build_full_result()["TableNames"], ["orders"], "tables")

# Writes with conditions.
key = {"pk": "one", "sk": 1}
got = table.update_item(Key=key, UpdateExpression="SET a = if_not_exists(a, :z) + :n, l = list_append(if_not_exists(l, :none), :l) ADD s :s", ExpressionAttributeValues={":z": 0, ":n": 5, ":none": [], ":l": ["x"], ":s": {"t"}}, ReturnValues="ALL_NEW")
same(got["Attributes"], {**key, "a": Decimal(5), "l": ["x"], "s": {"t"}}, "an update")
e = fails("ConditionalCheckFailedException", "a condition that fails", lambda: table.put_item(Item=key, ConditionExpression=Attr("pk").not_exists() | Attr("a").lt(5), ReturnValuesOnConditionCheckFailure="ALL_OLD"))
same(e["Item"]["a"], {"N": "5"}, "the item of a condition that fails")
same(table.delete_item(Key=key, ReturnValues="ALL_OLD")["Attributes"]["a"], Decimal(5), "what was deleted")
fails("ValidationException", "a key that is none", lambda: table.get_item(Key={"pk": "one"}))
fails("ResourceNotFoundException", "a table that is not there", lambda: resource.Table("gone").get_item(Key={"a": "b"}))
fails("ResourceInUseException", "a table that is there", lambda: client.create_table(TableName="orders", BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}], KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}]))

# Batches and transactions.
got = resource.batch_get_item(RequestItems={"orders": {"Keys": [{"pk": "many", "sk": n} for n in (1, 2, 500)], "ProjectionExpression": "sk"}})
same(sorted(int(i["sk"]) for i in got["Responses"]["orders"]), [1, 2], "a batch of reads")
same(got["UnprocessedKeys"], {}, "what a batch left")
put = {"Put": {"TableName": "orders", "Item": {"pk": "t", "sk": 1}, "ConditionExpression": "attribute_not_exists(pk)"}}
check = {"ConditionCheck": {"TableName": "orders", "Key": {"pk": "many", "sk": 1}, "ConditionExpression": "#s = :odd", "ExpressionAttributeNames": {"#s": "state"}, "ExpressionAttributeValues": {":odd": "odd"}}}
for _ in range(2):
    client.transact_write_items(TransactItems=[put, check], ClientRequestToken="token")
e = fails("TransactionCanceledException", "a transaction that cannot be", lambda: client.transact_write_items(TransactItems=[check, put]))
same([r["Code"] for r in e["CancellationReasons"]], ["None", "ConditionalCheckFailed"], "the reasons")
fails("IdempotentParameterMismatchException", "another transaction under one token", lambda: client.transact_write_items(TransactItems=[check], ClientRequestToken="token"))
got = client.transact_get_items(TransactItems=[{"Get": {"TableName": "orders", "Key": {"pk": "t", "sk": n}}} for n in (1, 2)])
same([r.get("Item") for r in got["Responses"]], [{"pk": "t", "sk": Decimal(1)}, None], "a transaction that reads")

# Tables.
table = table.update(DeletionProtectionEnabled=True)
fails("ValidationException", "a protected table", lambda: table.delete())
table = table.update(DeletionProtectionEnabled=False)
client.update_time_to_live(TableName="orders", TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True})
same(client.describe_time_to_live(TableName="orders")["TimeToLiveDescription"], {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}, "expiry")
client.tag_resource(ResourceArn=table.table_arn, Tags=[{"Key": "team", "Value": "a"}])
same(client.get_paginator("list_tags_of_resource").paginate(ResourceArn=table.table_arn).build_full_result()["Tags"], [{"Key": "team", "Value": "a"}], "tags")
table.delete()
table.wait_until_not_exists()
