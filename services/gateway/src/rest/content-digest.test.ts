import { expect, it } from 'vitest';
import { readContentDigest } from './content-digest.ts';

const base64 = Buffer.alloc(32, 0xab).toString('base64');

it('reads a SHA-256, alone or beside others', () => {
  expect(readContentDigest(undefined)).toBeUndefined();
  expect(readContentDigest(`sha-256=:${base64}:`)).toBe('ab'.repeat(32));
  expect(readContentDigest(`sha-512=:AAAA:, sha-256=:${base64}:`)).toBe('ab'.repeat(32));
});

it.each(['', 'sha-256', `sha-256=${base64}`, 'md5=:AAAA:', `sha-256=:${base64.slice(4)}:`])(
  'refuses %j',
  (header) => {
    expect(() => readContentDigest(header)).toThrow('content-digest: must hold a sha-256');
  },
);
