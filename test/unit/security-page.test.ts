/** docs/security.md names for each control where it is and which test shows it: both have to be there. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Every file under the folders of code, by its path from the root. */
async function sourceFiles(): Promise<readonly string[]> {
  const folders = ['packages', 'services', 'test', 'web/src', 'bench'];
  const found = await Promise.all(
    folders.map(async (folder) => {
      const names = await readdir(join(root, folder), { recursive: true });
      return names.map((name) => `${folder}/${name}`);
    }),
  );
  return found.flat().filter((path) => !/node_modules|\/dist\//.test(path));
}

interface Control {
  readonly text: string;
  readonly where: string;
  readonly test: string;
}

async function controls(): Promise<readonly Control[]> {
  const page = await readFile(join(root, 'docs/security.md'), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| who |'));
  return rows.map((row) => {
    const [, , , control = '', where = '', test = ''] = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
    return { text: control, where, test };
  });
}

const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text ?? '');
const titled = (cell: string) => [...cell.matchAll(/“([^”]+)”/g)].map(([, text]) => text ?? '');

it('each control is in files that there are', async () => {
  const files = await sourceFiles();
  const all = await controls();
  expect(all.length).toBeGreaterThan(15);
  for (const { text, where } of all) {
    for (const name of quoted(where)) {
      const isThere = files.some(
        (path) => path.endsWith(`/${name}`) || path.includes(`/${name}`) || path.startsWith(name),
      );
      expect(isThere, `${text}: ${name}`).toBe(true);
    }
  }
});

it('each control names a test that there is, by its file and words of its title', async () => {
  const files = await sourceFiles();
  for (const { text, test } of await controls()) {
    const paths = quoted(test).map((name) =>
      files.filter((path) => path === name || path.endsWith(`/${name}`)),
    );
    expect(paths.length, text).toBeGreaterThan(0);
    // A name alone says which file.
    for (const [at, found] of paths.entries()) expect(found, `${text}: ${quoted(test)[at]}`).toHaveLength(1);
    const titles = titled(test);
    expect(titles.length, `${text}: the title of its test`).toBeGreaterThan(0);
    const sources = await Promise.all(paths.flat().map((path) => readFile(join(root, path), 'utf8')));
    // What a suite of kinds calls its tests stands where the kinds are.
    const kinds = await Promise.all(
      ['kinds', 'keyed-kinds', 'operation-strings'].map((name) =>
        readFile(join(root, `test/hostile/${name}.ts`), 'utf8'),
      ),
    );
    const isSuite = paths.flat().some((path) => path.includes('slow/hostile'));
    for (const title of titles) {
      const isThere = [...sources, ...(isSuite ? kinds : [])].some((source) => source.includes(title));
      expect(isThere, `${text}: ${title}`).toBe(true);
    }
  }
});

it('is one page', async () => {
  const page = await readFile(join(root, 'docs/security.md'), 'utf8');
  expect(page.split('\n').length).toBeLessThanOrEqual(70);
});
