// Finding the handler: "dir/file.export.nested" below the task root, as
// CommonJS or as an ES module.
'use strict';
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const errors = require('./errors.cjs');
const { major } = require('./version.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const PRELUDE_TYPE = 'application/vnd.awslambda.http-integration-response';

function streaming(handler) {
  return handler[STREAMING] === 'response';
}

// offerGlobals puts what functions use without importing it where they look for it.
function offerGlobals() {
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse(handler, options) {
      handler[STREAMING] = 'response';
      if (options && typeof options.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      return handler;
    },
    HttpResponseStream: {
      // from makes the first write be preceded by the answer's status and
      // headers: JSON, then eight NUL bytes.
      from(stream, prelude) {
        stream.setContentType(PRELUDE_TYPE);
        const text = JSON.stringify(prelude);
        stream._onBeforeFirstWrite = (write) => {
          write(text);
          write(new Uint8Array(8));
        };
        return stream;
      },
    },
  };
}

// importFromNodePath lets ES modules find packages in NODE_PATH (layers and
// the runtime's own), which Node.js by itself grants to CommonJS only.
function importFromNodePath() {
  const roots = (process.env.NODE_PATH || '').split(':').filter((dir) => dir.endsWith('/node_modules') && fs.existsSync(dir));
  if (roots.length === 0) return;
  const parents = roots.map((dir) => pathToFileURL(path.dirname(dir) + '/_').href);
  const module = require('module');
  if (module.registerHooks) {
    module.registerHooks({
      resolve(specifier, context, next) {
        try {
          return next(specifier, context);
        } catch (error) {
          if (!missing(error, specifier)) throw error;
          for (const parentURL of parents) {
            try {
              return next(specifier, { ...context, parentURL });
            } catch (again) {
              if (!missing(again, specifier)) throw again;
            }
          }
          throw error;
        }
      },
    });
  } else if (module.register) {
    module.register(pathToFileURL(path.join(__dirname, 'resolve.mjs')).href, { data: parents });
  }
}

function missing(error, specifier) {
  return (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND') && !/^(\.|\/|node:|file:|data:)/.test(specifier);
}

// isESM says whether the nearest package.json of folder has "type": "module".
function isESM(folder) {
  for (;;) {
    if (folder.endsWith('/node_modules')) return false;
    const file = path.join(folder, 'package.json');
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
      } catch (error) {
        console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (folder === path.dirname(folder)) return false;
    folder = path.dirname(folder);
  }
}

function isFile(file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat !== undefined && stat.isFile();
}

async function loadModule(root, folder, name) {
  const stem = path.resolve(root, folder, name);
  const load = (file) => (major >= 24 ? import(pathToFileURL(file).href) : require(file));
  if (isFile(stem)) return load(stem);
  if (isFile(stem + '.js')) return isESM(path.dirname(stem)) ? import(pathToFileURL(stem + '.js').href) : load(stem + '.js');
  if (isFile(stem + '.mjs')) return import(pathToFileURL(stem + '.mjs').href);
  if (isFile(stem + '.cjs')) return load(stem + '.cjs');
  return require(require.resolve(name, { paths: [root, path.join(root, folder)] }));
}

function find(names, object) {
  return names.split('.').reduce((at, name) => at && at[name], object);
}

// load returns the handler function that text names, or rejects with the
// error that ends the initialisation.
async function load(root, text) {
  if (text.includes('..')) {
    throw new errors.MalformedHandlerName(`'${text}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(text);
  const parts = /^([^.]*)\.(.*)$/.exec(base);
  if (!parts) throw new errors.MalformedHandlerName('Bad handler');
  offerGlobals();
  importFromNodePath();
  let module;
  try {
    module = await loadModule(root, text.slice(0, text.length - base.length), parts[1]);
  } catch (error) {
    if (error instanceof SyntaxError) {
      const told = new errors.UserCodeSyntaxError(error);
      told.stack = `${told.name}: ${told.message}\n${error.stack}`; // which says where
      throw told;
    }
    if (error && error.code === 'MODULE_NOT_FOUND') throw new errors.ImportModuleError(error);
    throw error;
  }
  let handler = find(parts[2], module);
  if (!handler && major >= 24 && module && module.default) handler = find(parts[2], module.default);
  if (!handler) throw new errors.HandlerNotFound(`${text} is undefined or not exported`);
  if (typeof handler !== 'function') throw new errors.HandlerNotFound(`${text} is not a function`);
  if (handler[STREAMING] && !streaming(handler)) throw new errors.MalformedStreamingHandler('Only response streaming is supported.');
  return handler;
}

module.exports = { load, streaming, major, HIGH_WATER_MARK };
