/** An engine under test, and what its tests share. */
import { randomBytes } from 'node:crypto';
import type { Store } from '../open-store.ts';

export interface Engine {
  readonly name: string;
  /** A store of its own for each test; opened twice, it is the same. Not before the tests run. */
  newUrl(): string;
  open(url: string, now?: () => number): Promise<Store>;
}

export const maxBytes = 64 * 1024 ** 2;
export const hourMs = 3_600_000;

/** In chunks, with the event loop between them. */
export async function* inChunks(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    await new Promise(setImmediate);
    yield bytes.subarray(at, at + chunkBytes);
  }
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

export async function imageIds({ blobs }: Store): Promise<string[]> {
  const ids: string[] = [];
  for (let shard = 0; shard < 256; shard += 1)
    for await (const { id } of blobs.listImages(shard)) ids.push(id);
  return ids.sort();
}

export const randomText = () => randomBytes(16).toString('hex');
