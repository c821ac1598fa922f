import { once } from 'node:events';
import http2, { constants } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createReadingSocket } from '@imagemesh/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import { createBrokenSessions } from './broken-sessions.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const checkMs = 20;
const replyBytes = 16 * 1024 * 1024;
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

function frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

const settings = frame(4, 0, 0);
const acknowledged = frame(4, 1, 0);
/** GET http://x/, in HPACK's static table. */
const get = frame(1, 5, 1, Buffer.from([0x82, 0x86, 0x84, 0x01, 1, 0x78]));

async function start() {
  const h2 = http2.createServer();
  const sessions = createBrokenSessions({ checkMs });
  cleanups.push(() => sessions.close());
  const counts = { open: 0, pongs: 0 };
  // As the front has it.
  const server = createServer((socket) => {
    h2.once('session', (session) => {
      counts.open++;
      session.on('error', () => {}).once('close', () => counts.open--);
      sessions.watch(session, socket);
    });
    const maxQueuedBytes = 1024 * 1024;
    const reading = createReadingSocket(socket, ({ writableLength }) => writableLength <= maxQueuedBytes);
    h2.emit('connection', reading);
  });
  h2.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.write(Buffer.alloc(replyBytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  // A server that listens on TCP has such an address.
  return { port: (server.address() as AddressInfo).port, counts };
}

/** Sends the frames, and never ends; the code of the GOAWAY that comes before the server closes. */
async function goawayOf(port: number, frames: readonly Buffer[]): Promise<number | undefined> {
  const socket = connect(port, '127.0.0.1');
  cleanups.push(() => socket.destroy());
  const parts: Buffer[] = [];
  socket.on('data', (part) => parts.push(part)).on('error', () => {});
  socket.write(Buffer.concat([preface, ...frames]));
  await once(socket, 'close');
  let code: number | undefined;
  let rest = Buffer.concat(parts);
  while (rest.length >= 9) {
    if (rest[3] === 7) code = rest.readUInt32BE(13);
    rest = rest.subarray(9 + rest.readUIntBE(0, 3));
  }
  return code;
}

/** A client that answers each ping with what `answer` makes of the right answer. */
function talk(port: number, answer: (pong: Buffer) => Buffer): Socket {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  cleanups.push(() => socket.destroy());
  let heard = Buffer.alloc(0);
  socket.on('data', (part: Buffer) => {
    heard = Buffer.concat([heard, part]);
    while (heard.length >= 9 && heard.length >= 9 + heard.readUIntBE(0, 3)) {
      const end = 9 + heard.readUIntBE(0, 3);
      const isPing = heard[3] === 6 && heard[4] === 0;
      if (isPing) socket.write(answer(frame(6, 1, 0, heard.subarray(9, end))));
      heard = heard.subarray(end);
    }
  });
  return socket;
}

const { NGHTTP2_PROTOCOL_ERROR, NGHTTP2_FRAME_SIZE_ERROR, NGHTTP2_COMPRESSION_ERROR } = constants;

describe('createBrokenSessions', () => {
  it.each<[string, number, Buffer[]]>([
    ['no settings first', NGHTTP2_PROTOCOL_ERROR, [frame(6, 0, 0, Buffer.alloc(8))]],
    ['text after the preface', NGHTTP2_FRAME_SIZE_ERROR, [settings, Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
    ['a ping of seven bytes', NGHTTP2_FRAME_SIZE_ERROR, [settings, frame(6, 0, 0, Buffer.alloc(7))]],
    ['settings of five bytes', NGHTTP2_FRAME_SIZE_ERROR, [settings, frame(4, 0, 0, Buffer.alloc(5))]],
    ['an impossible setting', NGHTTP2_PROTOCOL_ERROR, [frame(4, 0, 0, Buffer.from([0, 2, 0, 0, 0, 5]))]],
    ['a window update of nothing', NGHTTP2_PROTOCOL_ERROR, [settings, frame(8, 0, 0, Buffer.alloc(4))]],
    [
      'a window past its end',
      constants.NGHTTP2_FLOW_CONTROL_ERROR,
      [settings, frame(8, 0, 0, Buffer.from([0x7f, 255, 255, 255]))],
    ],
    ['data without a stream', NGHTTP2_PROTOCOL_ERROR, [settings, frame(0, 0, 1, Buffer.alloc(5))]],
    ['data on stream 0', NGHTTP2_PROTOCOL_ERROR, [settings, frame(0, 0, 0, Buffer.alloc(5))]],
    ['a reset of an idle stream', NGHTTP2_PROTOCOL_ERROR, [settings, frame(3, 0, 1, Buffer.alloc(4))]],
    ['a push by the client', NGHTTP2_PROTOCOL_ERROR, [settings, frame(5, 4, 1, Buffer.alloc(8))]],
    ['broken HPACK', NGHTTP2_COMPRESSION_ERROR, [settings, frame(1, 4, 1, Buffer.alloc(6, 0xff))]],
    ['CONTINUATION of nothing', NGHTTP2_PROTOCOL_ERROR, [settings, frame(9, 4, 1, Buffer.alloc(3))]],
    [
      'a ping between parts of headers',
      NGHTTP2_PROTOCOL_ERROR,
      [settings, frame(1, 0, 1, Buffer.from([0x82])), frame(6, 0, 0, Buffer.alloc(8))],
    ],
    [
      'padding longer than its frame',
      NGHTTP2_PROTOCOL_ERROR,
      [settings, frame(1, 12, 1, Buffer.alloc(3, 9))],
    ],
  ])('closes soon after %s, and says why', async (_name, code, frames) => {
    const { port, counts } = await start();
    expect(await goawayOf(port, frames)).toBe(code);
    await expect.poll(() => counts.open).toBe(0);
  });

  it.each([
    ['with the answer to a ping', Buffer.alloc(0), frame(6, 0, 0, Buffer.alloc(7))],
    ['under a reply that is not over', get, frame(9, 4, 1, Buffer.alloc(3))],
  ])('closes what breaks late, %s', async (_name, before, after) => {
    const { port, counts } = await start();
    const socket = talk(port, (pong) => Buffer.concat([pong, after]));
    socket.write(Buffer.concat([preface, settings, acknowledged, before]));
    await once(socket, 'close');
    await expect.poll(() => counts.open).toBe(0);
  });

  it('asks a connection that is silent once, and leaves it', async () => {
    const { port, counts } = await start();
    let pings = 0;
    let lastMs = 0;
    const socket = talk(port, (pong) => {
      pings++;
      lastMs = performance.now();
      return pong;
    });
    socket.write(Buffer.concat([preface, settings, acknowledged]));
    // Ten checks without another.
    await expect.poll(() => pings > 0 && performance.now() - lastMs > 10 * checkMs).toBe(true);
    expect([pings, counts.open]).toEqual([1, 1]);
    socket.write(frame(6, 0, 0, Buffer.alloc(8)));
    await expect.poll(() => pings).toBe(2);
    expect(counts.open).toBe(1);
  });

  it('leaves a client alone that takes its reply slowly', async () => {
    const { port, counts } = await start();
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    cleanups.push(() => socket.destroy());
    // Windows of 1 GiB: the reply is more than the kernel takes.
    const wide = frame(4, 0, 0, Buffer.from([0, 4, 0x40, 0, 0, 0]));
    const widen = frame(8, 0, 0, Buffer.from([0x40, 0, 0, 0]));
    socket.write(Buffer.concat([preface, wide, widen, acknowledged, get]));
    socket.pause();
    await expect.poll(() => counts.open).toBe(1);
    const startMs = performance.now();
    await expect.poll(() => performance.now() - startMs > 10 * checkMs).toBe(true);
    let bytes = 0;
    socket.on('data', (part: Buffer) => {
      bytes += part.length;
    });
    socket.resume();
    await expect.poll(() => bytes).toBeGreaterThan(replyBytes);
    expect(counts.open).toBe(1);
  });
});
