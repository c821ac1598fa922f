/** Whether everything under a file store is as docs/storage.md says: whole, in its place, and nothing else. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** What must hold of a file, by its path under the root; undefined: it has no place there. */
type Check = (bytes: Buffer, path: RegExpExecArray, root: string) => boolean | Promise<boolean>;

const ulid = '[0-9A-HJKMNP-TV-Z]{26}';
const id = '[0-9a-f]{64}';
const owner = '[A-Za-z0-9_-]{1,64}';
const chunkBytes = 1024 * 1024;

const places: readonly (readonly [RegExp, Check])[] = [
  [/^store-id$/, (bytes) => new RegExp(`^${ulid}$`).test(bytes.toString())],
  [
    new RegExp(`^images/([0-9a-f]{2})/(${id})$`),
    (bytes, [, folder, name = '']) => name.startsWith(folder ?? '?') && sha256(bytes) === name,
  ],
  [
    new RegExp(`^claims/[0-9a-f]{2}/(${id})\\.(${owner})\\.json$`),
    // It is listed, and its image is there.
    async (bytes, [, name = '', holder = ''], root) => {
      const claim = parse(bytes);
      const createdMs = Date.parse(String(claim.createTime));
      const key = String(9_999_999_999_999 - createdMs);
      const listed = `listed/${holder}/${key.slice(0, 5)}/${key.slice(5, 7)}/${key}-${name}`;
      const others = [listed, `images/${name.slice(0, 2)}/${name}`];
      return (
        claim.id === name &&
        (await Promise.all(others.map((path) => isThere(join(root, path))))).every(Boolean)
      );
    },
  ],
  // What finds claims has no contents; one without its claim is passed over.
  [new RegExp(`^listed/${owner}/\\d{5}/\\d{2}/\\d{13}-${id}$`), (bytes) => bytes.length === 0],
  [new RegExp(`^expiring/\\d{5}/\\d{2}/\\d{13}-${id}\\.${owner}$`), (bytes) => bytes.length === 0],
  [
    new RegExp(`^uploads/${owner}/${ulid}-[0-9a-f]{32}/(open|chunk|done)-([0-9a-f]+)$`),
    // The last chunk alone is shorter, which a test that leaves one must know.
    (bytes, [, kind]) => kind !== 'chunk' || bytes.length === chunkBytes,
  ],
  [/^sweeps\/last\.json$/, (bytes) => Number.isFinite(parse(bytes).timeMs)],
];

/** Paths of what is not as it should be. Only for a store at rest. */
export async function straysIn(root: string): Promise<string[]> {
  const strays: string[] = [];
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const full = join(entry.parentPath, entry.name);
    const path = relative(root, full);
    // Gone meanwhile: a sweep.
    const bytes = await readFile(full).catch(() => undefined);
    if (bytes !== undefined && !(await isRight(root, path, bytes))) strays.push(path);
  }
  return strays;
}

async function isRight(root: string, path: string, bytes: Buffer): Promise<boolean> {
  for (const [place, check] of places) {
    const match = place.exec(path);
    if (match !== null) return check(bytes, match, root);
  }
  return false;
}

function parse(bytes: Buffer): Record<string, unknown> {
  try {
    // A parse boundary: what it has is looked at.
    return JSON.parse(bytes.toString()) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
