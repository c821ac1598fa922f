/** What is well-formed enough to reach the parsers: names that objects have anyway, depth without end, values for headers. */
import { mkdtemp, rm } from 'node:fs/promises';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { RunningService } from '@imagemesh/observe';
import type { RpcServer } from '@imagemesh/rpc';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encoded, startPeer } from './testing/peer.ts';
import { startTestGateway } from './testing/test-gateway.ts';

const transform = '/imagemesh.v1.ImageService/Transform';
const json = { 'content-type': 'application/json' };

let folder: string;
let peer: RpcServer;
let gateway: RunningService;
let base: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hostile-messages-'));
  const { address, server } = await startPeer(encoded);
  peer = server;
  gateway = await startTestGateway(folder, { BALANCER_ADDRESSES: address });
  base = `http://${gateway.address}`;
});
afterAll(async () => {
  await gateway.close(1000);
  await peer.close(0);
  await rm(folder, { recursive: true });
});

const post = (path: string, body: string | Uint8Array, headers: Record<string, string> = json) =>
  fetch(`${base}${path}`, { method: 'POST', body, headers });

/** The reason, wherever the protocol has it. */
async function reasonOf(reply: Response): Promise<string | null> {
  const { error } = JSON.parse((await reply.text()) || '{}');
  return reply.headers.get('im-reason') ?? error?.reason ?? null;
}

describe('names that every object has', () => {
  const own = Object.getOwnPropertyNames(Object.prototype);
  afterEach(() => {
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(own);
    expect('polluted' in {}).toBe(false);
  });
  const names = [
    '__proto__',
    '__proto__.polluted',
    '__proto__[polluted]',
    'constructor.prototype.polluted',
    'constructor',
  ];
  const image = 'ab'.repeat(32);

  it.each(['/resize', '/crop', '/filter'])('are no fields of the form of POST %s', async (path) => {
    for (const name of names) {
      const fields: Record<string, string> = { image, width: '1', filter: 'blur' };
      if (path !== '/filter') delete fields.filter;
      else delete fields.width;
      const pairs = [...Object.entries(fields), [name, 'polluted']] as [string, string][];
      const multipart = new FormData();
      for (const [field, value] of pairs) multipart.append(field, value);
      const asJson = `{${pairs.map(([field, value]) => `${JSON.stringify(field)}:${JSON.stringify(value)}`).join()}}`;
      for (const [body, headers] of [
        [multipart, {}],
        [new URLSearchParams(pairs), {}],
        [asJson, json],
      ] as const) {
        const reply = await fetch(`${base}${path}`, { method: 'POST', body, headers });
        expect([reply.status, await reasonOf(reply)], `${name} ${headers}`).toEqual([400, 'INVALID_REQUEST']);
      }
      const inQuery = await fetch(`${base}${path}?${new URLSearchParams(pairs)}`, { method: 'POST' });
      expect(await reasonOf(inQuery)).toBe('INVALID_REQUEST');
    }
    const nested = await post(path, `{"image":"${image}","__proto__":{"polluted":"yes"}}`);
    expect(await reasonOf(nested)).toBe('INVALID_REQUEST');
  });

  it('are no parameters of POST /transform, and no arguments', async () => {
    for (const name of names) {
      const encodedName = encodeURIComponent(name);
      for (const query of [
        `${encodedName}=1`,
        `ops=resize:${encodedName}=1`,
        `ops=${encodedName}`,
        `ops=preset:${encodedName}`,
      ])
        expect(await reasonOf(await post(`/transform?${query}`, 'x', {})), query).toBe('INVALID_REQUEST');
    }
  });

  it('change nothing as fields of a message, or as keys of its maps', async () => {
    const labels = '{"labels":{"__proto__":"polluted"},"__proto__":{"polluted":"yes"}}';
    expect((await post('/imagemesh.v1.JobService/CreateJob', labels)).status).toBeGreaterThanOrEqual(400);
    expect((await post(transform, '{"__proto__":{"polluted":"yes"}}')).status).toBe(400);
  });
});

