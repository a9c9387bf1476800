"""A function that does what its event says, so that faults can be seen from outside."""
import errno
import os
import time
import urllib.request


def handler(event, context):
    def answer(body):
        return {"statusCode": 200, "body": body}

    do = event["do"]
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
    elif do == "variable":
        return answer(os.environ["GREETING"])
    elif do == "get":
        try:
            urllib.request.urlopen(event["url"]).read()
        except OSError:
            return answer("unreachable")
    return answer("fine")
