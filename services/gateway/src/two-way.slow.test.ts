/**
 * Clients that send much while they are sent much. Node's HTTP/2 sessions do not read while a write of theirs waits, so two of
 * them may wait for each other: ADR 0004. Those of other languages read on, and would hide it.
 */
import { once } from 'node:events';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { wireHandler } from '@imagemesh/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import { type Front, startFront } from './front.ts';

const mebibyte = 1024 ** 2;
const limits = {
  maxConnections: 100,
  headersTimeoutMs: 5000,
  idleTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
};

let front: Front;
afterEach(() => front.close(0));

/** Each call is read to its end and answered with as many bytes as told, both at once. */
async function start(answerBytes: number): Promise<Front> {
  const chunk = Buffer.alloc(64 * 1024, 1);
  const serve = wireHandler(async ({ reader, writer }) => {
    const read = async () => {
      while ((await reader.message()) !== undefined);
    };
    const write = async () => {
      for (let sent = 0; sent < answerBytes; sent += chunk.length) await writer.message(chunk);
    };
    await Promise.all([read(), write()]);
  });
  front = await startFront({
    host: '127.0.0.1',
    port: 0,
    limits,
    bodyTimeoutMs: 60_000,
    streams: new Map([['/t.T/Both', serve]]),
    handle: () => {},
  });
  return front;
}

type Call = ClientDuplexStream<Buffer, Buffer>;

async function send(call: Call, bytes: number): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024, 2);
  for (let sent = 0; sent < bytes; sent += chunk.length) {
    if (!call.write(chunk)) await once(call, 'drain');
  }
  call.end();
}

async function receive(call: Call): Promise<number> {
  let received = 0;
  for await (const message of call) received += (message as Buffer).length;
  return received;
}

describe('a client of Node that sends much while it is sent much', () => {
  it.each([
    ['its own windows', {}],
    ['windows as large as ours', { 'grpc-node.flow_control_window': 16 * mebibyte }],
  ])(
    'sends and gets everything, with %s, whether it reads meanwhile or not',
    async (_what, options) => {
      const { port } = await start(4 * mebibyte);
      const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
      const same = (bytes: Buffer) => bytes;
      const calls = Array.from({ length: 16 }, () =>
        client.makeBidiStreamRequest<Buffer, Buffer>('/t.T/Both', same, same),
      );
      const reading = calls.slice(0, 8).map(receive);
      await Promise.all(calls.map((call) => send(call, 4 * mebibyte)));
      const received = await Promise.all([...reading, ...calls.slice(8).map(receive)]);
      expect(received).toEqual(calls.map(() => 4 * mebibyte));
      client.close();
    },
    15_000,
  );
});
