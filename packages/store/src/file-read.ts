/** Reads of one file, whole or streamed. */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { MeshError } from '@imagemesh/rpc';
import type { ReadableBlob } from './blob-store.ts';
import { systemCode, toStoreError } from './file-errors.ts';

export interface ReadOptions {
  /** Thrown if the file is not there, now or when it is read. */
  readonly notFound: () => Promise<MeshError> | MeshError;
  /** Whether a file that is not there may be back in a moment. */
  readonly isMoving?: () => Promise<boolean>;
  /** What the bytes are verified against, where they can be. */
  readonly sha256?: string;
  /** The bytes of that file are others; what is thrown then. */
  readonly damaged?: (file: FileHandle) => Promise<MeshError>;
}

const chunkBytes = 512 * 1024;
/** How often a file that is moving is looked for. */
const maxLooks = 10;

export async function readableFile(path: string, options: ReadOptions): Promise<ReadableBlob> {
  const { notFound, isMoving, sha256, damaged } = options;
  const sizeBytes = await translating(async () => (await look(() => stat(path))).size);

  async function verify(file: FileHandle, hash: Hash | undefined): Promise<void> {
    if (hash === undefined || hash.digest('hex') === sha256) return;
    throw damaged === undefined ? truncated() : await damaged(file);
  }

  async function tooShort(file: FileHandle): Promise<MeshError> {
    return damaged === undefined ? truncated() : await damaged(file);
  }

  return {
    sizeBytes,
    async bytes(signal) {
      // Slow: not from the shared pool, as the buffer may be handed to another thread.
      const whole = Buffer.allocUnsafeSlow(sizeBytes);
      await translating(async () => {
        const file = await look(() => open(path, 'r'));
        try {
          const hash = sha256 === undefined ? undefined : createHash('sha256');
          let at = 0;
          while (at < sizeBytes) {
            signal?.throwIfAborted();
            // Large reads: each is one trip to the thread pool.
            const { bytesRead } = await file.read(whole, at, Math.min(sizeBytes - at, 8 * chunkBytes), at);
            if (bytesRead === 0) throw await tooShort(file);
            hash?.update(whole.subarray(at, at + bytesRead));
            at += bytesRead;
          }
          await verify(file, hash);
        } finally {
          await file.close();
        }
      });
      return whole;
    },
    async *stream(start = 0, end = sizeBytes) {
      const file = await translating(() => look(() => open(path, 'r')));
      try {
        const last = Math.min(end, sizeBytes);
        const isWhole = start === 0 && last === sizeBytes;
        const hash = isWhole && sha256 !== undefined ? createHash('sha256') : undefined;
        let at = start;
        while (at < last) {
          // A new buffer each: the consumer may still be sending the last one.
          const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, last - at));
          const { bytesRead } = await translating(() => file.read(chunk, 0, chunk.length, at));
          if (bytesRead === 0) throw await translating(() => tooShort(file));
          at += bytesRead;
          hash?.update(chunk.subarray(0, bytesRead));
          if (at === last) await translating(() => verify(file, hash));
          yield chunk.subarray(0, bytesRead);
        }
      } finally {
        await file.close();
      }
    },
  };

  async function look<Result>(find: () => Promise<Result>): Promise<Result> {
    for (let times = 1; ; times += 1) {
      try {
        return await find();
      } catch (error) {
        const isGone = systemCode(error) !== 'ENOENT' || times === maxLooks || isMoving === undefined;
        if (isGone || !(await isMoving())) throw error;
      }
    }
  }

  async function translating<Result>(read: () => Promise<Result>): Promise<Result> {
    try {
      return await read();
    } catch (error) {
      if (systemCode(error) === 'ENOENT') throw await notFound();
      throw toStoreError(error, 'reading a blob');
    }
  }
}

function truncated(): MeshError {
  return new MeshError('STORE_FAILED', 'a blob in the store is shorter than it was');
}
