import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import {
  crc32c,
  ErrorInfoSchema,
  RetryInfoSchema,
  UploadService,
  type WriteChunkRequest,
} from '@imagemesh/api';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Clients } from './clients.ts';
import { createUpload, type Upload } from './upload.ts';

const chunkSize = 10;
const page = new EventTarget();

type Method = 'startUpload' | 'writeChunk' | 'queryUpload' | 'finishUpload';

/** The gateway's side of uploads, in memory, over Connect's own encoding. */
function createGateway() {
  const held = new Map<string, number[]>();
  const calls: Method[] = [];
  const chunks: WriteChunkRequest[] = [];
  /** Runs before each call; what it throws is the answer. */
  let before: (method: Method) => void | Promise<void> = () => {};
  const enter = async (method: Method) => {
    calls.push(method);
    await before(method);
  };
  const bytesOf = (uploadId: string) => {
    const bytes = held.get(uploadId);
    if (bytes === undefined) throw refusal('UPLOAD_NOT_FOUND', Code.NotFound);
    return bytes;
  };
  const transport = createRouterTransport(({ service }) => {
    service(UploadService, {
      async startUpload() {
        await enter('startUpload');
        const uploadId = `u${held.size + 1}`;
        held.set(uploadId, []);
        return { uploadId, chunkSize };
      },
      async writeChunk(chunk) {
        await enter('writeChunk');
        const bytes = bytesOf(chunk.uploadId);
        if (Number(chunk.writeOffset) !== bytes.length)
          throw refusal('UPLOAD_OFFSET_INVALID', Code.OutOfRange);
        chunks.push(chunk);
        bytes.push(...chunk.data);
        return { persistedSize: BigInt(bytes.length) };
      },
      async queryUpload({ uploadId }) {
        await enter('queryUpload');
        return { persistedSize: BigInt(bytesOf(uploadId).length) };
      },
      async finishUpload({ uploadId }) {
        await enter('finishUpload');
        return { image: { id: bytesOf(uploadId).join(' ') } };
      },
    });
  });
  return {
    // Of the clients it takes one.
    clients: { uploads: createClient(UploadService, transport) } as unknown as Clients,
    held,
    calls,
    chunks,
    set before(next: typeof before) {
      before = next;
    },
  };
}

function refusal(reason: string, code: Code, retryMs?: number): ConnectError {
  const details = [
    { desc: ErrorInfoSchema, value: { reason, domain: 'imagemesh' } },
    ...(retryMs === undefined
      ? []
      : [{ desc: RetryInfoSchema, value: { retryDelay: { nanos: retryMs * 1e6 } } }]),
  ];
  return new ConnectError(reason, code, undefined, details);
}

const bytes = Uint8Array.from({ length: 35 }, (_, at) => at);
const wanted = bytes.join(' ');
let gateway: ReturnType<typeof createGateway>;
let upload: Upload;

const start = () => {
  upload = createUpload(gateway.clients, bytes, 'a.jpg');
  return upload;
};
const kind = () => upload.state.value.kind;
const becomes = (state: string) => expect.poll(kind, { interval: 1 }).toBe(state);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  vi.stubGlobal('window', page);
  gateway = createGateway();
});

