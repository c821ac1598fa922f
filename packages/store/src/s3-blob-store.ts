/** Blobs as objects in a bucket. See docs/storage.md for what lies where. */
import { createHash } from 'node:crypto';
import type { BlobStore, ByteSource, PutImageOptions, PutOptions, StoredBlob } from './blob-store.ts';
import { checkDigest } from './digest.ts';
import { blobNotFound } from './file-layout.ts';
import { pieces } from './pieces.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { createS3Images, imageKey } from './s3-images.ts';
import { readAll, readableObject } from './s3-read.ts';
import { createUlids, isUlid } from './ulid.ts';

/** What of a stream is held to be written in one request; more goes in parts. */
const heldBytes = 8 * 1024 * 1024;
const dayMs = 24 * 3_600_000;
const damagedMs = 7 * dayMs;
const condemnedMs = 3_600_000;

export async function openS3BlobStore(bucket: S3Bucket, now: () => number = Date.now): Promise<BlobStore> {
  const nextUlid = createUlids(now);
  const images = createS3Images(bucket, now);
  const id = await readOrMakeId(bucket, nextUlid());

  async function write(key: string, held: Held, signal: AbortSignal | undefined): Promise<void> {
    if (held.kind === 'whole' && held.bytes.byteLength <= heldBytes) {
      await bucket.put(key, held.bytes, { signal });
    } else {
      await bucket.putStream(key, held.kind === 'whole' ? chunksOf(held.bytes) : held.source, signal);
    }
  }

  async function putImage(source: ByteSource, options: PutImageOptions): Promise<StoredBlob> {
    const { signal, expectedSha256 } = options;
    const hash = createHash('sha256');
    let sizeBytes = 0;
    const held = await hold(
      source,
      (async function* () {
        for await (const piece of pieces(source, options.maxBytes, signal)) {
          hash.update(piece);
          sizeBytes += piece.byteLength;
          yield piece;
        }
      })(),
    );
    if (held.kind === 'whole') {
      const digest = hash.digest('hex');
      checkDigest(digest, expectedSha256);
      await images.place(digest, () => write(imageKey(digest), held, signal), signal);
      return { id: digest, sizeBytes };
    }
    // Its name is known at its end.
    const incoming = `incoming/${nextUlid()}`;
    try {
      await write(incoming, held, signal);
      const digest = hash.digest('hex');
      checkDigest(digest, expectedSha256);
      await images.place(digest, () => bucket.copy(incoming, imageKey(digest), signal), signal);
      return { id: digest, sizeBytes };
    } finally {
      // What cannot be removed now is swept.
      await bucket.remove(incoming).catch(() => {});
    }
  }

  async function putTemporary(source: ByteSource, options: PutOptions): Promise<StoredBlob> {
    const ulid = nextUlid();
    let sizeBytes = 0;
    const held = await hold(
      source,
      (async function* () {
        for await (const piece of pieces(source, options.maxBytes, options.signal)) {
          sizeBytes += piece.byteLength;
          yield piece;
        }
      })(),
    );
    await write(temporaryKey(ulid), held, options.signal);
    return { id: ulid, sizeBytes };
  }

  async function sweepFolder(folder: string, beforeMs: number): Promise<number> {
    let removed = 0;
    for await (const { key, modifiedMs } of bucket.list(folder)) {
      if (modifiedMs >= beforeMs) continue;
      await bucket.remove(key);
      removed += 1;
    }
    return removed;
  }

  return {
    id,
    putImage,
    readImage: async (image) => images.read(image),
    async statImage(image) {
      const sizeBytes = await images.sizeOf(image);
      return sizeBytes === undefined ? undefined : { id: image, sizeBytes };
    },
    touchImage: async (image) => images.touch(image),
    putTemporary,
    readTemporary: async (blob) =>
      readableObject(bucket, temporaryKey(blob), { notFound: () => blobNotFound('temporary blob', blob) }),
    deleteTemporary: async (blob) => bucket.remove(temporaryKey(blob)),
    async sweepLeftovers(olderThanMs) {
      const beforeMs = now() - olderThanMs;
      await bucket.put('store-id', Buffer.from(id), { isNew: true });
      await sweepFolder('damaged', now() - damagedMs);
      await sweepFolder('condemned', now() - condemnedMs);
      return (
        (await sweepFolder('temporary', beforeMs)) +
        (await sweepFolder('incoming', beforeMs)) +
        (await bucket.abortUploads('incoming', beforeMs)) +
        (await bucket.abortUploads('temporary', beforeMs)) +
        (await bucket.abortUploads('images', beforeMs))
      );
    },
    listImages: (shard) => images.list(shard),
    removeImage: async (image, unusedSinceMs) => images.remove(image, unusedSinceMs),
    close: async () => bucket.close(),
  };
}

type Held =
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  | { readonly kind: 'more'; readonly source: AsyncIterable<Uint8Array> };

/** The whole source if it is short or in memory anyway; else what was read of it, and the rest as it comes. */
async function hold(source: ByteSource, parts: AsyncGenerator<Uint8Array, void, undefined>): Promise<Held> {
  const held: Uint8Array[] = [];
  let sizeBytes = 0;
  for (let next = await parts.next(); next.done !== true; next = await parts.next()) {
    if (source instanceof Uint8Array) continue;
    held.push(next.value);
    sizeBytes += next.value.byteLength;
    if (sizeBytes > heldBytes) return { kind: 'more', source: joined(held, parts) };
  }
  return { kind: 'whole', bytes: source instanceof Uint8Array ? source : Buffer.concat(held) };
}

async function* joined(held: Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (let part = held.shift(); part !== undefined; part = held.shift()) yield part;
  yield* rest;
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += heldBytes) yield bytes.subarray(at, at + heldBytes);
}

/** BLOB_NOT_FOUND if the id cannot be one. */
function temporaryKey(id: string): string {
  if (!isUlid(id)) throw blobNotFound('temporary blob', id);
  return `temporary/${id}`;
}

/** The first process to come makes the id; the others read it. */
async function readOrMakeId(bucket: S3Bucket, made: string): Promise<string> {
  await bucket.put('store-id', Buffer.from(made), { isNew: true });
  const body = await bucket.get('store-id');
  return body === undefined ? made : (await readAll(body)).toString().trim();
}
