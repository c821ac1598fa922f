/** Adds and removes keys. The file is replaced as a whole, so that whoever reads it never sees half of one. */
import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { ConfigError } from '@imagemesh/observe';
import { API_KEY_ID, digestOf, newApiKey } from './api-key.ts';
import { type KeyRecord, parseKeyFile } from './key-file.ts';

/** Makes a key, adds its record to the file, which is made if there is none, and returns the key. */
export async function addKey(path: string, fields: Omit<KeyRecord, 'sha256'>): Promise<string> {
  if (!API_KEY_ID.test(fields.id)) {
    throw new ConfigError(
      `${JSON.stringify(fields.id)} is no name for a key; expected 1 to 40 of a-z, 0-9 and -, not beginning with -`,
    );
  }
  const records = await listKeys(path);
  if (records.some(({ id }) => id === fields.id))
    throw new ConfigError(`${path} has a key ${fields.id} already; remove it first or choose another name`);
  const key = newApiKey(fields.id);
  await replaceFile(path, [...records, { ...fields, sha256: digestOf(key).toString('hex') }]);
  return key;
}

/** Throws ConfigError where there is no such key. */
export async function removeKey(path: string, keyId: string): Promise<void> {
  const records = await listKeys(path);
  const rest = records.filter(({ id }) => id !== keyId);
  if (rest.length === records.length) throw new ConfigError(`${path} has no key ${keyId}`);
  await replaceFile(path, rest);
}

/** The records of the file; none where there is no file. */
export async function listKeys(path: string): Promise<readonly KeyRecord[]> {
  try {
    return parseKeyFile(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

async function replaceFile(path: string, records: readonly KeyRecord[]): Promise<void> {
  const keys = records.map(({ id, owner, sha256, scopes, limits, expiresAtMs }) => ({
    id,
    ...(owner !== id && { owner }),
    sha256,
    scopes,
    ...(Object.keys(limits).length > 0 && { limits }),
    ...(expiresAtMs !== undefined && { expires: new Date(expiresAtMs).toISOString() }),
  }));
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  // Checked before it replaces anything.
  const text = `${JSON.stringify({ keys }, null, 2)}\n`;
  parseKeyFile(text, path);
  try {
    await writeFile(aside, text, { mode: 0o600, flag: 'wx' });
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}
