/**
 * Writes that are whole or not there: into a file of its own under incoming/, then renamed into place. A reader, in
 * this process or another, sees no half-written blob; a crash leaves only a file under incoming/, which is swept.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, link, mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode, unlessMissing } from './file-errors.ts';
import { incomingFolder } from './file-layout.ts';
import { createGroupRuns } from './group-runs.ts';

/** An open file under incoming/; ends by `place`, `placeNew` or `drop`. */
export interface Incoming {
  readonly sizeBytes: number;
  write(bytes: Uint8Array): Promise<void>;
  /** Renames it to the path, over what is there. With `isDurable`, contents and name survive a crash. */
  place(path: string, isDurable: boolean): Promise<void>;
  /** Like a durable `place`, but false, and nothing changed, if something is there. */
  placeNew(path: string): Promise<boolean>;
  /** Deletes it, if it has not been placed. Never throws. */
  drop(): Promise<void>;
}

export async function openIncoming(root: string): Promise<Incoming> {
  const path = join(incomingFolder(root), randomBytes(16).toString('hex'));
  const file = await openInFolder(path);
  let sizeBytes = 0;
  let isOpen = true;
  let isThere = true;

  async function remove(): Promise<void> {
    isThere = false;
    await unlessMissing(() => unlink(path));
  }

  async function close(isDurable: boolean): Promise<void> {
    if (isDurable) await file.datasync();
    isOpen = false;
    await file.close();
  }

  return {
    get sizeBytes() {
      return sizeBytes;
    },
    async write(bytes) {
      let written = 0;
      while (written < bytes.byteLength) {
        const { bytesWritten } = await file.write(bytes, written, bytes.byteLength - written);
        written += bytesWritten;
      }
      sizeBytes += written;
    },
    async place(target, isDurable) {
      await close(isDurable);
      await inFolder(target, () => rename(path, target));
      isThere = false;
      if (isDurable) await syncFolder(dirname(target));
    },
    async placeNew(target) {
      await close(true);
      try {
        await inFolder(target, () => link(path, target));
      } catch (error) {
        if (systemCode(error) === 'EEXIST') return false;
        throw error;
      } finally {
        await remove();
      }
      await syncFolder(dirname(target));
      return true;
    },
    async drop() {
      if (isOpen) await file.close().catch(() => {});
      isOpen = false;
      if (isThere) await remove().catch(() => {});
    },
  };
}

/** A file without contents, which cannot be half-written. False, and nothing changed, if something is there. */
export async function createEmpty(path: string): Promise<boolean> {
  try {
    const file = await openInFolder(path);
    await file.close();
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
  await syncFolder(dirname(path));
  return true;
}

/** Runs the action; if the target's folder is missing, makes it and runs again: it may be removed as empty meanwhile. */
async function inFolder<Result>(target: string, action: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await action();
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || tries === 5) throw error;
      await makeFolder(dirname(target));
    }
  }
}

async function openInFolder(path: string): Promise<FileHandle> {
  return inFolder(path, () => open(path, 'wx'));
}

/** Makes a folder and those above it; the new names survive a crash. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  let made = folder;
  while (made.length >= first.length) {
    const parent = dirname(made);
    await syncFolder(parent);
    if (parent === made) return;
    made = parent;
  }
}

/** The names made in the folder until now survive a crash. */
const syncFolder = createGroupRuns(async (folder) => {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
});
