// Streamed answers: the response body leaves in chunks while the handler
// writes it; a failure in mid-stream is told in the trailers.
'use strict';
const { Writable } = require('stream');
const log = require('./log.cjs');
const { describe, InvalidStreamingOperation } = require('./errors.cjs');
const { HIGH_WATER_MARK } = require('./load.cjs');

const TYPE_TRAILER = 'Lambda-Runtime-Function-Error-Type';
const BODY_TRAILER = 'Lambda-Runtime-Function-Error-Body';

class ResponseStream extends Writable {
  #connection;
  #head;
  #contentType = 'application/octet-stream';
  #begun = false; // the handler has written
  #sent = false; // the head has left
  #trailers = '';
  #ended = false;

  constructor(connection, head, highWaterMark) {
    super({ highWaterMark, decodeStrings: true });
    this.#connection = connection;
    this.#head = head;
    this.answered = new Promise((resolve) => (this.settle = resolve));
  }

  setContentType(type) {
    if (this.#begun) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    this.#contentType = type;
  }

  write(chunk, encoding, callback) {
    this.#begin();
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) chunk = JSON.stringify(chunk);
    return super.write(chunk, encoding, callback);
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === 'function') [chunk, callback] = [undefined, chunk];
    else if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
    else this.#begin();
    return super.end(callback);
  }

  // fail ends the stream with error in its trailers; then is called once the platform has it.
  fail(error, then) {
    this.answered.then(then);
    if (this.#ended) return;
    const described = describe(error);
    const type = String(described.errorType).replace(/[^\x20-\x7e]/g, '?');
    this.#trailers = `${TYPE_TRAILER}: ${type}\r\n${BODY_TRAILER}: ${Buffer.from(JSON.stringify(described)).toString('base64')}\r\n`;
    this._onBeforeFirstWrite = undefined; // what has failed has no status of its own
    if (!this.writableEnded) super.end();
    if (this.destroyed) this._final(() => {});
  }

  #begin() {
    if (this.#begun) return;
    this.#begun = true;
    if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((chunk) => super.write(chunk));
  }

  #open() {
    if (this.#sent) return;
    this.#sent = true;
    this.#connection.write(`${this.#head}Content-Type: ${this.#contentType}\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\nTrailer: ${TYPE_TRAILER}, ${BODY_TRAILER}\r\n\r\n`);
  }

  _write(chunk, _encoding, done) {
    this._writev([{ chunk }], done);
  }

  _writev(chunks, done) {
    this.#connection.cork();
    this.#open();
    let size = 0;
    for (const { chunk } of chunks) size += chunk.length;
    if (size > 0) {
      this.#connection.write(`${size.toString(16)}\r\n`);
      for (const { chunk } of chunks) this.#connection.write(chunk);
      this.#connection.write('\r\n', done);
    } else process.nextTick(done);
    this.#connection.uncork();
  }

  _final(done) {
    if (this.#ended) return done();
    this.#ended = true;
    this.#open();
    this.#connection.answered(this.settle);
    this.#connection.write(`0\r\n${this.#trailers}\r\n`, done);
  }
}

// invoke runs a streaming handler for one invocation and asks for the next.
async function invoke(handler, invocation, body, describeInto, connection) {
  let waits = connection.callbacks;
  const context = {};
  if (connection.callbacks) {
    Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', { get: () => waits, set: (value) => (waits = value), enumerable: true });
  }
  const stream = new ResponseStream(connection, connection.head(invocation.id), handler[HIGH_WATER_MARK]);
  invocation.stream = stream;
  const next = () => {
    invocation.answered = true;
    if (waits) connection.whenIdle(() => invocation.next());
    else invocation.next();
  };
  const fail = (error) => {
    log.error('Invoke Error', error);
    connection.whenIdle(null);
    stream.fail(error, next);
  };
  stream.on('error', () => {}); // the handler's own listeners hear it too; it must not end the process
  connection.whenIdle(() => fail('Response stream is not finished.'));
  try {
    const result = handler(JSON.parse(body), stream, describeInto(context));
    if (!result || typeof result.then !== 'function') return fail('Streaming does not support non-async handlers.');
    if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
    await stream.answered;
    next();
  } catch (error) {
    fail(error);
  }
}

module.exports = { invoke };
