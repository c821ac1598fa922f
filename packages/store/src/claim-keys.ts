/**
 * The keys of claims. The only maker of them: owners and ids are checked against their strict forms first.
 *
 *     claims/ab/abcdef….<owner>.json              who holds which image
 *     listed/<owner>/71234/56/7123456789012-abcdef…  the same, newest first: by ms until the year 2286
 *     expiring/17123/45/1712345678901-abcdef….<owner>  claims that end, by when, in ms since the epoch
 *
 * The folders of times are 28 h and 17 min.
 */
import { isImageId } from './file-layout.ts';

const ownerPattern = /^[A-Za-z0-9_-]{1,64}$/;
const listedPattern = /^\d{5}\/\d{2}\/(\d{13})-([0-9a-f]{64})$/;
const expiringPattern = /^expiring\/\d{5}\/\d{2}\/(\d{13})-([0-9a-f]{64})\.([A-Za-z0-9_-]{1,64})$/;
const lastMs = 9_999_999_999_999;

/** Undefined if no claim can have that owner or image. */
export function claimKey(owner: string, imageId: string): string | undefined {
  if (!ownerPattern.test(owner) || !isImageId(imageId)) return undefined;
  return `claims/${imageId.slice(0, 2)}/${imageId}.${owner}.json`;
}

/** Of all claims on images whose ids begin with that byte. */
export function claimsFolder(shard: number): string {
  return `claims/${shard.toString(16).padStart(2, '0')}`;
}

/** The image of the claim. */
export function readClaimKey(key: string): string | undefined {
  return /^claims\/[0-9a-f]{2}\/([0-9a-f]{64})\./.exec(key)?.[1];
}

export function listedKey(owner: string, imageId: string, createdMs: number): string {
  return `listed/${owner}/${timeKey(lastMs - bounded(createdMs))}-${imageId}`;
}

export function expiringKey(owner: string, imageId: string, expireMs: number): string {
  return `expiring/${timeKey(bounded(expireMs))}-${imageId}.${owner}`;
}

export function readExpiringKey(
  key: string,
): { readonly owner: string; readonly imageId: string; readonly expireMs: number } | undefined {
  const [, expireMs, imageId, owner] = expiringPattern.exec(key) ?? [];
  if (imageId === undefined || owner === undefined) return undefined;
  return { owner, imageId, expireMs: Number(expireMs) };
}

function bounded(ms: number): number {
  return Math.min(lastMs, Math.max(0, Math.trunc(ms)));
}

function timeKey(ms: number): string {
  const digits = String(ms).padStart(13, '0');
  return `${digits.slice(0, 5)}/${digits.slice(5, 7)}/${digits}`;
}

/** The image that the key lists. */
export function readListedKey(key: string): string | undefined {
  const [, owner = '', ...place] = key.split('/');
  return ownerPattern.test(owner) ? listedPattern.exec(place.join('/'))?.[2] : undefined;
}

/** Whether it is the place of an image in a list of claims. */
export function isListPlace(text: string): boolean {
  return listedPattern.test(text);
}