describe('depth without end', () => {
  const deep = 200_000;
  const bombs = [
    ['lists', '['.repeat(deep)],
    ['whole lists', '['.repeat(deep) + ']'.repeat(deep)],
    ['objects', '{"a":'.repeat(deep)],
    ['lists in a field', `{"source":${'['.repeat(deep)}${']'.repeat(deep)}}`],
    ['lists in a field of text', `{"source":{"imageId":${'['.repeat(deep)}${']'.repeat(deep)}}}`],
    ['lists in a list', `{"operations":${'['.repeat(deep)}${']'.repeat(deep)}}`],
    ['objects in a field', `{"source":${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}}`],
    ['lists in an unknown field', `{"unknown":${'['.repeat(deep)}${']'.repeat(deep)}}`],
  ] as const;

  it.each(bombs)('of %s in JSON is refused, by Connect', async (_name, body) => {
    const reply = await post(transform, body);
    const { code, details } = JSON.parse(await reply.text());
    expect([reply.status, code, details[0].type]).toEqual([400, 'invalid_argument', 'google.rpc.ErrorInfo']);
  });

  it.each(bombs)('of %s in JSON is refused, by forms', async (_name, body) => {
    const short =
      body.length > 60_000
        ? body.replaceAll(/(\[+|\]+|(?:\{"a":)+|\}+)/g, (run) => run.slice(0, 25_000))
        : body;
    const reply = await post('/resize', short);
    expect(await reasonOf(reply)).toBe('INVALID_REQUEST');
  });

  // Tags of a group of field 15, and of an unknown field in a known message.
  it.each([
    ['groups', Buffer.alloc(1_000_000, 0x7b)],
    [
      'groups in a field',
      Buffer.concat([Buffer.from([0x0a, 0xc0, 0x84, 0x3d]), Buffer.alloc(1_000_000, 0x7b)]),
    ],
  ])('of %s in protobuf is refused, by Connect and gRPC', async (_name, message) => {
    const reply = await post(transform, message, { 'content-type': 'application/proto' });
    const { code, details } = JSON.parse(await reply.text());
    expect([reply.status, code, details[0].type]).toEqual([400, 'invalid_argument', 'google.rpc.ErrorInfo']);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const web = await post(transform, Buffer.concat([head, message]), {
      'content-type': 'application/grpc-web+proto',
    });
    const trailers = web.headers.get('im-reason') ?? (await web.text());
    expect(trailers).toContain('INVALID_REQUEST');
    const session = http2.connect(base);
    try {
      for (const method of ['Transform', 'TransformStream', 'Render']) {
        const stream = session.request({
          ':method': 'POST',
          ':path': `/imagemesh.v1.ImageService/${method}`,
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        let reason: unknown;
        const look = (headers: object) => {
          reason = 'im-reason' in headers ? headers['im-reason'] : reason;
        };
        stream.on('response', look).on('trailers', look);
        stream.end(Buffer.concat([head, message]));
        await text(stream);
        expect(reason, method).toBe('INVALID_REQUEST');
      }
    } finally {
      session.destroy();
    }
  });
});

describe('values for headers of a reply', () => {
  const split = '%0d%0aset-cookie:%20a=b%0d%0a%0d%0a';

  /** Head and body of the only reply to the lines. */
  async function replyTo(...lines: string[]): Promise<readonly [head: string, body: string]> {
    const socket = connect(Number(gateway.address.split(':')[1]), '127.0.0.1');
    socket.write(Buffer.from([...lines, 'host: x', 'connection: close', '', ''].join('\r\n'), 'latin1'));
    const reply = await text(socket);
    expect(reply.match(/^HTTP\/1\.1 /gm)).toHaveLength(1);
    const end = reply.indexOf('\r\n\r\n');
    return [reply.slice(0, end), reply.slice(end + 4)];
  }

  it.each([
    ['a path', `GET /images/${split} HTTP/1.1`],
    ['a job', `GET /jobs/${split} HTTP/1.1`],
    ['a signature', `GET /i/${split}/flip/${'0'.repeat(64)}.png HTTP/1.1`],
    ['the operations', `POST /transform?ops=${split} HTTP/1.1`],
    ['a format', `POST /transform?format=${split} HTTP/1.1`],
    ['a file name', `POST /upload?filename=${split} HTTP/1.1`],
    ['a method', `POST /imagemesh.v1.ImageService/${split} HTTP/1.1`],
    ['a message', `GET ${transform}?connect=v1&encoding=json&message=${split} HTTP/1.1`],
  ])('are never %s', async (_name, line) => {
    const [head] = await replyTo(line);
    expect(head).toMatch(/^HTTP\/1\.1 (4\d\d|501) /);
    expect(head.toLowerCase()).not.toContain('set-cookie');
  });

  it.each([
    ['x-request-id', 'a b'],
    ['x-request-id', 'a\tset-cookie: a=b'],
    ['x-request-id', '\u00e9\u0085'],
    ['origin', 'https://a.example\tset-cookie: a=b'],
    ['content-type', 'application/grpc-web+proto; x=\u0085\t\u00ff'],
    ['content-type', `application/connect+${'x'.repeat(2000)}`],
    ['traceparent', '00-zz-\u00ff'],
    ['range', 'bytes=0-\tset-cookie: a'],
    ['if-none-match', '"\tset-cookie: a=b'],
  ])('are never a %s that is unfit: %j', async (name, value) => {
    const [head] = await replyTo(`POST ${transform} HTTP/1.1`, `${name}: ${value}`);
    expect(head.toLowerCase()).not.toContain('set-cookie');
    expect(head).not.toMatch(/[^\x20-\x7e\r\n]/);
    expect(/x-request-id: ([^\r]*)/.exec(head)?.[1]).toMatch(/^[0-9a-f]{32}$/);
  });

  it.each(['\n', '\r', '\0'])('and %j in a header is no HTTP', async (char) => {
    const [head, body] = await replyTo('GET /openapi.json HTTP/1.1', `x-request-id: a${char}b c`);
    expect(head).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(body)).toMatchObject({ error: { reason: 'INVALID_REQUEST' } });
  });
});
