/**
 * What becomes of images in a bucket: stored, touched, listed, removed, set aside.
 *
 * A bucket has no rename and no delete that asks for the time. So that none removes what another just stored, both leave a mark
 * and then look for the other's (Dekker, 1965): a sweep writes `condemned/<id>`, then looks at the image's time; who stores or
 * touches an image looks for that mark afterwards, and if there is one waits for the sweep to end, and does it again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshError } from '@imagemesh/rpc';
import type { ListedImage, ReadableBlob } from './blob-store.ts';
import { blobNotFound, isImageId } from './file-layout.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { readableObject } from './s3-read.ts';

export interface S3Images {
  /** Has the image stored by `write`, unless it is there; it is marked as just used either way. */
  place(id: string, write: () => Promise<unknown>, signal?: AbortSignal): Promise<void>;
  read(id: string): Promise<ReadableBlob>;
  sizeOf(id: string): Promise<number | undefined>;
  touch(id: string): Promise<boolean>;
  list(shard: number): AsyncIterable<ListedImage>;
  remove(id: string, unusedSinceMs: number): Promise<boolean>;
}

/** After that, a sweep does not remove what it has condemned. */
const maxRemovalMs = 20_000;
/** After that, it was killed. */
const condemnedMs = 60_000;
const lookAgainMs = 100;

export function imageKey(id: string): string {
  if (!isImageId(id)) throw blobNotFound('image', id);
  return `images/${id.slice(0, 2)}/${id}`;
}

export function createS3Images(bucket: S3Bucket, now: () => number): S3Images {
  const condemnedKey = (id: string) => `condemned/${id}`;
  const damagedKey = (id: string) => `damaged/${id}`;

  /** Resolves once no sweep looks at the image; whether one did. */
  async function outlast(id: string, signal?: AbortSignal): Promise<boolean> {
    const beganMs = now();
    for (let times = 0; ; times += 1) {
      const mark = await bucket.head(condemnedKey(id), signal);
      const isOver =
        mark === undefined || now() - beganMs > condemnedMs || now() - mark.modifiedMs > condemnedMs;
      if (isOver) return times > 0;
      await sleep(lookAgainMs);
      signal?.throwIfAborted();
    }
  }

  async function touch(id: string, signal?: AbortSignal): Promise<boolean> {
    const key = imageKey(id);
    if (!(await bucket.copy(key, key, signal))) return false;
    return (await outlast(id, signal)) ? (await bucket.head(key, signal)) !== undefined : true;
  }

  async function notFound(id: string): Promise<MeshError> {
    return (await bucket.head(damagedKey(id))) === undefined ? blobNotFound('image', id) : blobDamaged(id);
  }

  async function setAside(id: string): Promise<MeshError> {
    if (await bucket.copy(imageKey(id), damagedKey(id))) await bucket.remove(imageKey(id));
    return blobDamaged(id);
  }

  return {
    async place(id, write, signal) {
      while (!(await touch(id, signal))) {
        await write();
        if (!(await outlast(id, signal))) return;
      }
    },
    read: (id) =>
      readableObject(bucket, imageKey(id), {
        sha256: id,
        notFound: () => notFound(id),
        damaged: () => setAside(id),
      }),
    sizeOf: async (id) => (await bucket.head(imageKey(id)))?.sizeBytes,
    touch: (id) => touch(id),
    async *list(shard) {
      for await (const { key, sizeBytes, modifiedMs } of bucket.list(
        `images/${shard.toString(16).padStart(2, '0')}`,
      )) {
        const id = key.slice(key.lastIndexOf('/') + 1);
        if (isImageId(id)) yield { id, sizeBytes, usedMs: modifiedMs };
      }
    },
    async remove(id, unusedSinceMs) {
      const key = imageKey(id);
      const isUnused = async () => {
        const image = await bucket.head(key);
        return image !== undefined && image.modifiedMs < unusedSinceMs;
      };
      if (!(await isUnused())) return false;
      const beganMs = now();
      await bucket.put(condemnedKey(id), new Uint8Array(0));
      try {
        if (!(await isUnused()) || now() - beganMs > maxRemovalMs) return false;
        await bucket.remove(key);
        return true;
      } finally {
        await bucket.remove(condemnedKey(id));
      }
    },
  };
}

function blobDamaged(id: string): MeshError {
  return new MeshError('BLOB_DAMAGED', `the bytes of image ${id} were damaged; store it again`, {
    resource: { type: 'image', name: id },
  });
}
