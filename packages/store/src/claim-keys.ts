/**
 * The keys of claims. The only maker of them: owners and ids are checked against their strict forms first.
 *
 *     claims/ab/abcdef….<owner>.json              who holds which image
 *     listed/<owner>/71234/56/7123456789012-abcdef…  the same, newest first: ms until the year 2286, in folders of 28 h and 17 min
 */
import { isImageId } from './file-layout.ts';

const ownerPattern = /^[A-Za-z0-9_-]{1,64}$/;
const listedPattern = /^\d{5}\/\d{2}\/(\d{13})-([0-9a-f]{64})$/;
const lastMs = 9_999_999_999_999;

/** Undefined if no claim can have that owner or image. */
export function claimKey(owner: string, imageId: string): string | undefined {
  if (!ownerPattern.test(owner) || !isImageId(imageId)) return undefined;
  return `claims/${imageId.slice(0, 2)}/${imageId}.${owner}.json`;
}

export function listedKey(owner: string, imageId: string, createdMs: number): string {
  const until = String(lastMs - Math.min(lastMs, Math.max(0, Math.trunc(createdMs)))).padStart(13, '0');
  return `listed/${owner}/${until.slice(0, 5)}/${until.slice(5, 7)}/${until}-${imageId}`;
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
