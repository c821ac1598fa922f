/** Blobs as files in one folder, which any number of processes share. See file-layout.ts for what lies where. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '@imagemesh/observe';
import type { BlobStore, ByteSource, PutImageOptions, PutOptions, StoredBlob } from './blob-store.ts';
import { checkDigest } from './digest.ts';
import { systemCode, translating, unlessMissing } from './file-errors.ts';
import { createFileImages } from './file-images.ts';
import {
  blobNotFound,
  damagedFolder,
  imagePath,
  imagesFolder,
  incomingFolder,
  storeIdPath,
  temporaryFolder,
  temporaryPath,
} from './file-layout.ts';
import { readableFile } from './file-read.ts';
import { openIncoming } from './file-write.ts';
import { pieces } from './pieces.ts';
import { createUlids } from './ulid.ts';

/** Older temporary blobs and unfinished writes are deleted when a store is opened. */
const staleMs = 3_600_000;
/** How long a damaged image is kept for a look at it. */
const damagedMs = 7 * 24 * 3_600_000;

/** ConfigError, naming the folder, if it cannot be written. */
export async function openFileBlobStore(root: string, now: () => number = Date.now): Promise<BlobStore> {
  const id = await prepare(root);
  const nextUlid = createUlids(now);
  const images = createFileImages(root, now);

  async function putImage(source: ByteSource, options: PutImageOptions): Promise<StoredBlob> {
    // Bytes at hand are hashed first: known ones are not written again.
    if (source instanceof Uint8Array) {
      const digest = await digestOf(source, options);
      checkDigest(digest, options.expectedSha256);
      if (await isStored(digest, source.byteLength)) return { id: digest, sizeBytes: source.byteLength };
    }
    const incoming = await openIncoming(root);
    try {
      const hash = createHash('sha256');
      for await (const piece of pieces(source, options.maxBytes, options.signal)) {
        hash.update(piece);
        await incoming.write(piece);
      }
      const digest = hash.digest('hex');
      checkDigest(digest, options.expectedSha256);
      if (!(await isStored(digest, incoming.sizeBytes))) await incoming.place(imagePath(root, digest), true);
      return { id: digest, sizeBytes: incoming.sizeBytes };
    } finally {
      await incoming.drop();
    }
  }

  async function putTemporary(source: ByteSource, options: PutOptions): Promise<StoredBlob> {
    const ulid = nextUlid();
    const incoming = await openIncoming(root);
    try {
      for await (const piece of pieces(source, options.maxBytes, options.signal)) await incoming.write(piece);
      await incoming.place(temporaryPath(root, ulid), false);
      return { id: ulid, sizeBytes: incoming.sizeBytes };
    } finally {
      await incoming.drop();
    }
  }

  /** Whether the image is there in full. Marks it as just used, so that a sweep spares it. */
  async function isStored(digest: string, sizeBytes: number): Promise<boolean> {
    return (await images.sizeOf(digest)) === sizeBytes && (await images.touch(digest));
  }

  async function sweepLeftovers(olderThanMs: number): Promise<number> {
    const before = now() - olderThanMs;
    await images.restore();
    await keepId();
    await sweep(damagedFolder(root), now() - damagedMs);
    return (await sweep(temporaryFolder(root), before)) + (await sweep(incomingFolder(root), before));
  }

  /** Should the folder have been emptied: processes that come later must find the id that those that run go by. */
  async function keepId(): Promise<void> {
    if ((await sizeOf(storeIdPath(root))) !== undefined) return;
    const incoming = await openIncoming(root);
    try {
      await incoming.write(Buffer.from(id));
      await incoming.placeNew(storeIdPath(root));
    } finally {
      await incoming.drop();
    }
  }

  return {
    id,
    putImage: (source, options) => translating('storing an image', () => putImage(source, options)),
    readImage: async (image) => images.read(image),
    statImage: (image) =>
      translating('looking for an image', async () => {
        const sizeBytes = await images.sizeOf(image);
        return sizeBytes === undefined ? undefined : { id: image, sizeBytes };
      }),
    touchImage: (image) => translating('touching an image', () => images.touch(image)),
    putTemporary: (source, options) => translating('storing a blob', () => putTemporary(source, options)),
    readTemporary: async (blob) =>
      readableFile(temporaryPath(root, blob), { notFound: () => blobNotFound('temporary blob', blob) }),
    deleteTemporary: (blob) =>
      translating('deleting a blob', () => unlessMissing(() => unlink(temporaryPath(root, blob)))),
    sweepLeftovers: (olderThanMs) => translating('sweeping', () => sweepLeftovers(olderThanMs)),
    listImages: (shard) => images.list(shard),
    removeImage: (image, unusedSinceMs) =>
      translating('removing an image', () => images.remove(image, unusedSinceMs)),
    close: async () => {},
  };

  /** Makes the folders and the store's id, sweeps what a crash left; fails if the folder cannot be written. */
  async function prepare(folder: string): Promise<string> {
    try {
      for (const part of [imagesFolder(folder), temporaryFolder(folder), incomingFolder(folder)]) {
        await mkdir(part, { recursive: true });
      }
      const storeId = await readOrMakeId(folder);
      // Also shows that the folder can be written now, not only when it was made.
      await (await openIncoming(folder)).drop();
      const before = now() - staleMs;
      await sweep(temporaryFolder(folder), before);
      await sweep(incomingFolder(folder), before);
      return storeId;
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      throw new ConfigError(`STORE_URL: the folder ${folder} cannot be used for the store (${code})`, {
        cause: error,
      });
    }
  }
}

/** The first process to come makes the id; the others read it. */
async function readOrMakeId(root: string): Promise<string> {
  const path = storeIdPath(root);
  const incoming = await openIncoming(root);
  try {
    if ((await sizeOf(path)) === undefined) {
      await incoming.write(Buffer.from(createUlids()()));
      await incoming.placeNew(path);
    }
  } finally {
    await incoming.drop();
  }
  return (await readFile(path, 'utf8')).trim();
}

/** Deletes files last written before then; how many. Other processes may sweep at the same time. */
async function sweep(folder: string, beforeMs: number): Promise<number> {
  let deleted = 0;
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    const modified = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (modified >= beforeMs) continue;
    await unlessMissing(() => unlink(path));
    deleted += 1;
  }
  return deleted;
}

async function namesIn(folder: string): Promise<string[]> {
  return (await unlessMissing(() => readdir(folder))) ?? [];
}

async function digestOf(bytes: Uint8Array, { maxBytes, signal }: PutOptions): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces(bytes, maxBytes, signal)) hash.update(piece);
  return hash.digest('hex');
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await unlessMissing(() => stat(path)))?.size;
}
