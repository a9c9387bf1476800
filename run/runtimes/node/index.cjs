// The runtime process of Node.js functions: it asks the Runtime API for one
// event after another over one bare socket and hands each to the handler.
//
// The answer to an event and the question for the next one leave in the same
// write (HTTP pipelining): one invocation is one write and one or two reads.
// While the handler runs the socket does not keep the event loop alive, so an
// empty loop means that the handler has nothing left to do.
'use strict';
const net = require('net');
const log = require('./log.cjs');
const { describe, UnhandledPromiseRejection, CallbackHandlerDeprecated, NodeJsExit, JSONStringifyError } = require('./errors.cjs');
const { load, streaming, major } = require('./load.cjs');

const env = process.env;
const api = env.AWS_LAMBDA_RUNTIME_API || '';
const colon = api.lastIndexOf(':');
const address = { host: api.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(api.slice(colon + 1)) };
const ROOT = '/2018-06-01/runtime/';
const NEXT = `GET ${ROOT}invocation/next HTTP/1.1\r\nHost: ${api}\r\n\r\n`;
const READ_BYTES = 64 * 1024;
const LARGE = 16 * 1024; // from here on a body is encoded by itself
const RECONNECTS_MAX = 3; // in a row, without a byte in between

let socket;
let reconnects = 0;
let waiting = []; // what each answer that is still due is for, in order
let handler;
let idle = null; // what to do once the event loop is empty
let current = null; // the invocation that is running
const CALLBACKS = major < 24; // Node.js 24 and later know promises only

// ---- The connection ----

function open(due) {
  waiting = [due];
  held = partial = null;
  socket = net.connect({ host: address.host, port: address.port, onread: { buffer: Buffer.allocUnsafe(READ_BYTES), callback: received } });
  socket.setNoDelay(true);
  socket.on('error', () => {}); // 'close' follows
  socket.on('close', closed);
}

// ask opens a connection and asks for an event on it.
function ask() {
  open(deliver);
  socket.write(NEXT);
}

// A connection that ends while we wait for an event is opened anew: the
// platform may close it after refusing an answer that was too large.
function closed() {
  if (exiting !== null) process.exit(exiting);
  if (++reconnects > RECONNECTS_MAX) process.exit(1);
  if (current === null) ask();
}

let held = null; // the bytes of an answer whose length is not known yet
let partial = null; // an answer whose body is still coming: { due, status, headers, body, at }

function received(n, chunk) {
  reconnects = 0;
  let bytes = chunk.subarray(0, n);
  if (partial !== null) {
    bytes = fill(bytes);
    if (partial !== null) return true;
  }
  if (held !== null) {
    bytes = Buffer.concat([held, bytes]);
    held = null;
  }
  while (bytes.length > 0) {
    const used = answer(bytes);
    if (used === 0) {
      held = Buffer.from(bytes); // chunk is read into again
      break;
    }
    bytes = bytes.subarray(used);
  }
  return true;
}

// fill adds bytes to the partial answer, hands it on when it is complete, and
// returns the bytes after it.
function fill(bytes) {
  const p = partial;
  const n = Math.min(bytes.length, p.body.length - p.at);
  bytes.copy(p.body, p.at, 0, n);
  p.at += n;
  if (p.at === p.body.length) {
    partial = null;
    p.due(p.status, p.headers, p.body.toString('utf8'));
  }
  return bytes.subarray(n);
}

// answer takes one HTTP answer from the front of bytes and returns how many it
// took: 0 when its head is not complete. A body that is not is taken as far as
// it is there; fill takes the rest.
function answer(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return 0;
  const lines = bytes.toString('utf8', 0, end).split('\r\n');
  const headers = {};
  for (let i = 1; i < lines.length; i++) {
    const at = lines[i].indexOf(':');
    headers[lines[i].slice(0, at).toLowerCase()] = lines[i].slice(at + 1).trim();
  }
  const status = Number(lines[0].slice(9, 12));
  const start = end + 4;
  if (headers['transfer-encoding'] === 'chunked') {
    const chunks = unchunk(bytes, start);
    if (chunks === null) return 0;
    (waiting.shift() || ignore)(status, headers, chunks.body.toString('utf8'));
    return chunks.end;
  }
  const length = Number(headers['content-length'] || 0);
  const due = waiting.shift() || ignore;
  if (bytes.length >= start + length) {
    due(status, headers, bytes.toString('utf8', start, start + length));
    return start + length;
  }
  const body = Buffer.allocUnsafe(length);
  partial = { due, status, headers, body, at: bytes.copy(body, 0, start) };
  return bytes.length;
}

