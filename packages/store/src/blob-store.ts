/** Where bytes live: images by the digest of their bytes, temporary blobs by a ULID. */
import { ConfigError } from '@imagemesh/observe';

/** Bytes, whole or as they come. */
export type ByteSource = Uint8Array | AsyncIterable<Uint8Array>;

export interface PutOptions {
  /** More bytes are BODY_TOO_LARGE, and nothing is stored. */
  readonly maxBytes: number;
  /** Ends the write; nothing is stored. */
  readonly signal?: AbortSignal;
}

export interface PutImageOptions extends PutOptions {
  /** 64 lower-case hexadecimal digits; other bytes are DIGEST_MISMATCH, and nothing is stored. */
  readonly expectedSha256?: string;
}

export interface StoredBlob {
  /** An image's: SHA-256 in 64 lower-case hexadecimal digits. A temporary blob's: a ULID. */
  readonly id: string;
  readonly sizeBytes: number;
}

/** A blob found; nothing is held open until its bytes are asked for. */
export interface ReadableBlob {
  readonly sizeBytes: number;
  /** All of them in one buffer of exactly sizeBytes. BLOB_NOT_FOUND if deleted since; an image's are verified. */
  bytes(signal?: AbortSignal): Promise<Buffer>;
  /**
   * The bytes from start (default 0) up to but not including end (default sizeBytes), in chunks of at most 512 KiB.
   * Reads no more than the consumer asks for, and closes when it stops. An image that is streamed whole is verified before
   * its last chunk is given out; a part of one is not.
   */
  stream(start?: number, end?: number): AsyncIterable<Buffer>;
}

/** An image as a sweep sees it. */
export interface ListedImage extends StoredBlob {
  /** When it was last stored or touched, in ms since the epoch. */
  readonly usedMs: number;
}

/**
 * Errors: BLOB_NOT_FOUND; BLOB_DAMAGED for an image whose bytes are no longer those it was stored with: it is set aside
 * for a week, and storing it again mends it; STORE_FULL (no space left), STORE_FAILED (anything else the engine says).
 */
export interface BlobStore {
  /** Random, persisted with the blobs: two processes with the same id share the blobs. */
  readonly id: string;
  /** Stores an image; the same bytes again are the same blob. Once it resolves, the bytes survive a crash. */
  putImage(source: ByteSource, options: PutImageOptions): Promise<StoredBlob>;
  readImage(id: string): Promise<ReadableBlob>;
  /** Undefined where there is none. */
  statImage(id: string): Promise<StoredBlob | undefined>;
  /** Marks an image as just needed, so that a sweep spares it for the time of grace; false where there is none. */
  touchImage(id: string): Promise<boolean>;
  /** Stores bytes for a short while (an hour); they need not survive a crash. */
  putTemporary(source: ByteSource, options: PutOptions): Promise<StoredBlob>;
  readTemporary(id: string): Promise<ReadableBlob>;
  /** Deleting what is not there is fine. */
  deleteTemporary(id: string): Promise<void>;
  /**
   * Deletes temporary blobs and unfinished writes that were last written longer ago, and damaged images a week old; how
   * many. Mends what a sweep that was killed left.
   */
  sweepLeftovers(olderThanMs: number): Promise<number>;
  /** The images whose ids begin with that byte, 0 to 255. */
  listImages(shard: number): AsyncIterable<ListedImage>;
  /** Deletes an image, unless it was stored or touched since that time (ms since the epoch): false, also if there is none. */
  removeImage(id: string, unusedSinceMs: number): Promise<boolean>;
  close(): Promise<void>;
}

/** The folder of a `file:` URL; ConfigError for anything else. */
export function storeRoot(url: string): string {
  const [, path] = /^file:(?:\/\/(?=\/))?(.+)$/.exec(url) ?? [];
  if (path === undefined || path.startsWith('//')) {
    throw new ConfigError(
      `STORE_URL: "${url}" is not understood; the forms are file:<folder>, for instance file:./data/store, and s3://<bucket>/<prefix>`,
    );
  }
  return path;
}
