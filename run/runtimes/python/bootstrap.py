"""The runtime process of Python functions.

It asks the Runtime API for one event after another over one bare socket and
hands each to the handler. The answer to an event and the question for the next
one leave in the same write (HTTP pipelining). Only the standard library is
used, and little of it before the handler's module is imported.
"""

import sys

# The interpreter is started without its own site-packages (-S), so that a
# function sees its own packages, its layers' and the runtime's, and no others.
import os

TASK_ROOT = os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd()
RUNTIME_DIR = os.path.dirname(os.path.abspath(__file__))
OPT = os.environ.pop("_DARUMA_OPT", "/opt")
LAYER_PATHS = [OPT + "/python/lib/python%d.%d/site-packages" % sys.version_info[:2], OPT + "/python"]

sys.path[:] = [TASK_ROOT] + LAYER_PATHS + [p for p in sys.path if p not in (TASK_ROOT, RUNTIME_DIR)] + [RUNTIME_DIR]

import site  # for exit() and help(); adds nothing to the path under -S

site.setquit()
site.sethelper()
site.setcopyright()

import importlib
import json
import logging
import re
import socket
import time
import traceback

NO_BREAK_SPACE = "\u00a0"
READ_BYTES = 64 * 1024
RECONNECTS_MAX = 3  # in a row, without an event in between
JSON_LOGS = (os.environ.get("AWS_LAMBDA_LOG_FORMAT") or "").upper() == "JSON"


class RuntimeFault(Exception):
    """An error the runtime reports by itself, under a type of its own."""

    def __init__(self, type, message, trace=None):
        super().__init__(message)
        self.type = type
        self.message = message
        self.trace = trace


# ---- Values to JSON ----


def _spells_unicode():
    version = re.match(r"AWS_Lambda_python3\.(\d+)$", os.environ.get("AWS_EXECUTION_ENV") or "")
    return (int(version.group(1)) if version else sys.version_info[1]) >= 12


class Encoder:
    """Encodes what handlers return, as Lambda does: decimals become numbers,
    bytes become text, named tuples become objects; NaN and infinities are let
    through; from Python 3.12 on text is not escaped to ASCII."""

    def __init__(self):
        self._mark = "decimal-%s:" % os.urandom(8).hex()
        self._marked = re.compile('"%s([^"]*)"' % self._mark)
        self._decimals = False
        self._encode = json.JSONEncoder(ensure_ascii=not _spells_unicode(), default=self._default).encode

    def encode(self, value):
        self._decimals = False
        text = self._encode(_plain(value) if _is_odd(value) else value)
        return self._marked.sub(r"\1", text) if self._decimals else text

    def _default(self, value):
        if isinstance(value, bytes):
            return value.decode("utf-8")
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            self._decimals = True
            return self._mark + str(value)
        raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


_SCALARS = frozenset((str, int, float, bool, type(None)))


def _is_odd(value):
    """Says whether value holds what the standard encoder would write differently:
    a named tuple, or a key of bytes."""
    if type(value) in _SCALARS:
        return False
    pending, seen = [value], set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            for key, item in value.items():
                if type(key) is bytes:
                    return True
                if type(item) not in _SCALARS:
                    pending.append(item)
        elif isinstance(value, (list, tuple)):
            if type(value) is not list and hasattr(value, "_asdict"):
                return True
            pending.extend([item for item in value if type(item) not in _SCALARS])
    return False


def _plain(value):
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {k.decode("utf-8") if isinstance(k, bytes) else k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def marshal(encoder, value):
    """Returns the body of an answer and its content type."""
    if isinstance(value, bytes):
        return value, b"application/unknown"
    try:
        return encoder.encode(value).encode("utf-8"), b"application/json"
    except Exception as error:
        raise RuntimeFault("Runtime.MarshalError", "Unable to marshal response: %s" % error)


# ---- Logs ----

_request_id = None
_tenant_id = None


class RequestFilter(logging.Filter):
    def filter(self, record):
        record.aws_request_id = _request_id or ""
        record.tenant_id = _tenant_id
        return True


class StdoutHandler(logging.Handler):
    def emit(self, record):
        sys.stdout.write(self.format(record))


class JSONFormatter(logging.Formatter):
    """One JSON object per record, with what was given in extra= beside it."""

    _own = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"aws_request_id", "tenant_id", "message", "asctime", "taskName"}
    _encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

    def format(self, record):
        level = min(50, max(0, record.levelno)) // 10 * 10
        error = record.exc_info or None
        entry = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": logging.getLevelName(level),
            "message": record.getMessage(),
            "logger": record.name,
            "stackTrace": traceback.format_tb(error[2]) if error else None,
            "errorType": error[0].__name__ if error and error[0] else None,
            "errorMessage": str(error[1]) if error else None,
            "requestId": record.aws_request_id,
            "location": "%s:%s:%s" % (record.pathname, record.funcName, record.lineno) if error else None,
            "tenantId": record.tenant_id,
        }
        for key, value in vars(record).items():
            if key not in self._own and key not in entry:
                entry[key] = value
        return self._encode({k: v for k, v in entry.items() if v is not None}) + "\n"