function unchunk(bytes, at) {
  const parts = [];
  for (;;) {
    const eol = bytes.indexOf('\r\n', at);
    if (eol < 0) return null;
    const size = parseInt(bytes.toString('latin1', at, eol), 16);
    const from = eol + 2;
    if (bytes.length < from + size + 2) return null;
    if (size === 0) return { body: Buffer.concat(parts), end: from + 2 };
    parts.push(bytes.subarray(from, from + size));
    at = from + size + 2;
  }
}

// post sends a request, and next after it, in one write.
function post(path, headers, body, next) {
  const head = (length) => `POST ${ROOT}${path} HTTP/1.1\r\nHost: ${api}\r\nContent-Type: application/json\r\n${headers}Content-Length: ${length}\r\n\r\n`;
  if (body.length < LARGE) {
    socket.write(head(Buffer.byteLength(body)) + body + next);
    return;
  }
  const bytes = Buffer.from(body); // encoded once
  socket.cork();
  socket.write(head(bytes.length));
  socket.write(bytes);
  if (next !== '') socket.write(next);
  socket.uncork();
}

function typeHeader(described) {
  const type = String(described.errorType).replace(/[^\x20-\x7e]/g, '?');
  return `Lambda-Runtime-Function-Error-Type: ${type}\r\n`;
}

function ignore() {}

// ---- One invocation ----

// An Invocation is answered once; later answers are dropped.
class Invocation {
  constructor(id) {
    this.id = id;
    this.answered = false;
    this.stream = null;
  }

  // succeed throws when result cannot be written as JSON; nothing has been sent then.
  succeed(result) {
    if (this.answered) return;
    let body;
    try {
      body = JSON.stringify(result === undefined ? null : result);
    } catch {
      throw CALLBACKS ? new Error('Unable to stringify response body') : new JSONStringifyError('Unable to stringify response body');
    }
    this.answered = true;
    this.next('response', '', body === undefined ? 'null' : body);
  }

  fail(error) {
    if (this.answered) return;
    log.error('Invoke Error', error);
    this.answered = true;
    const described = describe(error);
    this.next('error', typeHeader(described), JSON.stringify(described));
  }

  // settle answers with result, or with the error that result turns out to be.
  settle(result) {
    try {
      this.succeed(result);
    } catch (error) {
      this.fail(error);
    }
  }

  // next sends an answer of this kind, when there is one, and asks for the next event.
  next(kind, headers, body) {
    idle = null;
    current = null;
    if (socket.destroyed) return ask();
    socket.ref();
    if (kind === undefined) {
      waiting.push(deliver);
      socket.write(NEXT);
      return;
    }
    waiting.push(ignore, deliver);
    post(`invocation/${this.id}/${kind}`, headers, body, NEXT);
  }
}

