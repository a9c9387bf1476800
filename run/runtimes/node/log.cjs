// console.* as functions know it from Lambda: one line with the time, the
// request's ID and the level, or one JSON object, on standard output. A
// message of several lines stays one of several lines.
'use strict';
const { format } = require('util');
const { describe } = require('./errors.cjs');
const { major } = require('./version.cjs');

const json = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
const least = LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()] || LEVELS.TRACE;
const unknownRequest = major < 24 ? undefined : '-';

let requestID = unknownRequest;
let tenantID;

function request(id, tenant) {
  requestID = id;
  tenantID = tenant;
}

const className = (e) => (e.constructor && e.constructor.name) || 'UnknownError';
const lines = (stack) => (typeof stack === 'string' ? stack.split('\n') : stack);

function errorAsObject(_, value) {
  if (!(value instanceof Error)) return value;
  return { errorType: className(value), errorMessage: value.message, stackTrace: lines(value.stack), ...value };
}

function jsonLine(level, args) {
  const entry = { timestamp: new Date().toISOString(), level, requestId: requestID };
  if (tenantID !== undefined && tenantID !== null) entry.tenantId = tenantID;
  if (args.length === 1) {
    entry.message = args[0];
    try {
      return JSON.stringify(entry, errorAsObject);
    } catch {
      entry.message = format(args[0]);
      return JSON.stringify(entry);
    }
  }
  entry.message = format(...args);
  const error = args.find((arg) => arg instanceof Error);
  if (error !== undefined) {
    entry.errorType = className(error);
    entry.errorMessage = error.message;
    entry.stackTrace = lines(error.stack) || [];
  }
  return JSON.stringify(entry);
}

function write(level, args) {
  const line = json ? jsonLine(level, args) : `${new Date().toISOString()}\t${requestID}\t${level}\t${format(...args)}`;
  process.stdout.write(line + '\n');
}

function at(level) {
  return LEVELS[level] >= least ? (message, ...args) => write(level, [message, ...args]) : () => {}; // there is always a first one
}

console.trace = at('TRACE');
console.debug = at('DEBUG');
console.info = console.log = at('INFO');
console.warn = at('WARN');
console.error = at('ERROR');
console.fatal = at('FATAL');

function enumerable(_, value) {
  if (!(value instanceof Error)) return value;
  const all = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
  if (typeof value.stack === 'string') all.stack = value.stack.split('\n');
  return all;
}

// error logs what the runtime itself saw go wrong.
function error(title, cause) {
  const e = cause instanceof Error ? cause : new Error(cause);
  if (json) return console.error(e);
  let text;
  try {
    text = JSON.stringify(e, enumerable);
  } catch {
    text = JSON.stringify(describe(e));
  }
  console.error(title, '\t' + text);
}

module.exports = { request, error };
