"""A function that misbehaves in the way its variable VILLAIN names."""
import os
import signal
import sys
import threading

MODE = os.environ["VILLAIN"]

if MODE == "init-loops":
    while True:
        pass
if MODE == "init-raises":
    raise RuntimeError("not today")


def handler(event, context):
    if MODE == "exit":
        sys.exit(7)
    if MODE == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if MODE == "memory":
        everything = []
        while True:
            everything.append(bytearray(16 << 20))
    if MODE == "threads":
        return threads()
    if MODE == "recursion":
        sys.setrecursionlimit(1 << 30)
        return deeper(0)
    if MODE == "sleep":
        threading.Event().wait(event)
        return "slept"
    return event


def deeper(n):
    return repr([deeper(n + 1)])


def threads():
    stop, started = threading.Event(), []
    try:
        while True:
            t = threading.Thread(target=stop.wait)
            t.start()
            started.append(t)
    except RuntimeError as err:
        return {"threads": len(started), "error": str(err)}
    finally:
        stop.set()
        for t in started:
            t.join()
