/**
 * Signed URLs: an HMAC-SHA256 of the path, under a key that speaks for one owner of images. Whoever has the URL may see that
 * one result, as long as it does not expire and the key stays in the file. See docs/urls.md.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ImageUrls } from '@imagemesh/api';
import { ConfigError } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { ANONYMOUS } from '@imagemesh/store';
import { type FollowSettings, openSettingFile } from '../setting-file.ts';

export interface SigningKey {
  /** 1 to 32 of A-Z a-z 0-9 _ -. */
  readonly id: string;
  readonly secret: Buffer;
  /** Whose images it shares. */
  readonly owner: string;
}

/** Whose images the URL may show, and until when, in ms since the epoch. */
export interface Grant {
  readonly owner: string;
  readonly expireMs: number | undefined;
}

/** Checks `signature` for the rest of the path, which begins with a slash. SIGNATURE_INVALID, SIGNATURE_EXPIRED. */
export type CheckSignature = (signature: string, rest: string) => Grant;

export const minSecretBytes = 32;
export const maxSigningKeys = 64;

/** `<key id>.<mac>`, or `<key id>.<expiry in seconds since the epoch>.<mac>`; the mac in base64url. */
const signaturePattern = /^([A-Za-z0-9_-]{1,32})\.(?:(\d{1,12})\.)?([A-Za-z0-9_-]{43})$/;

/** What stands for a signature where URLs need none. */
const unsafe = 'unsafe';

export interface SigningKeys {
  readonly current: readonly SigningKey[];
  close(): void;
}

/** The keys of the file, now; none for an empty path. ConfigError with the line. */
export async function openSigningKeys(path: string, settings: FollowSettings): Promise<SigningKeys> {
  if (path === '') return { current: [], close: () => {} };
  return openSettingFile(path, { load: readSigningKeys, name: 'keys that sign URLs', ...settings });
}

export interface SigningOptions {
  /** Those that hold now: asked for each URL. */
  readonly keys: () => readonly SigningKey[];
  /** Whether URLs without a signature are answered, with images of everybody's. */
  readonly allowsUnsafe: boolean;
  readonly now: () => number;
}

export function createCheckSignature({ keys, allowsUnsafe, now }: SigningOptions): CheckSignature {
  return (signature, rest) => {
    if (signature === unsafe && allowsUnsafe) return { owner: ANONYMOUS, expireMs: undefined };
    const [, keyId = '', expiry, mac = ''] = signaturePattern.exec(signature) ?? [];
    const key = keys().find(({ id }) => id === keyId);
    if (key === undefined || !isMac(key, expiry, rest, mac)) {
      throw new MeshError('SIGNATURE_INVALID', 'the signature of the URL is not that of its path');
    }
    const expireMs = expiry === undefined ? undefined : Number(expiry) * 1000;
    if (expireMs !== undefined && now() >= expireMs) {
      throw new MeshError('SIGNATURE_EXPIRED', 'the URL has expired', { metadata: { expiry: expiry ?? '' } });
    }
    return { owner: key.owner, expireMs };
  };
}

/** What URLs need now, as the catalogue says it. */
export function imageUrlsOf({ keys, allowsUnsafe }: SigningOptions): ImageUrls {
  if (allowsUnsafe) return ImageUrls.UNSAFE;
  return keys().length > 0 ? ImageUrls.SIGNED : ImageUrls.NONE;
}

/** The signature for the rest of the path, which begins with a slash. */
export function signPath({ id, secret }: SigningKey, rest: string, expirySeconds?: number): string {
  const expiry = expirySeconds === undefined ? undefined : String(expirySeconds);
  const prefix = expiry === undefined ? id : `${id}.${expiry}`;
  return `${prefix}.${macOf(secret, prefix, rest).toString('base64url')}`;
}

function isMac(key: SigningKey, expiry: string | undefined, rest: string, mac: string): boolean {
  const prefix = expiry === undefined ? key.id : `${key.id}.${expiry}`;
  const given = Buffer.from(mac, 'base64url');
  // The last digit has two bits to spare: one way of writing it counts, so that a result has one URL in caches.
  if (given.toString('base64url') !== mac) return false;
  const expected = macOf(key.secret, prefix, rest);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function macOf(secret: Buffer, prefix: string, rest: string): Buffer {
  return createHmac('sha256', secret).update(`${prefix}${rest}`).digest();
}

/** Reads the file of keys: one a line, `<id> <secret in hexadecimal> [<owner>]`; # begins a comment. ConfigError with the line. */
export async function readSigningKeys(path: string): Promise<readonly SigningKey[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(`SIGNING_KEYS_FILE: ${path} cannot be read`, { cause });
  });
  return parseSigningKeys(text, path);
}

export function parseSigningKeys(text: string, path: string): readonly SigningKey[] {
  const keys = new Map<string, SigningKey>();
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.replace(/#.*/, '').trim().split(/\s+/);
    if (words.length === 1 && words[0] === '') continue;
    const wrong = (what: string) => new ConfigError(`SIGNING_KEYS_FILE: ${path}:${index + 1}: ${what}`);
    const [id = '', secret = '', owner = ANONYMOUS, ...more] = words;
    if (more.length > 0) throw wrong('a line has an id, a secret and an owner');
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(id) || id === unsafe) throw wrong(`"${id}" is no id of a key`);
    if (!/^(?:[0-9a-fA-F]{2})+$/.test(secret) || secret.length < 2 * minSecretBytes)
      throw wrong(`the secret must be ${minSecretBytes} bytes or more, in hexadecimal`);
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(owner)) throw wrong(`"${owner}" is no owner`);
    if (keys.has(id)) throw wrong(`the id ${id} is there already`);
    if (keys.size >= maxSigningKeys) throw wrong(`there may be ${maxSigningKeys} keys`);
    keys.set(id, { id, secret: Buffer.from(secret, 'hex'), owner });
  }
  return [...keys.values()];
}