function parsed(text, name) {
  if (text === undefined || text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error.toString()}`);
  }
}

// describeInvocation fills context with what the platform says about one event.
function describeInvocation(context, headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  context.functionVersion = env.AWS_LAMBDA_FUNCTION_VERSION;
  context.functionName = env.AWS_LAMBDA_FUNCTION_NAME;
  context.memoryLimitInMB = env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE;
  context.logGroupName = env.AWS_LAMBDA_LOG_GROUP_NAME;
  context.logStreamName = env.AWS_LAMBDA_LOG_STREAM_NAME;
  context.clientContext = parsed(headers['lambda-runtime-client-context'], 'ClientContext');
  context.identity = parsed(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity');
  context.invokedFunctionArn = headers['lambda-runtime-invoked-function-arn'];
  context.awsRequestId = headers['lambda-runtime-aws-request-id'];
  context.tenantId = headers['lambda-runtime-aws-tenant-id'];
  if (!CALLBACKS) context.xRayTraceId = headers['lambda-runtime-trace-id'];
  context.getRemainingTimeInMillis = () => deadline - Date.now();
  return context;
}

function deliver(status, headers, body) {
  if (status !== 200) process.exit(1); // the platform is done with us
  const id = headers['lambda-runtime-aws-request-id'];
  const trace = headers['lambda-runtime-trace-id'];
  if (trace !== undefined) env._X_AMZN_TRACE_ID = trace;
  else delete env._X_AMZN_TRACE_ID;
  log.request(id, headers['lambda-runtime-aws-tenant-id']);
  socket.unref();
  current = new Invocation(id);
  if (streaming(handler)) return require('./stream.cjs').invoke(handler, current, body, (context) => describeInvocation(context, headers), connection);
  if (CALLBACKS) invokeWithCallback(current, headers, body);
  else invokeAsync(current, headers, body);
}

// unsettled fails an invocation whose promise nothing can settle any more.
const unsettled = (invocation) => () => invocation.fail(new NodeJsExit());

// isAsync says whether a handler was written as async, in which case its
// promise is its only answer; what merely returns one may still call back.
const isAsync = (f) => Object.prototype.toString.call(f) === '[object AsyncFunction]';

async function invokeAsync(invocation, headers, body) {
  idle = unsettled(invocation);
  try {
    invocation.succeed(await handler(JSON.parse(body), describeInvocation({}, headers)));
  } catch (error) {
    invocation.fail(error);
  }
}

// invokeWithCallback follows the contract up to Node.js 22: a promise settles
// the invocation, or callback(), or one of context's done(), succeed() and
// fail(); and when the event loop is empty before any of them, it is null, or,
// of an async handler from Node.js 18 on, an error.
function invokeWithCallback(invocation, headers, body) {
  let finished = false;
  let waits = true;
  const once = (f) => (...args) => {
    if (finished) return;
    f(...args);
    finished = true; // after f: a result that cannot be sent may still fail
  };
  const given = (error) => error !== undefined && error !== null;
  const done = (error, result) => (given(error) ? invocation.fail(error) : invocation.succeed(result));
  const context = {
    get callbackWaitsForEmptyEventLoop() {
      return waits;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waits = value;
    },
    succeed: once((result) => done(null, result)),
    fail: once((error) => done(given(error) ? error : 'handled')),
    done: once(done),
  };
  const callback = once((error, result) => {
    if (given(error)) invocation.fail(error);
    else if (!waits) invocation.succeed(result);
    else idle = () => invocation.settle(result);
  });
  idle = major >= 18 && isAsync(handler) ? unsettled(invocation) : () => invocation.settle(null);
  try {
    const result = handler(JSON.parse(body), describeInvocation(context, headers), callback);
    if (result && typeof result.then === 'function') result.then(context.succeed, context.fail).catch(context.fail);
  } catch (error) {
    callback(error);
  }
}

// connection is what a streamed answer needs of this file.
const connection = {
  write: (bytes, then) => socket.write(bytes, then),
  cork: () => socket.cork(),
  uncork: () => socket.uncork(),
  // answered calls then when the platform has answered what was written last.
  answered(then) {
    socket.ref();
    waiting.push(() => {
      socket.unref();
      then();
    });
  },
  whenIdle: (then) => (idle = then),
  callbacks: CALLBACKS,
  head: (id) => `POST ${ROOT}invocation/${id}/response HTTP/1.1\r\nHost: ${api}\r\n`,
};

// ---- The end ----

let exiting = null;

// crash reports error and ends the process with code once that has arrived.
function crash(title, error, code) {
  log.error(title, error);
  if (exiting !== null) return;
  exiting = code;
  const end = () => process.exit(code);
  const invocation = current;
  if (invocation !== null && invocation.stream !== null) return invocation.stream.fail(error, end);
  const described = describe(error);
  const body = JSON.stringify(described);
  if (invocation !== null && !invocation.answered) {
    waiting.push(end);
    socket.ref();
    post(`invocation/${invocation.id}/error`, typeHeader(described), body, '');
  } else if (handler === undefined) {
    open(end);
    post('init/error', typeHeader(described), body, '');
  } else end(); // between two events there is nobody to tell
}

process.on('uncaughtException', (error) => crash('Uncaught Exception', error, 129));
process.on('unhandledRejection', (reason, promise) => crash('Unhandled Promise Rejection', new UnhandledPromiseRejection(reason, promise), 128));
process.on('beforeExit', () => {
  const then = idle;
  idle = null;
  if (then !== null) then();
});

load(env.LAMBDA_TASK_ROOT || process.cwd(), env._HANDLER || '').then(
  (loaded) => {
    if (!CALLBACKS && loaded.length >= 3 && !streaming(loaded)) return crash('Init Error', new CallbackHandlerDeprecated(), 129);
    handler = loaded;
    ask();
  },
  (error) => crash('Uncaught Exception', error, 129),
);
