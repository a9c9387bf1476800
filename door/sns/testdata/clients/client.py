# What boto3 makes of the door's answers: one conformance list, as in client.mjs.
import json
import sys

import boto3
from botocore.exceptions import ClientError

sns = boto3.client("sns", endpoint_url=sys.argv[1])


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e.response
        return e.response["Error"]["Message"]
    raise AssertionError(f"{parameters} was taken")


arn = sns.create_topic(Name="py", Attributes={"DisplayName": "P"}, Tags=[{"Key": "k", "Value": "v"}])["TopicArn"]
assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "P"
assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
assert {"TopicArn": arn} in sns.list_topics()["Topics"]
sub = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:q", ReturnSubscriptionArn=True,
                    Attributes={"FilterPolicy": json.dumps({"color": ["red", {"prefix": "b"}]}), "RawMessageDelivery": "true"})["SubscriptionArn"]
got = sns.get_subscription_attributes(SubscriptionArn=sub)["Attributes"]
assert got["RawMessageDelivery"] == "true" and json.loads(got["FilterPolicy"])["color"][0] == "red", got
assert [s["SubscriptionArn"] for s in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]] == [sub]
assert sns.publish(TopicArn=arn, Message="grüße <&>", Subject="S", MessageAttributes={
    "color": {"DataType": "String", "StringValue": "blue"}, "raw": {"DataType": "Binary", "BinaryValue": b"\x01\x02"}})["MessageId"]
batch = sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=[
    {"Id": "1", "Message": "a"}, {"Id": "2", "Message": "b", "Subject": ""}])
assert [s["Id"] for s in batch["Successful"]] == ["1"] and batch["Failed"][0]["Code"] == "InvalidParameter", batch
assert refused("NotFound", sns.publish, TopicArn=arn + "x", Message="m") == "Topic does not exist"
assert refused("InvalidParameter", sns.publish, TopicArn=arn, Message="") == "Invalid parameter: Empty message"
assert "line: 1, column: 31" in refused("InvalidParameter", sns.set_subscription_attributes, SubscriptionArn=sub, AttributeName="FilterPolicy", AttributeValue='{"key":[{"wrong-operator":true}]}')
refused("UnsupportedOperation", sns.create_platform_application, Name="p", Platform="GCM", Attributes={})
refused("TooManyEntriesInBatchRequest", sns.publish_batch, TopicArn=arn, PublishBatchRequestEntries=[{"Id": str(i), "Message": "m"} for i in range(11)])
sns.unsubscribe(SubscriptionArn=sub)
assert sns.list_subscriptions()["Subscriptions"] == []
sns.delete_topic(TopicArn=arn)
print("boto3", boto3.__version__, "got what it expects")
