"""Calls the door with boto3 as a user's code would; exits with 1 at the first surprise.

usage: client.py ENDPOINT
"""
import base64
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint = sys.argv[1]
session = boto3.Session(aws_access_key_id="AKID", aws_secret_access_key="secret", region_name="us-east-1")


def client(service):
    return session.client(service, endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 4, "mode": "standard"}, s3={"addressing_style": "path"}))


def want(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, want {wanted!r}")


def refused(what, call, status, code, retries=0):
    try:
        call()
    except ClientError as e:
        meta = e.response["ResponseMetadata"]
        want(what, (meta["HTTPStatusCode"], e.response["Error"]["Code"], meta["RetryAttempts"]), (status, code, retries))
        return e.response
    sys.exit(f"{what}: was not refused")


fn = client("lambda")
out = fn.invoke(FunctionName="f", Payload=b'{"a":1}', LogType="Tail", ClientContext=base64.b64encode(b'{"custom":{}}').decode())
want("invoke", (out["StatusCode"], out["ExecutedVersion"], json.load(out["Payload"])), (200, "$LATEST", {"a": 1}))
want("log", base64.b64decode(out["LogResult"]), b"START\nEND\n")
want("ARN", fn.invoke(FunctionName="arn:aws:lambda:us-east-1:000000000000:function:f:prod")["StatusCode"], 200)
want("dry run", fn.invoke(FunctionName="f", InvocationType="DryRun")["StatusCode"], 204)
out = fn.invoke(FunctionName="f", Payload=b'"fail"')
want("function error", (out["StatusCode"], out["FunctionError"], json.load(out["Payload"])["errorType"]), (200, "Unhandled", "E"))

e = refused("unknown function", lambda: fn.invoke(FunctionName="nope"), 404, "ResourceNotFoundException")
want("its text", e["Error"]["Message"], "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST")
refused("event", lambda: fn.invoke(FunctionName="f", InvocationType="Event"), 400, "UnsupportedOperationException")
refused("no JSON", lambda: fn.invoke(FunctionName="f", Payload=b"{"), 400, "InvalidRequestContentException")
e = refused("throttle", lambda: fn.invoke(FunctionName="f", Payload=b'"throttle"'), 429, "TooManyRequestsException", retries=3)
want("its reason", e.get("Reason"), "ReservedFunctionConcurrentInvocationLimitExceeded")
refused("too large", lambda: fn.invoke(FunctionName="f", Payload=b'"' + b"x" * (6 << 20) + b'"'), 413, "RequestTooLargeException")
refused("create", lambda: fn.delete_function(FunctionName="f"), 400, "UnsupportedOperationException")
refused("validation", lambda: fn.invoke(FunctionName="a b"), 400, "ValidationException")

chunks, complete = [], None
for event in fn.invoke_with_response_stream(FunctionName="f", Payload=b'"stream"', LogType="Tail")["EventStream"]:
    if "PayloadChunk" in event:
        chunks.append(event["PayloadChunk"]["Payload"])
    else:
        complete = event["InvokeComplete"]
want("stream", chunks, [b"one", b"two"])
want("its end", base64.b64decode(complete["LogResult"]), b"log")

names = [f["FunctionName"] for page in fn.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}) for f in page["Functions"]]
want("functions", names, ["f", "g", "locked"])
fn.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"MaxAttempts": 1})
want("configuration", fn.get_function(FunctionName="f")["Configuration"]["State"], "Active")
want("concurrency", fn.put_function_concurrency(FunctionName="g", ReservedConcurrentExecutions=3)["ReservedConcurrentExecutions"], 3)
want("concurrency read", fn.get_function_concurrency(FunctionName="g")["ReservedConcurrentExecutions"], 3)
fn.delete_function_concurrency(FunctionName="g")
want("layers", fn.list_layers()["Layers"][0]["LatestMatchingVersion"]["Version"], 2)
want("url", fn.get_function_url_config(FunctionName="f")["InvokeMode"], "RESPONSE_STREAM")

want("identity", client("sts").get_caller_identity()["Arn"], "arn:aws:iam::000000000000:user/operator")
refused("sqs", lambda: client("sqs").send_message(QueueUrl=endpoint + "/0/q", MessageBody="x"), 400, "UnsupportedOperation")
refused("dynamodb", lambda: client("dynamodb").list_tables(), 400, "UnsupportedOperationException")
refused("kinesis", lambda: client("kinesis").list_streams(), 400, "UnsupportedOperationException")
refused("sns", lambda: client("sns").list_topics(), 400, "UnsupportedOperation")
refused("s3", lambda: client("s3").list_buckets(), 400, "NotImplemented")
refused("s3 put", lambda: client("s3").put_object(Bucket="b", Key="a b/ü", Body=b"x"), 400, "NotImplemented")
refused("ec2", lambda: client("ec2").describe_vpcs(), 400, "UnsupportedOperation")
refused("cloudwatch", lambda: client("cloudwatch").list_metrics(), 400, "UnsupportedOperation")
refused("scheduler", lambda: client("scheduler").list_schedules(), 400, "UnsupportedOperationException")
refused("stepfunctions", lambda: client("stepfunctions").list_state_machines(), 400, "UnsupportedOperationException")

session = boto3.Session(aws_access_key_id="AKID", aws_secret_access_key="wrong", region_name="us-east-1")
refused("wrong secret", lambda: client("lambda").list_functions(), 403, "InvalidSignatureException")
refused("wrong secret, json", lambda: client("dynamodb").list_tables(), 400, "InvalidSignatureException")
refused("wrong secret, query", lambda: client("sns").list_topics(), 403, "SignatureDoesNotMatch")
refused("wrong secret, s3", lambda: client("s3").list_buckets(), 403, "SignatureDoesNotMatch")
session = boto3.Session(aws_access_key_id="OTHER", aws_secret_access_key="x", region_name="us-east-1")
refused("unknown key", lambda: client("lambda").list_functions(), 403, "UnrecognizedClientException")
print("boto3", boto3.__version__, "ok")
