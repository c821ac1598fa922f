import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createSniffingServer, protocolOf } from './sniff.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const open: (() => void)[] = [];

afterEach(() => {
  for (const close of open.splice(0)) close();
});

async function start(options: { timeoutMs?: number; maxConnections?: number } = {}) {
  const http1 = http.createServer((_request, response) => response.end('one'));
  const h2 = http2.createServer((_request, response) => response.end('two'));
  const sockets = new Set<Socket>();
  const { server } = createSniffingServer({
    toHttp1: (socket) => http1.emit('connection', socket),
    toHttp2: (socket) => h2.emit('connection', socket),
    timeoutMs: options.timeoutMs ?? 1000,
    maxConnections: options.maxConnections ?? 10,
  });
  server.on('connection', (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  // A TCP server's address is never a string.
  return (server.address() as AddressInfo).port;
}

describe('protocolOf', () => {
  it('takes the whole preface, and only that, for HTTP/2', () => {
    expect(protocolOf(preface)).toBe('http2');
    expect(protocolOf(Buffer.concat([preface, Buffer.from('more')]))).toBe('http2');
    expect(protocolOf(Buffer.from('POST / HTTP/1.1\r\n'))).toBe('http1');
    expect(protocolOf(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\rX'))).toBe('http1');
  });
  it('waits for more where the bytes so far are a beginning of the preface', () => {
    for (let length = 0; length < preface.length; length++) {
      expect(protocolOf(preface.subarray(0, length))).toBe('undecided');
    }
  });
});

describe('createSniffingServer', () => {
  it('serves HTTP/1.1 and HTTP/2 on one port', async () => {
    const port = await start();
    const one = await fetch(`http://127.0.0.1:${port}/`);
    expect(await one.text()).toBe('one');
    const session = http2.connect(`http://127.0.0.1:${port}`);
    open.push(() => session.destroy());
    const stream = session.request({ ':path': '/' });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('two');
  });

  it('keeps collecting when the preface or a request line comes byte by byte', async () => {
    const port = await start();
    const socket = connect(port, '127.0.0.1');
    open.push(() => socket.destroy());
    // The preface and an empty SETTINGS frame.
    for (const byte of Buffer.concat([preface, Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])])) {
      socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [reply] = await once(socket, 'data');
    expect(reply[3]).toBe(4);

    const other = connect(port, '127.0.0.1');
    open.push(() => other.destroy());
    for (const character of 'PUT / HTTP/1.1\r\nhost: x\r\n\r\n') {
      other.write(character);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [answer] = await once(other, 'data');
    expect(String(answer)).toContain('HTTP/1.1 200');
  });

  it('closes a connection that says nothing, or half a preface, for too long', async () => {
    const port = await start({ timeoutMs: 50 });
    const silent = connect(port, '127.0.0.1').resume();
    const half = connect(port, '127.0.0.1').resume();
    half.write(preface.subarray(0, 10));
    await Promise.all([once(silent, 'close'), once(half, 'close')]);
  });

  it('does not blame a client for the time in which the server itself stood still', async () => {
    const port = await start({ timeoutMs: 50 });
    const socket = connect(port, '127.0.0.1');
    open.push(() => socket.destroy());
    await once(socket, 'connect');
    // The server has it, too, and has begun to wait.
    await new Promise((resolve) => setTimeout(resolve, 10));
    // From its check phase, an event loop goes on to timers and reads sockets after them.
    await new Promise((resolve) => setImmediate(resolve));
    const endMs = performance.now() + 100;
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    while (performance.now() < endMs);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toContain('HTTP/1.1 200');
  });

  it('closes connections over the limit', async () => {
    const port = await start({ maxConnections: 1 });
    const first = connect(port, '127.0.0.1').on('error', () => {});
    await once(first, 'connect');
    const second = connect(port, '127.0.0.1')
      .resume()
      .on('error', () => {});
    await once(second, 'close');
    first.destroy();
  });
});
