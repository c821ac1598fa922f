/** What strangers may send. */
import { gzipSync } from 'node:zlib';
import { below, type Kind, randomBytes, raw, streams } from './kind.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const transformStream = '/imagemesh.v1.ImageService/TransformStream';
const transform = '/imagemesh.v1.ImageService/Transform';
const render = '/imagemesh.v1.ImageService/Render';
const grpc = { 'content-type': 'application/grpc', te: 'trailers' };

function http2Frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array,
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

const settings = http2Frame(4, 0, 0, Buffer.alloc(0));

function grpcFrame(payload: Uint8Array, { length = payload.length, flag = 0 } = {}): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, payload]);
}

/** Such connections are open for a second or two before the gateway ends them. */
const waiting = { concurrency: 2500 };

/** POST to a streaming call, in HPACK's static table and literals (RFC 7541). */
const requestHeaders = Buffer.concat([
  Buffer.from([0x83, 0x86, 0x01, 1]),
  Buffer.from('x'),
  Buffer.from([0x04, transformStream.length]),
  Buffer.from(transformStream),
  Buffer.from([0x0f, 0x10, grpc['content-type'].length]),
  Buffer.from(grpc['content-type']),
]);

const spec = grpcFrame(Buffer.from([0x0a, 0x00]));
const pixel = Buffer.alloc(16 * 1024);
/** Field 2, bytes: a chunk of the never-ending stream. */
const chunk = grpcFrame(Buffer.concat([Buffer.from([0x12, 0x80, 0x80, 0x01]), pixel]));
const bomb = gzipSync(Buffer.alloc(8 * 1024 * 1024));
const paths = [
  '/images/../../../../etc/passwd',
  '/images/..%2f..%2f..%2fetc%2fpasswd',
  '/%2e%2e/%2e%2e/etc/passwd',
  '/images/%00',
  '//etc/passwd',
  '/jobs/..%5c..%5cwindows',
  '/assets/../../package.json',
];
const contentTypes = ['text/plain', 'application/grpc-web-text', 'application/xml', '*/*', 'a'.repeat(200)];

const resetsPerSend = 50;

export const kinds: readonly Kind[] = [
  raw('random bytes', (random) => randomBytes(random, 1 + below(random, 300))),
  raw(
    'random bytes after the preface of HTTP/2',
    (random) => Buffer.concat([preface, settings, randomBytes(random, 1 + below(random, 300))]),
    waiting,
  ),
  raw(
    'broken HTTP/2 frames',
    (random) => {
      const payload = randomBytes(random, below(random, 64));
      const frames = Array.from({ length: 1 + below(random, 4) }, () =>
        http2Frame(
          below(random, 12),
          below(random, 256),
          below(random, 8),
          payload,
          below(random, 2) ? payload.length : below(random, 2 ** 24),
        ),
      );
      return Buffer.concat([preface, settings, ...frames]);
    },
    waiting,
  ),
  raw(
    'floods of pings and settings',
    (random) => {
      const isPing = random() < 0.5;
      const frame = isPing ? http2Frame(6, 0, 0, Buffer.alloc(8)) : settings;
      return Buffer.concat([preface, settings, ...Array.from({ length: 100 }, () => frame)]);
    },
    waiting,
  ),
  raw(
    'floods of CONTINUATION',
    (random) => {
      const part = http2Frame(9, 0, 1, randomBytes(random, 16));
      return Buffer.concat([
        preface,
        settings,
        http2Frame(1, 0, 1, Buffer.from([0x82])),
        ...Array.from({ length: 50 }, () => part),
      ]);
    },
    waiting,
  ),
  raw(
    'headers that never end',
    (random) => {
      const whole = Buffer.from('POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nx-a: b', 'latin1');
      return random() < 0.5
        ? preface.subarray(0, 1 + below(random, 23))
        : whole.subarray(0, 1 + below(random, whole.length));
    },
    { ...waiting, ends: false },
  ),
  raw(
    'bodies that never end',
    (random) =>
      Buffer.concat([
        Buffer.from(
          `POST ${random() < 0.5 ? '/upload' : transform} HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\ncontent-length: 900\r\n\r\n`,
          'latin1',
        ),
        randomBytes(random, below(random, 20)),
      ]),
    { ...waiting, ends: false },
  ),
  raw('huge headers', (random) =>
    Buffer.from(
      `GET / HTTP/1.1\r\nhost: x\r\nx-huge: ${'h'.repeat(17_000 + below(random, 20_000))}\r\n\r\n`,
      'latin1',
    ),
  ),
  streams(
    'huge headers over HTTP/2',
    (random) => ({
      headers: { ':path': transform, ...grpc, 'x-huge': 'h'.repeat(33_000 + below(random, 10_000)) },
    }),
    ['refused', 'closed'],
  ),
  streams('wrong content types', (random) => ({
    headers: { ':path': transform, 'content-type': contentTypes[below(random, contentTypes.length)] },
    body: randomBytes(random, 20),
  })),
  streams('gRPC frames with lying lengths', (random) => ({
    headers: { ':path': [transform, transformStream, render][below(random, 3)], ...grpc },
    body: grpcFrame(randomBytes(random, below(random, 50)), { length: 51 + below(random, 2 ** 32 - 60) }),
  })),
  streams(
    'streams that never end',
    (random) => ({
      headers: { ':path': transformStream, ...grpc },
      body: Buffer.concat([spec, ...Array.from({ length: 1 + below(random, 4) }, () => chunk)]),
      staysOpen: true,
    }),
    ['refused'],
    16,
  ),
  streams('decompression bombs', (random) => ({
    headers: {
      ':path': [transform, transformStream, render][below(random, 3)],
      ...grpc,
      'grpc-encoding': 'gzip',
    },
    body: grpcFrame(bomb, { flag: 1 }),
  })),
  streams('path traversal', (random) => ({
    headers: { ':path': paths[below(random, paths.length)], ':method': 'GET' },
  })),
  streams('forged credentials', (random) => ({
    headers: {
      ':path': transform,
      ...grpc,
      authorization: `Bearer im_${randomBytes(random, 24).toString('hex')}`,
    },
    body: grpcFrame(Buffer.alloc(0)),
  })),
  {
    ...raw(
      'rapid resets',
      (random) => {
        const pairs = Array.from({ length: resetsPerSend }, (_, at) => [
          http2Frame(1, 4, 2 * at + 1, requestHeaders),
          http2Frame(3, 0, 2 * at + 1, Buffer.from([0, 0, 0, below(random, 14)])),
        ]);
        return Buffer.concat([preface, settings, ...pairs.flat()]);
      },
      { concurrency: 50 },
    ),
    requestsPerSend: resetsPerSend,
  },
];