def set_up_logging():
    logging.Formatter.converter = time.gmtime
    handler = StdoutHandler()
    if JSON_LOGS:
        handler.setFormatter(JSONFormatter())
    else:
        handler.setFormatter(logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(RequestFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = (os.environ.get("AWS_LAMBDA_LOG_LEVEL") or "").upper()
    level = "DEBUG" if level == "TRACE" else "CRITICAL" if level == "FATAL" else level
    if level in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


def log_error(error):
    if JSON_LOGS:
        entry = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "log_level": "ERROR"}
        entry.update(error)
        sys.stdout.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")
        return
    lines = ["[ERROR] %s: %s" % (error["errorType"], error["errorMessage"]) if error["errorMessage"] else "[ERROR] %s" % error["errorType"]]
    lines.append("Traceback (most recent call last):")
    for element in error["stackTrace"]:
        for line in element.splitlines() or [""]:
            text = line.lstrip(" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    sys.stdout.write("\n".join(lines) + "\n")


# ---- Errors ----


def describe(error, request_id):
    """Returns what the caller of the function sees of error."""
    if isinstance(error, RuntimeFault):
        message, kind, trace = error.message, error.type, error.trace or []
    else:
        frames = traceback.extract_tb(error.__traceback__)
        while len(frames) > 1 and frames[0].filename == __file__:
            frames = frames[1:]
        message, kind = str(error), type(error).__name__
        trace = traceback.format_list([(f.filename, f.lineno, f.name, f.line) for f in frames])
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


# ---- The handler ----


def find_handler(text):
    try:
        module_name, function = text.rsplit(".", 1)
    except ValueError as error:
        raise RuntimeFault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (text, error))
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise RuntimeFault("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise RuntimeFault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error))
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        raise RuntimeFault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, error), trace)
    try:
        return getattr(module, function)
    except AttributeError:
        raise RuntimeFault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module_name))


# ---- The context ----


