"""A function that does what its event says, so that faults can be seen from outside."""
import datetime
import errno
import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.request


def handler(event, context):
    def answer(body):
        return {"statusCode": 200, "body": body}

    for record in event.get("Records", []):
        take(record)
    do = event.get("do")
    if do == "write":
        try:
            with open("/tmp/f", "wb") as f:
                f.write(bytes(64 << 10))
        except OSError as e:
            return answer(errno.errorcode[e.errno])
    elif do == "memory":
        held = bytearray(b"\x01") * (event["mb"] << 20)
        time.sleep(0.2)
        return answer(str(len(held) >> 20))
    elif do == "clock":
        return answer(f"{(time.time() - event['now']) / 60:.0f} minutes")
    elif do == "variable":
        return answer(os.environ.get("GREETING", "missing"))
    elif do == "send":
        return answer(send(os.environ["QUEUE"]))
    elif do == "get":
        try:
            urllib.request.urlopen(event["url"]).read()
        except OSError:
            return answer("unreachable")
    return answer("fine")


def take(record):
    """Tells the world outside which record it was handed."""
    if "dynamodb" in record:
        id = record["dynamodb"]["Keys"]["id"]["S"]
    else:
        id = json.loads(record["body"])["id"]
    urllib.request.urlopen(os.environ["TELL"] + "/" + id).read()


def send(queue):
    """Sends a message, signed by hand: no SDK comes with the runtime here."""
    url = os.environ["AWS_ENDPOINT_URL"]
    body = json.dumps({"QueueUrl": queue, "MessageBody": "x"}).encode()
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    region = os.environ["AWS_REGION"]
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": url.split("//")[1].strip("/"),
        "x-amz-date": now,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
        "x-amz-target": "AmazonSQS.SendMessage",
    }
    names = ";".join(headers)
    canonical = "\n".join(["POST", "/", ""] + [f"{k}:{v}" for k, v in headers.items()] + ["", names, hashlib.sha256(body).hexdigest()])
    scope = f"{now[:8]}/{region}/sqs/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, headers)).read()
    except urllib.error.HTTPError as e:
        return e.read().decode()
    return "fine"
