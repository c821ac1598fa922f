/** Reads of one file, whole or streamed. */
import { open, stat } from 'node:fs/promises';
import { MeshError } from '@imagemesh/rpc';
import type { ReadableBlob } from './blob-store.ts';
import { systemCode, toStoreError } from './file-errors.ts';

const chunkBytes = 512 * 1024;

/** The file as a blob; `notFound` is thrown if it is not there, now or when it is read. */
export async function readableFile(path: string, notFound: () => MeshError): Promise<ReadableBlob> {
  const sizeBytes = await translating(async () => (await stat(path)).size);

  return {
    sizeBytes,
    async bytes(signal) {
      // Slow: not from the shared pool, as the buffer may be handed to another thread.
      const whole = Buffer.allocUnsafeSlow(sizeBytes);
      await translating(async () => {
        const file = await open(path, 'r');
        try {
          let at = 0;
          while (at < sizeBytes) {
            signal?.throwIfAborted();
            // Large reads: each is one trip to the thread pool.
            const { bytesRead } = await file.read(whole, at, Math.min(sizeBytes - at, 16 * chunkBytes), at);
            if (bytesRead === 0) throw truncated();
            at += bytesRead;
          }
        } finally {
          await file.close();
        }
      });
      return whole;
    },
    async *stream(start = 0, end = sizeBytes) {
      const file = await translating(() => open(path, 'r'));
      try {
        let at = start;
        while (at < Math.min(end, sizeBytes)) {
          // A new buffer each: the consumer may still be sending the last one.
          const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, end - at, sizeBytes - at));
          const { bytesRead } = await translating(() => file.read(chunk, 0, chunk.length, at));
          if (bytesRead === 0) throw truncated();
          at += bytesRead;
          yield chunk.subarray(0, bytesRead);
        }
      } finally {
        await file.close();
      }
    },
  };

  async function translating<Result>(read: () => Promise<Result>): Promise<Result> {
    try {
      return await read();
    } catch (error) {
      if (systemCode(error) === 'ENOENT') throw notFound();
      throw toStoreError(error, 'reading a blob');
    }
  }
}

function truncated(): MeshError {
  return new MeshError('STORE_FAILED', 'a blob in the store is shorter than it was');
}
