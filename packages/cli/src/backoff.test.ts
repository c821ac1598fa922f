import { describe, expect, it } from 'vitest';
import { createBackoff, RESTART_BACKOFF } from './backoff.ts';

describe('createBackoff', () => {
  it('doubles from 200 ms up to 5 s', () => {
    const backoff = createBackoff(RESTART_BACKOFF, () => 1);
    expect(Array.from({ length: 7 }, () => backoff.next(10))).toEqual([
      200, 400, 800, 1600, 3200, 5000, 5000,
    ]);
  });

  it('takes up to a quarter off, by chance', () => {
    const backoff = createBackoff(RESTART_BACKOFF, () => 0);
    expect(backoff.next(10)).toBe(150);
  });

  it('begins again after a life of 30 s', () => {
    const backoff = createBackoff(RESTART_BACKOFF, () => 1);
    backoff.next(10);
    backoff.next(10);
    expect(backoff.next(30_000)).toBe(200);
  });
});
