/**
 * Uploads that have not ended, beside the blobs, so that any gateway takes the next chunk. An upload is a folder:
 *
 *     uploads/<owner>/<id>/open-<size>      until it ends; its value is the name for people
 *     uploads/<owner>/<id>/chunk-<offset>   a chunk; each is there in full or not at all
 *     uploads/<owner>/<id>/done-<image id>  once it is an image, so that to finish again answers the same
 *
 * An id is a ULID, which says when it began, and 128 random bits, since whoever knows it may write.
 */
import { randomBytes } from 'node:crypto';
import { MeshError } from '@imagemesh/rpc';
import type { Entries } from './entries.ts';
import { createUlids, isUlid, ulidTime } from './ulid.ts';

export interface UploadLimits {
  /** Uploads of an owner's that have not ended. */
  readonly maxOpen: number;
  /** Bytes that those are to have together. */
  readonly maxBytes: number;
  /** Time from the start to the end; then it is forgotten. */
  readonly ttlMs: number;
}

export interface Upload {
  readonly id: string;
  readonly sizeBytes: number;
  /** Bytes held from the start without a gap. */
  readonly persistedBytes: number;
  readonly expireMs: number;
  /** The image that it became; undefined until it ends. */
  readonly imageId: string | undefined;
}

/** Errors: UPLOAD_NOT_FOUND, STORE_FULL, STORE_FAILED. */
export interface Uploads {
  /** UPLOADS_FULL over the owner's limits. */
  start(owner: string, upload: { sizeBytes: number; filename: string }): Promise<Upload>;
  find(owner: string, id: string): Promise<Upload>;
  /** Holds a chunk at a multiple of `uploadChunkBytes`; false, and nothing changed, if one is there. Survives a crash. */
  write(owner: string, upload: Upload, offset: number, bytes: Uint8Array): Promise<boolean>;
  /** The chunk at the offset; undefined where there is none. */
  readChunk(owner: string, id: string, offset: number): Promise<Buffer | undefined>;
  filename(owner: string, upload: Upload): Promise<string>;
  /** It is that image now; its chunks go. */
  finish(owner: string, upload: Upload, imageId: string): Promise<void>;
  /** Deletes all of it. Deleting what is not there is fine. */
  remove(owner: string, id: string): Promise<void>;
  /** Deletes those whose time is over, and what is left of others; how many. */
  sweep(): Promise<number>;
}

/** Bytes of each chunk but the last. */
export const uploadChunkBytes = 1024 * 1024;

/** Ended uploads that are remembered for each owner. */
const maxDone = 64;
const idPattern = /^([0-9A-HJKMNP-TV-Z]{26})-[0-9a-f]{32}$/;
const ownerPattern = /^[A-Za-z0-9_-]{1,64}$/;
const sizeDigits = 12;

