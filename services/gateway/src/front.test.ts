import { once } from 'node:events';
import http2 from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { NodeServerRequest, NodeServerResponse } from '@imagemesh/rpc';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it } from 'vitest';
import { createCors } from './cors.ts';
import { type Front, startFront } from './front.ts';
import type { PublicTls } from './public-tls.ts';

const fronts: Front[] = [];
afterEach(async () => {
  await Promise.all(fronts.splice(0).map((front) => front.close(0)));
});

const limits = { maxConnections: 100, headersTimeoutMs: 300, idleTimeoutMs: 1000, stallTimeoutMs: 400 };

async function start(
  handle: (request: NodeServerRequest, response: NodeServerResponse) => void,
  tls?: PublicTls,
) {
  const front = await startFront({
    host: '127.0.0.1',
    port: 0,
    limits,
    tls,
    bodyTimeoutMs: 600,
    streams: new Map(),
    handle,
  });
  fronts.push(front);
  return front;
}

const hello = (_request: NodeServerRequest, response: NodeServerResponse) => {
  response.writeHead(200);
  response.write('hello');
  end(response);
};

function end(response: NodeServerResponse): void {
  // Both kinds of response have end().
  (response as unknown as { end(): void }).end();
}

/** A listener with a certificate of its own. */
async function selfSignedTls(): Promise<PublicTls> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
  });
  return { createListener: (onConnection) => createTlsServer({ cert, key }, onConnection), close: () => {} };
}

