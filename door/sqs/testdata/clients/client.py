"""Queues through boto3, which checks every checksum itself."""
import sys
import time

import boto3
from botocore.exceptions import ClientError

sqs = boto3.client("sqs", endpoint_url=sys.argv[1])


def refused(code, f, **args):
    try:
        f(**args)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e.response
        return e
    raise AssertionError("not refused: " + code)


url = sqs.create_queue(QueueName="py", Attributes={"VisibilityTimeout": "5"}, tags={"a": "b"})["QueueUrl"]
assert sqs.create_queue(QueueName="py")["QueueUrl"] == url
assert url in sqs.list_queues(QueueNamePrefix="p")["QueueUrls"]
sent = sqs.send_message(QueueUrl=url, MessageBody="grüße \"\n", MessageAttributes={
    "t": {"DataType": "String", "StringValue": "v"}, "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}, "n": {"DataType": "Number.int", "StringValue": "7"}})
got = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=5)["Messages"]
assert len(got) == 1 and got[0]["Body"] == "grüße \"\n" and got[0]["MessageId"] == sent["MessageId"], got
assert got[0]["MessageAttributes"]["b"]["BinaryValue"] == b"\x00\xff"
assert "Messages" not in sqs.receive_message(QueueUrl=url)
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"], VisibilityTimeout=0)
again = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["ApproximateReceiveCount"])["Messages"][0]
assert again["Attributes"] == {"ApproximateReceiveCount": "2"}, again
sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])

out = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": "m%d" % i} for i in range(10)])
assert len(out["Successful"]) == 10
seen = set()
while len(seen) < 10:
    for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]:
        seen.add(m["Body"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"] == "0"

e = refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="nowhere")
assert isinstance(e, sqs.exceptions.QueueDoesNotExist)
refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="x")
refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": "m"} for i in range(11)])

fifo = sqs.create_queue(QueueName="py.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
one = sqs.send_message(QueueUrl=fifo, MessageBody="1", MessageGroupId="g")
assert sqs.send_message(QueueUrl=fifo, MessageBody="1", MessageGroupId="g")["MessageId"] == one["MessageId"]
sqs.send_message(QueueUrl=fifo, MessageBody="2", MessageGroupId="g")
assert [m["Body"] for m in sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=10)["Messages"]] == ["1", "2"]

start = time.time()
assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
assert 0.9 < time.time() - start < 5
sqs.delete_queue(QueueUrl=url)
refused("AWS.SimpleQueueService.QueueDeletedRecently", sqs.create_queue, QueueName="py")
print("boto3", boto3.__version__)