class _Fields:
    """An object with fixed attributes, filled from a dict; missing ones are None."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return "%s([%s])" % (type(self).__name__, ",".join("%s=%s" % (n, getattr(self, n)) for n in self.__slots__))


class Client(_Fields):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Fields):
    __slots__ = ("custom", "env", "client")

    def __init__(self, values):
        super().__init__(values)
        if self.client is not None:
            self.client = Client(self.client)


class CognitoIdentity(_Fields):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, values):
        self.cognito_identity_id = values.get("cognitoIdentityId")
        self.cognito_identity_pool_id = values.get("cognitoIdentityPoolId")


FUNCTION = {
    "function_name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME"),
    "function_version": os.environ.get("AWS_LAMBDA_FUNCTION_VERSION"),
    "memory_limit_in_mb": os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
    "log_group_name": os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME"),
    "log_stream_name": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME"),
}


class LambdaContext:
    def __init__(self, headers):
        self.__dict__.update(FUNCTION)  # vars(context) has all of it
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        client = _json_header(headers, "lambda-runtime-client-context", "Client Context")
        self.client_context = None if client is None else ClientContext(client)
        self.identity = CognitoIdentity(_json_header(headers, "lambda-runtime-cognito-identity", "Cognito Identity") or {})
        self._epoch_deadline_time_in_ms = int(headers.get("lambda-runtime-deadline-ms") or 0)

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        names = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb", "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return "LambdaContext([%s])" % ",".join("%s=%s" % (n, getattr(self, n)) for n in names)


def _json_header(headers, key, name):
    text = headers.get(key)
    if not text:
        return None
    try:
        return json.loads(text)
    except Exception as error:
        raise RuntimeFault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error))


# ---- The Runtime API ----


class Disconnected(Exception):
    """The platform has closed the connection."""


class RuntimeAPI:
    """The client's side of the Runtime API: one connection, opened anew when it ends."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._host = address.encode()
        self._next = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n" % self._host
        self._socket = None
        self._held = b""
        self._due = 0  # answers to results that were not read yet

    def next(self, answer=None):
        """Sends answer, when there is one, and returns the next event's headers and body."""
        for attempt in range(RECONNECTS_MAX + 1):
            try:
                if self._socket is None:
                    self._connect()
                    answer = None  # whether it arrived cannot be known; the platform has it or will time the event out
                if answer is None:
                    self._socket.sendall(self._next)
                else:
                    self._due += 1
                    self._send(*answer)
                answer = None
                while self._due:
                    self._read()
                    self._due -= 1
                status, headers, body = self._read()
                if status != 200:
                    sys.exit(1)  # the platform is done with us
                return headers, body
            except (Disconnected, OSError):
                self.close()
        sys.exit(1)

    def _send(self, head, body):
        if len(body) < READ_BYTES:
            self._socket.sendall(b"".join((head, body, self._next)))
        else:  # a copy would cost more than a write
            self._socket.sendall(head)
            self._socket.sendall(body)
            self._socket.sendall(self._next)

    def post(self, path, headers, body):
        """Sends a request on a connection of its own and waits until it is answered."""
        self.close()
        self._connect()
        for part in self.request(path, headers, body):
            self._socket.sendall(part)
        self._read()

    def request(self, path, headers, body):
        """Returns a request's head and its body."""
        return b"POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n" % (path, self._host, headers, len(body)), body

    def close(self):
        if self._socket is not None:
            self._socket.close()
        self._socket, self._held, self._due = None, b"", 0

    def _connect(self):
        self._socket = socket.create_connection(self._address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _more(self):
        got = self._socket.recv(READ_BYTES)
        if not got:
            raise Disconnected()
        return got

    def _read(self):
        """Reads one answer: its status, its headers in lower case, its body."""
        held = self._held or self._more()
        end = held.find(b"\r\n\r\n")
        while end < 0:
            held += self._more()
            end = held.find(b"\r\n\r\n")
        headers = {}
        for line in held[:end].decode("utf-8", "replace").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        start = end + 4
        status = int(held[9:12])
        if headers.get("transfer-encoding") == "chunked":
            body, self._held = self._unchunk(held[start:])
            return status, headers, body
        stop = start + int(headers.get("content-length") or 0)
        if len(held) < stop:
            body, self._held = self._rest(held, start, stop - start), b""
        else:
            body, self._held = held[start:stop], held[stop:]
        return status, headers, body

    def _rest(self, held, start, length):
        """Returns a body of this length that begins in held, reading the rest in place."""
        whole = bytearray(length)
        at = len(held) - start
        whole[:at] = held[start:]
        view = memoryview(whole)
        while at < length:
            n = self._socket.recv_into(view[at:])
            if n == 0:
                raise Disconnected()
            at += n
        return whole

    def _unchunk(self, held):
        parts = []
        while True:
            while b"\r\n" not in held:
                held += self._more()
            size_text, _, held = held.partition(b"\r\n")
            size = int(size_text, 16)
            while len(held) < size + 2:
                held += self._more()
            if size == 0:
                return b"".join(parts), held[2:]
            parts.append(held[:size])
            held = held[size + 2 :]


def type_header(error):
    kind = "".join(c if " " <= c <= "~" else "?" for c in error["errorType"])
    return b"Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: %s\r\n" % kind.encode()


def to_json_bytes(error):
    try:
        return json.dumps(error, ensure_ascii=not _spells_unicode()).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(error).encode("utf-8")


# ---- One invocation after another ----


def invoke(api, handler, encoder, headers, body):
    """Runs handler for one event and returns the head and the body of the request that answers it."""
    request_id = headers.get("lambda-runtime-aws-request-id", "")
    path = b"invocation/" + request_id.encode()
    try:
        context = LambdaContext(headers)
        try:
            event = json.loads(body.decode("utf-8", "surrogatepass"))
        except Exception as error:
            raise RuntimeFault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
        answer, content_type = marshal(encoder, handler(event, context))
    except Exception as error:
        told = describe(error, request_id)
        log_error(told)
        return api.request(path + b"/error", type_header(told), to_json_bytes(told))
    return api.request(path + b"/response", b"Content-Type: " + content_type + b"\r\n", answer)


def main():
    global _request_id, _tenant_id
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    set_up_logging()
    api = RuntimeAPI(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = find_handler(os.environ.get("_HANDLER") or "")
    except Exception as error:
        told = describe(error, "")
        log_error(told)
        api.post(b"init/error", type_header(told), to_json_bytes(told))
        sys.exit(1)
    encoder = Encoder()
    answer = None
    while True:
        headers, body = api.next(answer)
        _request_id = headers.get("lambda-runtime-aws-request-id")
        _tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        trace = headers.get("lambda-runtime-trace-id")
        if trace is not None:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        answer = invoke(api, handler, encoder, headers, body)
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main()
