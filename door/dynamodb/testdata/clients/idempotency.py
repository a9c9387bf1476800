"""The idempotency utility of Powertools for AWS Lambda, as it is: its records lie in a table."""

import sys
import time
from types import SimpleNamespace

import boto3
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError, IdempotencyKeyError, IdempotencyValidationError

resource = boto3.resource("dynamodb", endpoint_url=sys.argv[1])
client = boto3.client("dynamodb", endpoint_url=sys.argv[1])
context = SimpleNamespace(function_name="f", memory_limit_in_mb=128, invoked_function_arn="arn", aws_request_id="r", get_remaining_time_in_millis=lambda: 30000)


def same(got, want, what):
    if got != want:
        raise SystemExit(f"{what}: got {got!r}, want {want!r}")


def fails(error, what, call):
    try:
        call()
    except error:
        return
    raise SystemExit(f"{what}: went well, want {error.__name__}")


def table(name, *keys):
    t = resource.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": k, "AttributeType": "S"} for k in keys], KeySchema=[{"AttributeName": k, "KeyType": kind} for k, kind in zip(keys, ("HASH", "RANGE"))])
    t.wait_until_exists()
    return t


records = table("records", "id")
store = DynamoDBPersistenceLayer(table_name="records", boto3_client=client)
runs = []


@idempotent(persistence_store=store, config=IdempotencyConfig(event_key_jmespath="order", payload_validation_jmespath="amount", raise_on_no_idempotency_key=True))
def handler(event, context):
    runs.append(event["order"])
    if event.get("again"):
        fails(IdempotencyAlreadyInProgressError, "a second call while the first runs", lambda: handler(event, context))
    if event.get("fail"):
        raise RuntimeError("no")
    return {"run": len(runs)}


same(handler({"order": "a", "amount": 5}, context), {"run": 1}, "the first call")
same(handler({"order": "a", "amount": 5}, context), {"run": 1}, "a duplicate is answered from the record")
same(runs, ["a"], "what ran")
fails(IdempotencyValidationError, "another amount under the same key", lambda: handler({"order": "a", "amount": 6}, context))
fails(IdempotencyKeyError, "an event without a key", lambda: handler({"amount": 6}, context))
handler({"order": "b", "amount": 5, "again": True}, context)
for _ in range(2):
    fails(RuntimeError, "a call that fails", lambda: handler({"order": "c", "amount": 5, "fail": True}, context))
same(runs, ["a", "b", "c", "c"], "what failed leaves no record, and runs again")

# A record that has expired is none, whether the table has deleted it yet or not; nor is one of a call whose time ran out.
record = next(r for r in records.scan()["Items"] if '"run": 1' in r["data"])
records.update_item(Key={"id": record["id"]}, UpdateExpression="SET expiration = :t", ExpressionAttributeValues={":t": int(time.time()) - 10})
same(handler({"order": "a", "amount": 5}, context), {"run": 5}, "a call after its record has expired")
records.update_item(Key={"id": record["id"]}, UpdateExpression="SET #s = :s, in_progress_expiration = :t", ExpressionAttributeNames={"#s": "status"}, ExpressionAttributeValues={":s": "INPROGRESS", ":t": int(time.time() * 1000) + 60000})
fails(IdempotencyAlreadyInProgressError, "a call while another place runs it", lambda: handler({"order": "a", "amount": 5}, context))
records.update_item(Key={"id": record["id"]}, UpdateExpression="SET in_progress_expiration = :t", ExpressionAttributeValues={":t": int(time.time() * 1000) - 10})
same(handler({"order": "a", "amount": 5}, context), {"run": 6}, "a call after the other's time ran out")

# Records with a sort key, of a function that is no handler.
pairs = table("pairs", "pk", "sk")


@idempotent_function(data_keyword_argument="order", persistence_store=DynamoDBPersistenceLayer(table_name="pairs", key_attr="pk", sort_key_attr="sk", boto3_client=client), config=IdempotencyConfig(lambda_context=context, use_local_cache=True))
def charge(order):
    runs.append(order["id"])
    return order["id"]


same([charge(order={"id": "x"}), charge(order={"id": "x"})], ["x", "x"], "a function called twice")
same((runs.count("x"), pairs.scan()["Count"]), (1, 1), "how often it ran, and its records")
