/** ULIDs (https://github.com/ulid/spec): 26 characters, ordered by time, then at random. */
import { randomBytes } from 'node:crypto';

/** Crockford's base 32: no I, L, O, U. */
const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const timeDigits = 10;
const randomDigits = 16;
const pattern = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

export function isUlid(text: string): boolean {
  return pattern.test(text);
}

/** A maker of ULIDs, each greater than the one before, also within one millisecond or if the clock steps back. */
export function createUlids(
  now: () => number = Date.now,
  rng: (count: number) => Uint8Array = randomBytes,
): () => string {
  let lastMs = -1;
  let tail: number[] = [];
  return () => {
    const ms = now();
    if (ms > lastMs) {
      lastMs = ms;
      // 256 is a multiple of 32, so the remainder is not biased.
      tail = Array.from(rng(randomDigits), (byte) => byte % 32);
    } else if (!increment(tail)) {
      // 2^80 in one millisecond: only a seeded rng gets here.
      lastMs += 1;
      tail = new Array<number>(randomDigits).fill(0);
    }
    return encodeTime(lastMs) + tail.map((digit) => digits[digit]).join('');
  };
}

/** When a ULID was made, in ms since the epoch. */
export function ulidTime(ulid: string): number {
  let ms = 0;
  for (const digit of ulid.slice(0, timeDigits)) ms = ms * 32 + digits.indexOf(digit);
  return ms;
}

/** Adds one to the number in base 32; false on overflow. */
function increment(number: number[]): boolean {
  for (let at = number.length - 1; at >= 0; at -= 1) {
    const digit = number[at] ?? 0;
    if (digit < 31) {
      number[at] = digit + 1;
      return true;
    }
    number[at] = 0;
  }
  return false;
}

function encodeTime(ms: number): string {
  let rest = ms;
  let text = '';
  for (let at = 0; at < timeDigits; at += 1) {
    text = digits.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
