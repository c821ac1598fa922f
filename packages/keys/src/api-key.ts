/**
 * An API key is `im_<id>_<secret>`: the id is public and finds the key's record, the secret is 32 random bytes.
 *
 * What is kept of a key is its SHA-256. Slow hashes (bcrypt, argon2) are for passwords, which can be guessed; 256 random
 * bits cannot, so a fast one keeps them as safe, and checking a key costs a call nothing.
 */
import { createHash, randomBytes } from 'node:crypto';

/** What an id may be; also a claim's owner, hence a file name. */
export const API_KEY_ID = /^[a-z0-9][a-z0-9-]{0,39}$/;

const form = /^im_([a-z0-9][a-z0-9-]{0,39})_[A-Za-z0-9_-]{43}$/;

export interface ApiKeyParts {
  readonly id: string;
  /** SHA-256 of the whole key. */
  readonly digest: Buffer;
}

/** A fresh key for the id. Shown once, kept nowhere. */
export function newApiKey(id: string): string {
  return `im_${id}_${randomBytes(32).toString('base64url')}`;
}

/** The id and digest of what looks like a key; undefined for anything else. */
export function parseApiKey(text: string): ApiKeyParts | undefined {
  const id = form.exec(text)?.[1];
  return id === undefined ? undefined : { id, digest: digestOf(text) };
}

export function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
