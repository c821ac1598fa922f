import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createSessionGuard, type SessionGuardOptions } from './session-guard.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function connect(options: SessionGuardOptions) {
  const server = http2.createServer();
  server.on('session', createSessionGuard(options)).on('session', (opened) => opened.on('error', () => {}));
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    if (options.idleTimeoutMs > 1000) stream.end();
    else setTimeout(() => stream.end('done'), 3 * options.idleTimeoutMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  // A server that listens on TCP has such an address.
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    maxOutstandingPings: 1000,
  });
  session.on('error', () => {});
  cleanups.push(() => session.destroy());
  await once(session, 'connect');
  return session;
}

describe('createSessionGuard', () => {
  it('tells a connection without calls to go', async () => {
    const session = await connect({ idleTimeoutMs: 100 });
    const [code] = await once(session, 'goaway');
    expect(code).toBe(http2.constants.NGHTTP2_NO_ERROR);
    await once(session, 'close');
  });

  it('lets a call run for longer than a connection may be idle', async () => {
    const session = await connect({ idleTimeoutMs: 100 });
    const stream = session.request({ ':path': '/' });
    let text = '';
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    await once(stream, 'close');
    expect(text).toBe('done');
  });

  it('ends a connection that floods it with pings, and no other', async () => {
    const session = await connect({ idleTimeoutMs: 60_000, controlBurst: 50, controlPerSecond: 1 });
    const calm = await connect({ idleTimeoutMs: 60_000, controlBurst: 50, controlPerSecond: 1 });
    const goaway = once(session, 'goaway');
    for (let count = 0; count < 100; count++) session.ping(() => {});
    const [code] = await goaway;
    expect(code).toBe(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    const stream = calm.request({ ':path': '/' });
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(200);
    stream.resume();
  });
});
