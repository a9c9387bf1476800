// The errors a runtime reports by itself, and how any error is told to the platform.
'use strict';
const { isNativeError } = require('util').types;

function runtimeError(name) {
  class RuntimeError extends Error {}
  RuntimeError.prototype.name = `Runtime.${name}`;
  return RuntimeError;
}

class UnhandledPromiseRejection extends runtimeError('UnhandledPromiseRejection') {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}

class CallbackHandlerDeprecated extends runtimeError('CallbackHandlerDeprecated') {
  constructor() {
    super('ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.');
  }
}

// NodeJsExit is what became of an async handler whose promise can no longer
// settle: nothing is left in the event loop that could settle it.
class NodeJsExit extends runtimeError('NodeJsExit') {
  constructor() {
    super('The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes');
    this.stack = `${this.name}: ${this.message}`; // no line of anybody's is at fault
  }
}

const printable = (text) => (typeof text === 'string' ? text.replace(/\x7f/g, '%7F') : text);

function looksLikeError(e) {
  return e && e.name && e.message && e.stack && typeof e.name === 'string' && typeof e.message === 'string' && typeof e.stack === 'string';
}

// describe returns what the caller of the function sees of error.
function describe(error) {
  try {
    if (isNativeError(error) || looksLikeError(error)) {
      return { errorType: printable(error.name), errorMessage: printable(error.message), trace: printable(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return { errorType: 'handled', errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack', trace: [] };
  }
}

module.exports = {
  describe,
  UnhandledPromiseRejection,
  CallbackHandlerDeprecated,
  NodeJsExit,
  ImportModuleError: runtimeError('ImportModuleError'),
  HandlerNotFound: runtimeError('HandlerNotFound'),
  MalformedHandlerName: runtimeError('MalformedHandlerName'),
  UserCodeSyntaxError: runtimeError('UserCodeSyntaxError'),
  MalformedStreamingHandler: runtimeError('MalformedStreamingHandler'),
  InvalidStreamingOperation: runtimeError('InvalidStreamingOperation'),
  JSONStringifyError: runtimeError('JSONStringifyError'),
};