/** Passes on what one client and the front send; while it holds, nothing, and then what the client sent, in one piece. */
async function startHoldingRelay(frontPort: number) {
  const held: Buffer[] = [];
  let isHolding = false;
  const toFront = connect(frontPort, '127.0.0.1');
  const relay = createServer((client) => {
    client.on('data', (bytes) => (isHolding ? held.push(bytes) : toFront.write(bytes)));
    toFront.pipe(client);
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  toFront.once('close', () => relay.close());
  return {
    // A TCP server that listens has such an address.
    port: (relay.address() as AddressInfo).port,
    get held() {
      return held.length;
    },
    hold() {
      isHolding = true;
      toFront.pause();
    },
    release() {
      toFront.write(Buffer.concat(held));
      toFront.resume();
    },
  };
}

/** Writes raw bytes and reads until the server closes. */
async function exchange(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(request);
  return text(socket);
}

describe('startFront', () => {
  it('serves one handler over HTTP/1.1 and HTTP/2', async () => {
    const { port } = await start(hello);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello');
    const session = http2.connect(`http://127.0.0.1:${port}`);
    expect(await text(session.request({ ':path': '/' }))).toBe('hello');
    session.close();
  });

  it('ends an HTTP/1 request whose headers do not come to an end', async () => {
    const { port } = await start(hello);
    const startMs = performance.now();
    expect(await exchange(port, 'GET / HTTP/1.1\r\nhost: x\r\n')).toMatch(/^HTTP\/1\.1 408/);
    expect(performance.now() - startMs).toBeLessThan(1500);
  });

  it('ends an HTTP/1 request whose body does not come to an end', async () => {
    const { port } = await start((request) => request.resume());
    expect(await exchange(port, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc')).toMatch(
      /^HTTP\/1\.1 408/,
    );
  });

  it('answers a request once, even if the rest of it comes late or never', async () => {
    const { port } = await start(hello);
    const late = await exchange(port, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc');
    expect(late.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200']);
    const next = await exchange(port, 'GET / HTTP/1.1\r\nhost: x\r\n\r\nGARBAGE\r\n\r\n');
    expect(next.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  });

  it('answers everything that one connection sends at once, in its order, over either protocol', async () => {
    const { port } = await start((request, response) => {
      response.writeHead(200, { 'x-path': request.url ?? '' });
      end(response);
    });
    const paths = Array.from({ length: 50 }, (_, at) => `/${at}`);
    const lines = paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n`);
    const replies = await exchange(port, `${lines.join('\r\n')}connection: close\r\n\r\n`);
    expect([...replies.matchAll(/x-path: (\S+)/g)].map(([, path]) => path)).toEqual(paths);
    const session = http2.connect(`http://127.0.0.1:${port}`);
    const all = paths.map(async (path) => {
      const [headers] = await once(session.request({ ':path': path }).resume(), 'response');
      return headers['x-path'];
    });
    expect(await Promise.all(all)).toEqual(paths);
    session.close();
  });

  it('closes a connection of HTTP/1 that sends hundreds of requests ahead of their replies', async () => {
    const { port } = await start(() => {});
    const socket = connect(port, '127.0.0.1')
      .resume()
      .on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(1000));
    await once(socket, 'close');
  });

  it('answers 400 to what throws in the handler, and lives on', async () => {
    const { port } = await start((request, response) => {
      if (request.url === '/throw') throw new Error('no authority');
      hello(request, response);
    });
    expect((await fetch(`http://127.0.0.1:${port}/throw`)).status).toBe(400);
    const session = http2.connect(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':path': '/throw' });
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(400);
    stream.resume();
    session.close();
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  });

  it('cuts a reply that nobody reads, over either protocol', async () => {
    const { port } = await start((_request, response) => {
      response.writeHead(200);
      for (let count = 0; count < 64; count++) response.write(Buffer.alloc(1024 * 1024));
      end(response);
    });
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    const session = http2.connect(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':path': '/' });
    const closed = Promise.all([once(socket, 'close'), once(stream, 'close')]);
    await new Promise((resolve) => setTimeout(resolve, 900));
    let bytes = 0;
    for (const reply of [socket, stream]) {
      reply.on('data', (part: Buffer) => {
        bytes += part.length;
      });
    }
    await closed;
    expect(bytes).toBeLessThan(60 * 1024 * 1024);
    session.destroy();
  });

  it('takes a request over TLS that comes while the reply before is still on its way out', async () => {
    const { port } = await start(
      async (request, response) => {
        response.writeHead(200);
        if (request.method === 'GET') response.write(Buffer.alloc(8 * 1024 * 1024));
        else response.write(await text(request as Readable));
        end(response);
      },
      await selfSignedTls(),
    );
    const relay = await startHoldingRelay(port);
    const client = connectTls({ host: '127.0.0.1', port: relay.port, rejectUnauthorized: false });
    await once(client, 'secureConnect');
    client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(client, 'readable');
    relay.hold();
    client.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\n');
    await expect.poll(() => relay.held).toBe(1);
    client.write('hello');
    await expect.poll(() => relay.held).toBe(2);
    relay.release();
    const replies = await text(client);
    expect(replies.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
    expect(replies).toMatch(/hello/);
  });

  it('lets running requests finish before it closes', async () => {
    let release = () => {};
    const arrived = new Promise<void>((resolve) => {
      void start((request, response) => {
        release = () => hello(request, response);
        resolve();
      }).then(({ port }) => {
        reply = fetch(`http://127.0.0.1:${port}/`).then((got) => got.text());
      });
    });
    let reply: Promise<string> | undefined;
    await arrived;
    const closing = fronts.splice(0)[0]?.close(5000);
    setTimeout(release, 50);
    expect(await reply).toBe('hello');
    await closing;
  });

  it('closes without waiting for a connection that has said nothing', async () => {
    const front = await start(hello);
    const silent = connect(front.port, '127.0.0.1').resume();
    await once(silent, 'connect');
    const ended = once(silent, 'close').then(() => 'ended');
    // Far more than the test may take: a close that waited for the grace would not come.
    const closing = fronts.splice(0)[0]?.close(3_600_000);
    expect(await ended).toBe('ended');
    await closing;
  });
});

describe('createCors', () => {
  async function ask(origins: string[], init: RequestInit) {
    const allow = createCors(origins);
    const { port } = await start((request, response) => {
      if (!allow(request, response)) hello(request, response);
    });
    return fetch(`http://127.0.0.1:${port}/imagemesh.v1.ImageService/Transform`, init);
  }
  const preflight = (origin: string) => ({
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    },
  });

  it('answers preflights of allowed origins', async () => {
    const reply = await ask(['https://a.example'], preflight('https://a.example'));
    expect(reply.status).toBe(204);
    expect(reply.headers.get('access-control-allow-origin')).toBe('https://a.example');
    expect(reply.headers.get('access-control-allow-headers')).toMatch(/Connect-Protocol-Version/);
    expect(reply.headers.get('vary')).toBe('Origin');
  });

  it('lets nobody else in', async () => {
    for (const origins of [[], ['https://a.example']]) {
      const reply = await ask(origins, preflight('https://b.example'));
      expect(reply.headers.get('access-control-allow-origin')).toBeNull();
      expect(reply.headers.get('access-control-allow-methods')).toBeNull();
    }
  });

  it('lets an allowed page read the reply', async () => {
    const reply = await ask(['*'], { method: 'POST', headers: { origin: 'https://b.example' }, body: '{}' });
    expect(reply.headers.get('access-control-allow-origin')).toBe('*');
    expect(reply.headers.get('access-control-expose-headers')).toMatch(/Grpc-Status/);
    expect(await reply.text()).toBe('hello');
  });
});
