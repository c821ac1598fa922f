import { PassThrough, Readable, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { HeldBytes, RequestBody } from './request-body.ts';

function collector(highWaterMark = 16 * 1024) {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    highWaterMark,
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      setImmediate(done);
    },
  });
  return { sink, bytes: () => Buffer.concat(chunks) };
}

const chunk = (fill: number, size = 10_000) => Buffer.alloc(size, fill);
const ended = (sink: Writable) => new Promise((resolve) => sink.once('finish', resolve));

describe('RequestBody', () => {
  it('sends the same again from the beginning, by reference', async () => {
    const held = new HeldBytes(1e6);
    const source = new PassThrough();
    const body = new RequestBody(source, held, 1e6);
    source.write(chunk(1));
    await turn();
    const first = collector();
    const feed = body.attach(first.sink);
    source.write(chunk(2));
    await turn();
    feed.detach();
    source.end(chunk(3));
    await turn();
    expect(body.isReplayable).toBe(true);
    expect(held.held).toBe(30_000);
    const second = collector();
    body.attach(second.sink);
    await ended(second.sink);
    expect(second.bytes()).toEqual(Buffer.concat([chunk(1), chunk(2), chunk(3)]));
    body.release();
    expect(held.held).toBe(0);
  });

  it('stops reading at its limit while nobody takes it, and then goes on without keeping', async () => {
    const held = new HeldBytes(1e6);
    const all = Buffer.concat(Array.from({ length: 100 }, (_, at) => chunk(at)));
    const source = Readable.from(Array.from({ length: 100 }, (_, at) => chunk(at)));
    const body = new RequestBody(source, held, 50_000);
    for (let turns = 0; turns < 50; turns++) await turn();
    expect(body.totalBytes).toBe(50_000);
    expect(body.isReplayable).toBe(true);
    const { sink, bytes } = collector();
    body.attach(sink);
    await ended(sink);
    expect(bytes().equals(all)).toBe(true);
    expect(body.isReplayable).toBe(false);
    expect(held.held).toBe(0);
  });

  it('stops reading when all calls together hold too much', async () => {
    const held = new HeldBytes(25_000);
    const bodies = [0, 1].map(() => {
      const source = Readable.from(Array.from({ length: 10 }, (_, at) => chunk(at)));
      return new RequestBody(source, held, 1e6);
    });
    for (let turns = 0; turns < 50; turns++) await turn();
    expect(held.isFull).toBe(true);
    expect(held.held).toBeLessThanOrEqual(25_000 + 2 * 10_000);
    for (const body of bodies) body.release();
    expect(held.held).toBe(0);
  });

  it('lets go of what was sent once it need not be sent again', async () => {
    const held = new HeldBytes(1e6);
    const source = new PassThrough();
    const body = new RequestBody(source, held, 1e6);
    const { sink, bytes } = collector();
    body.attach(sink);
    source.write(chunk(1));
    await turn();
    expect(held.held).toBe(10_000);
    body.stopKeeping();
    expect(held.held).toBe(0);
    source.end(chunk(2));
    await ended(sink);
    expect(bytes()).toEqual(Buffer.concat([chunk(1), chunk(2)]));
    expect(held.held).toBe(0);
  });
});
