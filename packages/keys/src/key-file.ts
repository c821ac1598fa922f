/** The file of keys: JSON, without any secret. */
import { ConfigError } from '@imagemesh/observe';
import { API_KEY_ID } from './api-key.ts';

/** What a key may be allowed to do. `admin` draining replicas and everybody's jobs; each stands for itself. */
export const SCOPES = ['transform', 'upload', 'read', 'jobs', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** What a key may take; absent is not limited. Whole numbers from 1. */
export interface KeyLimits {
  /** Calls a second on average; ten seconds' worth may come at once. */
  readonly callsPerSecond?: number;
  /** Calls under way at once. */
  readonly concurrentCalls?: number;
  /** Encoded bytes of source images. */
  readonly bytesPerMinute?: number;
  /** Pixels of source images, by their headers, every frame counted. */
  readonly pixelsPerMinute?: number;
}

const limitNames = ['callsPerSecond', 'concurrentCalls', 'bytesPerMinute', 'pixelsPerMinute'] as const;

/** A key as the file has it. */
export interface KeyRecord {
  readonly id: string;
  /** Whose images and jobs it sees; several keys may have the same, to replace one by the next. */
  readonly owner: string;
  /** SHA-256 of the key, 64 hexadecimal digits. */
  readonly sha256: string;
  readonly scopes: readonly Scope[];
  readonly limits: KeyLimits;
  /** From when on it is refused, in ms since 1970; never if absent. */
  readonly expiresAtMs?: number;
}

const maxKeys = 10_000;
const known: ReadonlySet<string> = new Set(['id', 'owner', 'sha256', 'scopes', 'limits', 'expires']);

/** Throws ConfigError that names the place and what is wrong there, but no digest. */
export function parseKeyFile(text: string, path: string): readonly KeyRecord[] {
  const file = asObject(parseJson(text, path), path);
  if (!Array.isArray(file.keys)) throw wrong(path, 'keys', 'a list');
  if (file.keys.length > maxKeys) throw wrong(path, 'keys', `at most ${maxKeys} keys`);
  const records = file.keys.map((item: unknown, at) => parseRecord(item, `${path}: keys[${at}]`));
  const ids = new Set<string>();
  for (const { id } of records) {
    if (ids.has(id)) throw new ConfigError(`${path}: the id ${id} is there twice`);
    ids.add(id);
  }
  return records;
}

function parseRecord(item: unknown, place: string): KeyRecord {
  const record = asObject(item, place);
  const { id, owner = id, sha256, scopes, limits = {}, expires } = record;
  if (typeof id !== 'string' || !API_KEY_ID.test(id))
    throw wrong(place, 'id', '1 to 40 of a-z, 0-9 and -, beginning with none of -');
  const here = `${place} (${id})`;
  for (const name of Object.keys(record)) if (!known.has(name)) throw wrong(here, name, 'no such field');
  if (typeof owner !== 'string' || !API_KEY_ID.test(owner)) throw wrong(here, 'owner', 'the form of an id');
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
    throw wrong(here, 'sha256', '64 hexadecimal digits, as imagemesh keys add writes them');
  if (!Array.isArray(scopes) || !scopes.every(isScope))
    throw wrong(here, 'scopes', `of ${SCOPES.join(', ')}`);
  const expiresAtMs =
    expires === undefined ? undefined : typeof expires === 'string' ? Date.parse(expires) : Number.NaN;
  if (Number.isNaN(expiresAtMs)) throw wrong(here, 'expires', 'a time such as 2030-01-31T00:00:00Z');
  return {
    id,
    owner,
    sha256,
    scopes,
    limits: parseLimits(limits, here),
    ...(expiresAtMs !== undefined && { expiresAtMs }),
  };
}

function parseLimits(value: unknown, place: string): KeyLimits {
  const limits = asObject(value, `${place}: limits`);
  for (const [name, limit] of Object.entries(limits)) {
    if (!limitNames.some((each) => each === name)) throw wrong(`${place}: limits`, name, 'no such limit');
    if (!Number.isSafeInteger(limit) || Number(limit) < 1)
      throw wrong(`${place}: limits`, name, 'a whole number of at least 1');
  }
  // Checked above, name by name.
  return limits as KeyLimits;
}

function isScope(value: unknown): value is Scope {
  return SCOPES.some((scope) => scope === value);
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not the parser's own words: they quote the file.
    throw new ConfigError(`${path} is not JSON`);
  }
}

function asObject(value: unknown, place: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new ConfigError(`${place} is not an object`);
}

function wrong(place: string, field: string, expected: string): ConfigError {
  return new ConfigError(`${place}: ${field} is not as expected: ${expected}`);
}
