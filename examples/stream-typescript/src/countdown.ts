import { setTimeout as wait } from 'node:timers/promises';
import type { Writable } from 'node:stream';

interface UrlEvent {
  queryStringParameters?: Record<string, string>;
}

declare const awslambda: {
  streamifyResponse(handler: (event: UrlEvent, out: Writable) => Promise<void>): unknown;
  HttpResponseStream: {
    from(out: Writable, metadata: { statusCode: number; headers: Record<string, string> }): Writable;
  };
};

export const handler = awslambda.streamifyResponse(async (event, out) => {
  const from = Math.min(Number(event.queryStringParameters?.from ?? 3), 20);
  const body = awslambda.HttpResponseStream.from(out, {
    statusCode: 200,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'x-from': String(from) },
  });
  for (let n = from; n > 0; n--) {
    body.write(`${n}\n`);
    await wait(100);
  }
  body.end('up again\n');
});
