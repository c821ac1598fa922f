/** Reads of one object, whole or streamed. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { MeshError } from '@imagemesh/rpc';
import type { ReadableBlob } from './blob-store.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { toS3StoreError } from './s3-errors.ts';

export interface S3ReadOptions {
  /** Thrown if the object is not there, now or when it is read. */
  readonly notFound: () => Promise<MeshError> | MeshError;
  /** What the bytes are verified against, where they can be. */
  readonly sha256?: string;
  /** The bytes are others; what is thrown then. */
  readonly damaged?: () => Promise<MeshError>;
}

/** An entry is small. */
const maxEntryBytes = 1024 * 1024;

export async function readableObject(
  bucket: S3Bucket,
  key: string,
  { notFound, sha256, damaged = async () => tooShort() }: S3ReadOptions,
): Promise<ReadableBlob> {
  const found = await bucket.head(key);
  if (found === undefined) throw await notFound();
  const { sizeBytes } = found;

  async function* chunks(start: number, end: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
    if (end <= start) return;
    const isWhole = start === 0 && end === sizeBytes;
    const body = await bucket.get(key, isWhole ? undefined : { start, end }, signal);
    if (body === undefined) throw await notFound();
    const hash = isWhole && sha256 !== undefined ? createHash('sha256') : undefined;
    let left = end - start;
    for await (const chunk of bytesOf(body, signal)) {
      left -= chunk.byteLength;
      hash?.update(chunk);
      const isBad = left < 0 || (left === 0 && hash !== undefined && hash.digest('hex') !== sha256);
      if (isBad) throw await damaged();
      yield chunk;
      if (left === 0) return;
    }
    throw await damaged();
  }

  return {
    sizeBytes,
    async bytes(signal) {
      const whole = Buffer.allocUnsafeSlow(sizeBytes);
      let at = 0;
      for await (const chunk of chunks(0, sizeBytes, signal)) at += chunk.copy(whole, at);
      return whole;
    },
    stream: (start = 0, end = sizeBytes) => chunks(start, Math.min(end, sizeBytes)),
  };
}

export async function readAll(body: Readable): Promise<Buffer> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of bytesOf(body)) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxEntryBytes) throw new MeshError('STORE_FAILED', 'an entry in the store is too large');
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

async function* bytesOf(body: Readable, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const abort = () => body.destroy();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    for await (const chunk of body) yield chunk as Buffer;
    signal?.throwIfAborted();
  } catch (error) {
    throw toS3StoreError(error, 'reading', signal);
  } finally {
    signal?.removeEventListener('abort', abort);
    body.destroy();
  }
}

function tooShort(): MeshError {
  return new MeshError('STORE_FAILED', 'a blob in the store is shorter than it was');
}
