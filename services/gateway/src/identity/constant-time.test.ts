/** What decides over secrets is compared in constant time, and for who is unknown as for who is known. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newApiKey } from '@imagemesh/keys';
import { expect, it, vi } from 'vitest';
import { createCheckSignature, signPath } from '../rest/signing.ts';
import { createEnter } from './enter.ts';
import { unlimited } from './usage.ts';

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof import('node:crypto')>();
  return { ...real, timingSafeEqual: vi.fn(real.timingSafeEqual) };
});

const compare = vi.mocked(timingSafeEqual);

/** How many comparisons it takes, each of 32 bytes with 32. */
function comparisonsOf(check: () => unknown): number {
  compare.mockClear();
  try {
    check();
  } catch {
    // A refusal, which is looked at elsewhere.
  }
  for (const [left, right] of compare.mock.calls)
    expect([left.byteLength, right.byteLength]).toEqual([32, 32]);
  return compare.mock.calls.length;
}

it('API keys: known, unknown, swapped and malformed take one comparison of digests', () => {
  const key = newApiKey('alice');
  const sha256 = createHash('sha256').update(key).digest('hex');
  const caller = { owner: 'alice', keyId: 'alice', scopes: new Set(['read'] as const), usage: unlimited };
  const known = {
    record: { id: 'alice', owner: 'alice', sha256, scopes: ['read'] as const, limits: {} },
    caller,
  };
  const find = (id: string) => (id === 'alice' ? known : undefined);
  const enter = createEnter({ find, close() {} }, { now: () => 0 });
  for (const given of [key, newApiKey('alice'), newApiKey('nobody'), key.slice(0, -1), 'x'])
    expect(
      comparisonsOf(() => enter({ 'x-api-key': given }, 'read')),
      given,
    ).toBe(1);
});

it('signatures of URLs: good and forged ones take one comparison of MACs', () => {
  const key = { id: 'k1', secret: randomBytes(32), owner: 'alice' };
  const check = createCheckSignature({ keys: () => [key], allowsUnsafe: false, now: () => 0 });
  const forged = `k1.${randomBytes(32).toString('base64url')}`;
  for (const signature of [signPath(key, '/x'), signPath(key, '/y'), forged])
    expect(comparisonsOf(() => check(signature, '/x'))).toBe(1);
});

it('nothing else compares a digest, a MAC, a token or a secret', async () => {
  const suspects =
    /\b\w*(?:digest|sha256|\bmac|token|secret|signature)\w*(?:\.\w+\([^)]*\))?\s*[!=]==(?!\s*(?:undefined|''|'string'|unsafe\b))/i;
  for (const line of ['if (mac === given)', 'record.sha256 !== digest', "key.secret.toString('hex') === x"])
    expect(line).toMatch(suspects);
  const root = join(import.meta.dirname, '../../../..');
  const found: string[] = [];
  for (const folder of [
    'services/gateway/src/identity',
    'services/gateway/src/rest',
    'services/balancer/src',
    'packages/keys/src',
  ]) {
    for (const file of await readdir(join(root, folder), { recursive: true })) {
      if (!file.endsWith('.ts') || file.includes('.test.')) continue;
      const lines = (await readFile(join(root, folder, file), 'utf8')).split('\n');
      for (const line of lines) if (suspects.test(line)) found.push(`${folder}/${file}: ${line.trim()}`);
    }
  }
  expect(found).toEqual([]);
});
