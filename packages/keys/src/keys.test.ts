import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addKey, digestOf, listKeys, newApiKey, parseApiKey, parseKeyFile, removeKey } from './index.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keys-'));
  path = join(folder, 'keys.json');
});
afterEach(() => rm(folder, { recursive: true }));

const fields = {
  id: 'alice',
  owner: 'team',
  scopes: ['read', 'jobs'],
  limits: { callsPerSecond: 5 },
} as const;

describe('an API key', () => {
  it('tells its id and its digest, and nothing else is a key', () => {
    const key = newApiKey('alice-2');
    expect(parseApiKey(key)).toEqual({ id: 'alice-2', digest: digestOf(key) });
    for (const other of [
      '',
      'im_alice_short',
      `${key}x`,
      key.slice(1),
      key.toUpperCase(),
      `im_a/b_${'x'.repeat(43)}`,
    ])
      expect(parseApiKey(other), other).toBeUndefined();
  });

  it('is another every time', () => {
    expect(new Set(Array.from({ length: 100 }, () => newApiKey('a'))).size).toBe(100);
  });
});

describe('the file of keys', () => {
  it('keeps what was said of a key, but the key itself only as its SHA-256, for its user alone', async () => {
    const key = await addKey(path, { ...fields, expiresAtMs: Date.parse('2030-01-31T00:00:00Z') });
    expect(await listKeys(path)).toEqual([
      { ...fields, expiresAtMs: Date.parse('2030-01-31T00:00:00Z'), sha256: digestOf(key).toString('hex') },
    ]);
    expect(await readFile(path, 'utf8')).not.toContain(key.slice(-43));
    expect((await stat(path)).mode & 0o077).toBe(0);
  });

  it('has an id once, and loses what is removed', async () => {
    await addKey(path, fields);
    await addKey(path, { ...fields, id: 'bob' });
    await expect(addKey(path, fields)).rejects.toThrow(/has a key alice already/);
    await removeKey(path, 'alice');
    expect((await listKeys(path)).map(({ id }) => id)).toEqual(['bob']);
    await expect(removeKey(path, 'alice')).rejects.toThrow(/has no key alice/);
    await expect(addKey(path, { ...fields, id: '../x' })).rejects.toThrow(/no name for a key/);
  });

  it.each([
    ['{', 'is not JSON'],
    ['[]', 'is not an object'],
    ['{}', 'keys'],
    ['{"keys":[{}]}', 'keys[0]: id'],
    ['{"keys":[{"id":"a","sha256":"00","scopes":[]}]}', 'sha256'],
    [`{"keys":[{"id":"a","sha256":"${'0'.repeat(64)}","scopes":["root"]}]}`, 'scopes'],
    [`{"keys":[{"id":"a","sha256":"${'0'.repeat(64)}","scopes":[],"scope":"read"}]}`, 'no such field'],
    [
      `{"keys":[{"id":"a","sha256":"${'0'.repeat(64)}","scopes":[],"limits":{"bytesPerMinute":-1}}]}`,
      'bytesPerMinute',
    ],
    [`{"keys":[{"id":"a","sha256":"${'0'.repeat(64)}","scopes":[],"expires":"soon"}]}`, 'expires'],
    [`{"keys":[{"id":"a","owner":"../b","sha256":"${'0'.repeat(64)}","scopes":[]}]}`, 'owner'],
  ])('says in one line what is wrong with %s', (text, part) => {
    expect(() => parseKeyFile(text, 'keys.json')).toThrow(part);
    expect(() => parseKeyFile(text, 'keys.json')).toThrow(/^keys\.json[^\n]*$/);
  });
});
