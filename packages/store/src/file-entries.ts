/** Entries as files under the root of a file store; a key is the path. */
import { readdir, readFile, rmdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MeshError } from '@imagemesh/rpc';
import type { Entries } from './entries.ts';
import { translating, unlessMissing } from './file-errors.ts';
import { createEmpty, openIncoming } from './file-write.ts';

const keyPattern = /^(?!\.+(?:\/|$))[A-Za-z0-9._-]{1,255}(?:\/(?!\.+(?:\/|$))[A-Za-z0-9._-]{1,255})*$/;

export function createFileEntries(root: string): Entries {
  function pathOf(key: string): string {
    if (!keyPattern.test(key)) throw new MeshError('INTERNAL', `${JSON.stringify(key)} can be no key`);
    return join(root, key);
  }

  async function write<Result>(
    key: string,
    value: Uint8Array,
    place: (incoming: Awaited<ReturnType<typeof openIncoming>>, path: string) => Promise<Result>,
  ): Promise<Result> {
    const path = pathOf(key);
    return translating('writing an entry', async () => {
      const incoming = await openIncoming(root);
      try {
        await incoming.write(value);
        return await place(incoming, path);
      } finally {
        await incoming.drop();
      }
    });
  }

  async function* list(folder: string, after: string): AsyncGenerator<string> {
    const names = await translating('listing', () => foldersAndFiles(join(root, folder)));
    for (const { name, isFolder } of names) {
      const key = `${folder}/${name}`;
      if (isFolder) {
        if (`${key}/` > after || after.startsWith(`${key}/`)) yield* list(key, after);
      } else if (key > after) yield key;
    }
  }

  return {
    create: (key, value) =>
      value.byteLength === 0
        ? translating('writing an entry', () => createEmpty(pathOf(key)))
        : write(key, value, (incoming, path) => incoming.placeNew(path)),
    replace: (key, value) => write(key, value, (incoming, path) => incoming.place(path, true)),
    async read(key) {
      const path = pathOf(key);
      return translating('reading an entry', () => unlessMissing(() => readFile(path)));
    },
    async remove(key) {
      const path = pathOf(key);
      await translating('removing an entry', () => unlessMissing(() => unlink(path)));
      // Folders that are empty now; one level above stays: it is shared, and few.
      for (let at = dirname(key); dirname(at).includes('/'); at = dirname(at)) {
        const isRemoved = await rmdir(join(root, at)).then(
          () => true,
          () => false,
        );
        if (!isRemoved) return;
      }
    },
    list: (folder, after = '') => {
      pathOf(folder);
      return list(folder, after);
    },
  };
}

async function foldersAndFiles(folder: string) {
  const found = (await unlessMissing(() => readdir(folder, { withFileTypes: true }))) ?? [];
  return found
    .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
