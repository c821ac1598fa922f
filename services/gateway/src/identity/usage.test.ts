import type { KeyLimits } from '@imagemesh/keys';
import type { MeshError } from '@imagemesh/rpc';
import { describe, expect, it } from 'vitest';
import { createTokenBucket } from './token-bucket.ts';
import { createUsage } from './usage.ts';

let nowMs = 0;
const usage = (limits: KeyLimits) => createUsage('alice', limits, () => nowMs);

function refusal(run: () => unknown): MeshError {
  try {
    run();
  } catch (error) {
    // What a usage throws.
    return error as MeshError;
  }
  throw new Error('was let in');
}

describe('a token bucket', () => {
  it('lets in no more on average than its rate, whatever the pattern', () => {
    const bucket = createTokenBucket({ perSecond: 7, capacity: 20 }, 0);
    let taken = 0;
    for (let at = 0; at < 60_000; at += 13) {
      if (bucket.waitMs(at) > 0) continue;
      bucket.take(3, at);
      taken += 3;
    }
    expect(taken).toBeGreaterThan(7 * 60 - 3);
    expect(taken).toBeLessThanOrEqual(20 + 7 * 60 + 3);
  });

  it('lets in what is larger than itself, and says exactly how long that takes to pay', () => {
    const bucket = createTokenBucket({ perSecond: 10, capacity: 10 }, 0);
    bucket.take(110, 0);
    const waitMs = bucket.waitMs(0);
    expect(waitMs).toBe(10_100);
    expect(bucket.waitMs(waitMs - 150)).toBeGreaterThan(0);
    expect(bucket.waitMs(waitMs)).toBe(0);
  });
});

describe('usage of a key', () => {
  it('is without bounds where it has no limits', () => {
    const free = usage({});
    for (let i = 0; i < 10_000; i++) {
      free.begin();
      free.image({ bytes: 1e12, pixels: 1e12 });
    }
  });

  it('lets ten seconds of calls come at once, then says when the next may', () => {
    const limited = usage({ callsPerSecond: 2 });
    for (let i = 0; i < 20; i++) limited.begin()();
    const error = refusal(limited.begin);
    expect(error).toMatchObject({
      reason: 'QUOTA_EXCEEDED',
      code: 'resource_exhausted',
      metadata: { key: 'alice', limit: 'callsPerSecond', limit_value: '2' },
      quota: { subject: 'key:alice', description: 'callsPerSecond is 2' },
    });
    nowMs += error.retryAfterMs ?? 0;
    limited.begin()();
  });

  it('counts calls under way, each end once', () => {
    const limited = usage({ concurrentCalls: 2 });
    const end = limited.begin();
    limited.begin();
    expect(refusal(limited.begin).metadata.limit).toBe('concurrentCalls');
    end();
    end();
    limited.begin();
    expect(refusal(limited.begin).metadata.limit).toBe('concurrentCalls');
  });

  it('charges bytes and pixels, both or neither', () => {
    const limited = usage({ bytesPerMinute: 600, pixelsPerMinute: 6000 });
    limited.image({ bytes: 100, pixels: 7000 });
    expect(refusal(() => limited.image({ bytes: 100 })).metadata.limit).toBe('pixelsPerMinute');
    expect(refusal(limited.check).metadata.limit).toBe('pixelsPerMinute');
    nowMs += 11_000;
    limited.image({ bytes: 700 });
    expect(refusal(limited.check).metadata.limit).toBe('bytesPerMinute');
  });
});
