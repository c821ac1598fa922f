/** What becomes of images in a file store: read and verified, set aside, listed, removed. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, link, mkdir, readdir, rename, stat, unlink, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { MeshError } from '@imagemesh/rpc';
import type { ListedImage, ReadableBlob } from './blob-store.ts';
import { systemCode, unlessMissing } from './file-errors.ts';
import {
  blobNotFound,
  condemnedFolder,
  damagedFolder,
  imagePath,
  imagesFolder,
  isImageId,
} from './file-layout.ts';
import { readableFile } from './file-read.ts';

/** A sweep that still looks at an image after this time was killed. */
const condemnedMs = 60_000;

export interface FileImages {
  read(id: string): Promise<ReadableBlob>;
  sizeOf(id: string): Promise<number | undefined>;
  touch(id: string): Promise<boolean>;
  list(shard: number): AsyncIterable<ListedImage>;
  remove(id: string, unusedSinceMs: number): Promise<boolean>;
  /** Puts back what a sweep that was killed had condemned. */
  restore(): Promise<void>;
}

export function createFileImages(root: string, now: () => number): FileImages {
  const damagedPath = (id: string) => join(damagedFolder(root), id);

  async function notFound(id: string): Promise<MeshError> {
    const isSetAside = (await unlessMissing(() => stat(damagedPath(id)))) !== undefined;
    return isSetAside ? blobDamaged(id) : blobNotFound('image', id);
  }

  /** Only the very file that was read: it may have been stored anew meanwhile. */
  async function setAside(id: string, file: FileHandle): Promise<MeshError> {
    const path = imagePath(root, id);
    const [read, there] = [await file.stat(), await unlessMissing(() => stat(path))];
    if (there?.ino === read.ino) {
      await mkdir(damagedFolder(root), { recursive: true });
      await unlessMissing(() => rename(path, damagedPath(id)));
    }
    return blobDamaged(id);
  }

  return {
    read: (id) =>
      readableFile(imagePath(root, id), {
        sha256: id,
        notFound: () => notFound(id),
        isMoving: () => isCondemned(id),
        damaged: (file) => setAside(id, file),
      }),
    async sizeOf(id) {
      return (await unlessMissing(() => stat(imagePath(root, id))))?.size;
    },
    async touch(id) {
      const seconds = now() / 1000;
      const path = imagePath(root, id);
      return (await unlessMissing(() => utimes(path, seconds, seconds).then(() => true))) ?? false;
    },
    async *list(shard) {
      const folder = join(imagesFolder(root), shard.toString(16).padStart(2, '0'));
      for (const id of (await unlessMissing(() => readdir(folder))) ?? []) {
        const found = isImageId(id) ? await unlessMissing(() => stat(join(folder, id))) : undefined;
        if (found !== undefined) yield { id, sizeBytes: found.size, usedMs: found.mtimeMs };
      }
    },

    /**
     * Out of reach first, then the last look at when it was used, so that whoever touches it meanwhile either does so before,
     * and it comes back, or finds none, and stores it anew.
     */
    async remove(id, unusedSinceMs) {
      const path = imagePath(root, id);
      const before = await unlessMissing(() => stat(path));
      if (before === undefined || before.mtimeMs >= unusedSinceMs) return false;
      const condemned = join(condemnedFolder(root), `${id}-${randomBytes(8).toString('hex')}`);
      await mkdir(condemnedFolder(root), { recursive: true });
      const isMoved = await unlessMissing(() => rename(path, condemned).then(() => true));
      if (isMoved !== true) return false;
      const after = await unlessMissing(() => stat(condemned));
      if (after === undefined) return false;
      if (after.mtimeMs >= unusedSinceMs) {
        await putBack(condemned, path);
        return false;
      }
      await unlessMissing(() => unlink(condemned));
      return true;
    },
    async restore() {
      for (const name of (await unlessMissing(() => readdir(condemnedFolder(root)))) ?? []) {
        const condemned = join(condemnedFolder(root), name);
        const found = await unlessMissing(() => stat(condemned));
        const id = name.slice(0, 64);
        if (found === undefined || !isImageId(id) || found.ctimeMs > now() - condemnedMs) continue;
        await putBack(condemned, imagePath(root, id));
      }
    },
  };

  async function isCondemned(id: string): Promise<boolean> {
    const names = (await unlessMissing(() => readdir(condemnedFolder(root)))) ?? [];
    return names.some((name) => name.startsWith(id));
  }
}

async function putBack(from: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  try {
    await unlessMissing(() => link(from, path));
  } catch (error) {
    // Stored anew meanwhile.
    if (systemCode(error) !== 'EEXIST') throw error;
  }
  await unlessMissing(() => unlink(from));
}

function blobDamaged(id: string): MeshError {
  return new MeshError('BLOB_DAMAGED', `the bytes of image ${basename(id)} were damaged; store it again`, {
    resource: { type: 'image', name: id },
  });
}
