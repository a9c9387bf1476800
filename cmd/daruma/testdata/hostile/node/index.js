// A function that misbehaves in the way its variable VILLAIN names.
const mode = process.env.VILLAIN;

if (mode === 'init-throws') throw new TypeError('not today');

exports.handler = async (event) => {
  switch (mode) {
    case 'spin': for (;;);
    case 'exit': process.exit(7);
    case 'circular': { const c = {}; c.c = c; return c; }
    case 'rejection': Promise.reject(new RangeError('nobody listens')); return new Promise(() => setTimeout(() => {}, 60000));
    case 'memory': { const all = []; for (;;) all.push(Buffer.alloc(16 << 20, 1)); }
    case 'sleep': await new Promise((done) => setTimeout(done, event * 1000)); return 'slept';
  }
  return event;
};