/** The uploads beside the blobs. */
export function createUploads(
  entries: Entries,
  { maxOpen, maxBytes, ttlMs }: UploadLimits,
  now: () => number = Date.now,
): Uploads {
  const nextUlid = createUlids(now);

  async function start(owner: string, { sizeBytes, filename }: { sizeBytes: number; filename: string }) {
    if (!ownerPattern.test(owner)) throw new MeshError('INTERNAL', `no upload of ${owner} is possible`);
    const id = `${nextUlid()}-${randomBytes(16).toString('hex')}`;
    const upload = { id, sizeBytes, persistedBytes: 0, expireMs: now() + ttlMs, imageId: undefined };
    await entries.create(openKey(owner, upload), Buffer.from(filename));
    // Looked at afterwards, so that starts at the same time see each other.
    const known = await readUploads(`uploads/${owner}`);
    const open = known.filter(({ openSize, id: other }) => openSize !== undefined && !isOver(other));
    const openBytes = open.reduce((sum, { openSize = 0 }) => sum + openSize, 0);
    if (open.length > maxOpen || openBytes > maxBytes) {
      await remove(owner, id);
      throw new MeshError(
        'UPLOADS_FULL',
        `there may be ${maxOpen} unfinished uploads, of ${maxBytes} bytes together; finish or cancel some`,
        { metadata: { limit_uploads: String(maxOpen), limit_bytes: String(maxBytes) } },
      );
    }
    const done = known.filter(({ imageId }) => imageId !== undefined);
    for (const { id: old } of done.slice(0, Math.max(0, done.length - maxDone))) await remove(owner, old);
    return upload;
  }

  async function find(owner: string, id: string): Promise<Upload> {
    const [found] = isId(id) && ownerPattern.test(owner) ? await readUploads(`uploads/${owner}/${id}`) : [];
    const sizeBytes = found?.openSize ?? 0;
    const isKnown = found !== undefined && (found.openSize !== undefined || found.imageId !== undefined);
    if (!isKnown || isOver(id)) throw uploadNotFound(id);
    let persistedBytes = 0;
    for (const offset of found.chunks) {
      if (offset !== persistedBytes) break;
      persistedBytes = Math.min(sizeBytes, offset + uploadChunkBytes);
    }
    return { id, sizeBytes, persistedBytes, expireMs: expireMsOf(id), imageId: found.imageId };
  }

  async function remove(owner: string, id: string): Promise<void> {
    if (!isId(id) || !ownerPattern.test(owner)) return;
    // First what makes it one: a chunk that is written meanwhile is taken back by its writer, or swept.
    const keys: string[] = [];
    for await (const key of entries.list(`uploads/${owner}/${id}`)) keys.push(key);
    for (const key of keys.reverse()) await entries.remove(key);
  }

  /** Every upload under the folder, by its id. */
  async function readUploads(folder: string): Promise<readonly Listed[]> {
    const found = new Map<string, Listed>();
    for await (const key of entries.list(folder)) {
      const [, owner = '', id = '', name = ''] = key.split('/');
      if (!isId(id)) continue;
      const [kind, value = ''] = name.split('-', 2);
      const listed = found.get(id) ?? { owner, id, openSize: undefined, imageId: undefined, chunks: [] };
      if (kind === 'chunk') listed.chunks.push(Number(value));
      if (kind === 'open') listed.openSize = Number(value);
      if (kind === 'done') listed.imageId = value;
      found.set(id, listed);
    }
    return [...found.values()];
  }

  const expireMsOf = (id: string) => ulidTime(id) + ttlMs;
  const isOver = (id: string) => now() >= expireMsOf(id);

  return {
    start,
    find,
    async write(owner, upload, offset, bytes) {
      const key = chunkKey(owner, upload.id, offset);
      if (!(await entries.create(key, bytes))) return false;
      if ((await entries.read(openKey(owner, upload))) !== undefined) return true;
      await entries.remove(key);
      throw uploadNotFound(upload.id);
    },
    readChunk: (owner, id, offset) => entries.read(chunkKey(owner, id, offset)),
    async filename(owner, upload) {
      const name = await entries.read(openKey(owner, upload));
      if (name === undefined) throw uploadNotFound(upload.id);
      return name.toString('utf8');
    },
    async finish(owner, upload, imageId) {
      const doneKey = `uploads/${owner}/${upload.id}/done-${imageId}`;
      await entries.create(doneKey, Buffer.alloc(0));
      await entries.remove(openKey(owner, upload));
      for (let offset = 0; offset < upload.sizeBytes; offset += uploadChunkBytes) {
        await entries.remove(chunkKey(owner, upload.id, offset));
      }
    },
    remove,
    async sweep() {
      let count = 0;
      for (const { owner, id, openSize, imageId } of await readUploads('uploads')) {
        const isLeftOver = openSize === undefined && imageId === undefined;
        if (!isOver(id) && !isLeftOver) continue;
        await remove(owner, id);
        count += 1;
      }
      return count;
    },
  };
}

interface Listed {
  readonly owner: string;
  readonly id: string;
  openSize: number | undefined;
  imageId: string | undefined;
  readonly chunks: number[];
}

function isId(id: string): boolean {
  const [, ulid = ''] = idPattern.exec(id) ?? [];
  return isUlid(ulid);
}

function openKey(owner: string, { id, sizeBytes }: Pick<Upload, 'id' | 'sizeBytes'>): string {
  return `uploads/${owner}/${id}/open-${padded(sizeBytes)}`;
}

function chunkKey(owner: string, id: string, offset: number): string {
  return `uploads/${owner}/${id}/chunk-${padded(offset)}`;
}

function padded(bytes: number): string {
  return String(bytes).padStart(sizeDigits, '0');
}

function uploadNotFound(id: string): MeshError {
  return new MeshError('UPLOAD_NOT_FOUND', 'there is no such upload, or its time is over; start another', {
    resource: { type: 'upload', name: id.slice(0, 26) },
  });
}
