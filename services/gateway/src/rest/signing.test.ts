import { ImageUrls } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import { createCheckSignature, imageUrlsOf, parseSigningKeys, signPath } from './signing.ts';

const secret = (digit: string) => digit.repeat(64);
const keys = parseSigningKeys(`# keys\nold ${secret('a')} alice # till May\n\nnew ${secret('b')}\n`, 'keys');
const [old, young] = keys;
if (old === undefined || young === undefined) throw new Error('two keys were given');
const rest = `/resize:10x10/${'0'.repeat(64)}.webp`;
let nowMs = 1_000_000;
const check = createCheckSignature({ keys: () => keys, allowsUnsafe: false, now: () => nowMs });

describe('a signature', () => {
  it('is good for its path, under each key, for the owner of the key', () => {
    expect(check(signPath(old, rest), rest)).toEqual({ owner: 'alice', expireMs: undefined });
    expect(check(signPath(young, rest), rest)).toEqual({ owner: 'anonymous', expireMs: undefined });
  });

  it('is good until it expires', () => {
    const signature = signPath(old, rest, 1001);
    expect(check(signature, rest)).toEqual({ owner: 'alice', expireMs: 1_001_000 });
    nowMs = 1_001_000;
    expect(() => check(signature, rest)).toThrow('expired');
    nowMs = 1_000_000;
  });

  it('is no good for anything else', () => {
    const signature = signPath(old, rest, 1001);
    const [id, expiry, mac] = signature.split('.');
    for (const [forged, path] of [
      [signature, rest.replace('10x10', '10x11')],
      [`${id}.9999.${mac}`, rest],
      [`${id}.${mac}`, rest],
      [`new.${expiry}.${mac}`, rest],
      [`constructor.${expiry}.${mac}`, rest],
      [signature.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')), rest],
      [signature.slice(0, -1), rest],
      ['unsafe', rest],
      ['', rest],
    ] as const) {
      expect(() => check(forged, path), forged).toThrow(
        expect.objectContaining({ reason: 'SIGNATURE_INVALID' }),
      );
    }
    expect(check(signature, rest).owner).toBe('alice');
  });

  it('is written in one way: the bits to spare of its last digit are 0', () => {
    const signature = signPath(old, rest);
    const mac = Buffer.from(signature.slice(-43), 'base64url');
    const same = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
      .map((last) => signature.slice(0, -1) + last)
      .filter((other) => Buffer.from(other.slice(-43), 'base64url').equals(mac));
    expect(same).toHaveLength(4);
    const good = same.filter((other) => {
      try {
        return check(other, rest).owner === 'alice';
      } catch {
        return false;
      }
    });
    expect(good).toEqual([signature]);
  });

  it('is the same elsewhere: HMAC-SHA256 of key, expiry and path', () => {
    expect(signPath(old, '/x', 5)).toMatch(/^old\.5\.[A-Za-z0-9_-]{43}$/);
  });

  it('may be left out where that is allowed', () => {
    const open = createCheckSignature({ keys: () => [], allowsUnsafe: true, now: () => nowMs });
    expect(open('unsafe', rest)).toEqual({ owner: 'anonymous', expireMs: undefined });
  });

  it('is announced as it is wanted', () => {
    const now = () => nowMs;
    expect(imageUrlsOf({ keys: () => [], allowsUnsafe: false, now })).toBe(ImageUrls.NONE);
    expect(imageUrlsOf({ keys: () => keys, allowsUnsafe: false, now })).toBe(ImageUrls.SIGNED);
    expect(imageUrlsOf({ keys: () => keys, allowsUnsafe: true, now })).toBe(ImageUrls.UNSAFE);
  });
});

it.each([
  ['a', 'keys:1: the secret'],
  [`a ${secret('a')}\na ${secret('b')}`, 'keys:2: the id a is there already'],
  [`a ${secret('a').slice(2)}`, 'keys:1: the secret must be 32 bytes or more'],
  [`unsafe ${secret('a')}`, 'keys:1: "unsafe" is no id'],
  [`a ${secret('a')} ../x`, 'keys:1: "../x" is no owner'],
  [`a ${secret('a')} b c`, 'keys:1: a line has'],
])('refuses the file of keys %#, and names the line', (text, message) => {
  expect(() => parseSigningKeys(text, 'keys')).toThrow(message);
});