afterEach(() => {
  upload.cancel();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Fails the nth call of a method, once. */
function failOnce(method: Method, nth: number, error: () => unknown): void {
  let count = 0;
  gateway.before = (called) => {
    if (called === method && ++count === nth) throw error();
  };
}

describe('an upload', () => {
  it('sends chunk after chunk, each with its place and its checksum', async () => {
    expect((await start().image).id).toBe(wanted);
    expect(gateway.chunks.map(({ writeOffset }) => writeOffset)).toEqual([0n, 10n, 20n, 30n]);
    expect(gateway.chunks.map(({ data }) => data.length)).toEqual([10, 10, 10, 5]);
    for (const { data, crc32c: sum } of gateway.chunks) expect(sum).toBe(crc32c(data));
    expect(upload.state.value).toEqual({ kind: 'done', sentBytes: 35, totalBytes: 35, failure: undefined });
  });

  it.each([
    ['the gateway is full', () => refusal('OVERLOADED', Code.ResourceExhausted, 50)],
    ['the gateway stops', () => refusal('SHUTTING_DOWN', Code.Unavailable, 50)],
    ['a chunk came in other bytes', () => refusal('DIGEST_MISMATCH', Code.InvalidArgument)],
    ['the place is another', () => refusal('UPLOAD_OFFSET_INVALID', Code.OutOfRange)],
  ])('waits when %s, and goes on where the mesh is', async (_, error) => {
    failOnce('writeChunk', 3, error);
    start();
    await becomes('waiting');
    expect(upload.state.value).toMatchObject({ sentBytes: 20, failure: { message: error().rawMessage } });
    await vi.runAllTimersAsync();
    expect((await upload.image).id).toBe(wanted);
    expect(gateway.calls.filter((call) => call !== 'writeChunk')).toEqual([
      'startUpload',
      'queryUpload',
      'finishUpload',
    ]);
    expect(gateway.chunks.map(({ writeOffset }) => writeOffset)).toEqual([0n, 10n, 20n, 30n]);
  });

  it('sends no chunk twice whose answer alone was lost', async () => {
    let count = 0;
    gateway.before = (method) => {
      if (method !== 'writeChunk' || ++count !== 2) return;
      // It arrives, and the answer does not.
      gateway.held.get('u1')?.push(...bytes.subarray(10, 20));
      throw refusal('UNREACHABLE', Code.Unavailable, 1);
    };
    start();
    await becomes('waiting');
    await vi.runAllTimersAsync();
    expect((await upload.image).id).toBe(wanted);
    expect(gateway.chunks.map(({ writeOffset }) => writeOffset)).toEqual([0n, 20n, 30n]);
  });

  it('waits as long as the server advises, and not at all once the network is back', async () => {
    failOnce('writeChunk', 1, () => refusal('OVERLOADED', Code.ResourceExhausted, 900));
    start();
    await becomes('waiting');
    await vi.advanceTimersByTimeAsync(500);
    expect(kind()).toBe('waiting');
    page.dispatchEvent(new Event('online'));
    expect((await upload.image).id).toBe(wanted);
  });

  it('begins again when the mesh has forgotten it, but not for ever', async () => {
    failOnce('writeChunk', 3, () => refusal('UPLOAD_NOT_FOUND', Code.NotFound));
    expect((await start().image).id).toBe(wanted);
    expect(gateway.calls.filter((call) => call === 'startUpload')).toHaveLength(2);

    gateway = createGateway();
    gateway.before = (method) => {
      if (method === 'writeChunk') throw refusal('UPLOAD_NOT_FOUND', Code.NotFound);
    };
    await expect(start().image).rejects.toThrow('UPLOAD_NOT_FOUND');
    expect(gateway.calls.filter((call) => call === 'startUpload')).toHaveLength(3);
  });

  it('fails at once when it is refused', async () => {
    failOnce('writeChunk', 1, () => refusal('NOT_AN_IMAGE', Code.InvalidArgument));
    await expect(start().image).rejects.toThrow('NOT_AN_IMAGE');
    expect(upload.state.value).toMatchObject({ kind: 'failed', failure: { reason: 'NOT_AN_IMAGE' } });
    expect(gateway.calls).toEqual(['startUpload', 'writeChunk']);
  });

  it('gives up after eight tries in a row, until it is asked to go on', async () => {
    let isFull = true;
    gateway.before = (method) => {
      if (isFull && method === 'writeChunk') throw refusal('OVERLOADED', Code.ResourceExhausted, 5);
    };
    start();
    for (let at = 1; at < 8; at++) {
      await becomes('waiting');
      await vi.advanceTimersByTimeAsync(5);
      await expect
        .poll(() => gateway.calls.filter((call) => call === 'writeChunk').length, { interval: 1 })
        .toBe(at + 1);
    }
    await becomes('failed');
    isFull = false;
    upload.resume();
    expect((await upload.image).id).toBe(wanted);
  });

  it('stands still while it is paused, whatever the network does, and then goes on where it was', async () => {
    let count = 0;
    gateway.before = (method) => {
      if (method === 'writeChunk' && ++count === 2) upload.pause();
    };
    start();
    await becomes('paused');
    const calls = gateway.calls.length;
    page.dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(gateway.calls).toHaveLength(calls);
    upload.resume();
    expect((await upload.image).id).toBe(wanted);
  });

  it('ends when it is cancelled, in a pause too', async () => {
    let count = 0;
    gateway.before = (method) => {
      if (method === 'writeChunk' && ++count === 2) upload.pause();
    };
    start();
    await becomes('paused');
    upload.cancel();
    await expect(upload.image).rejects.toThrow();
    expect(gateway.calls).not.toContain('finishUpload');
  });
});
