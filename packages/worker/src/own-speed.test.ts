import { describe, expect, it } from 'vitest';
import { createOwnSpeed } from './own-speed.ts';

describe('the own speed', () => {
  it('is 0 until a call has told', () => {
    const speed = createOwnSpeed();
    for (const [costMs, execMs] of [
      [Number.NaN, 10],
      [10, 0],
      [-1, 10],
      [10, Number.POSITIVE_INFINITY],
    ] as const)
      speed.worked(costMs, execMs);
    expect(speed.value).toBe(0);
    speed.worked(40, 20);
    expect(speed.value).toBeCloseTo(2);
  });

  it('follows a change, but not one call', () => {
    const speed = createOwnSpeed();
    for (let call = 0; call < 20; call++) speed.worked(10, 10);
    speed.worked(10, 100);
    expect(speed.value).toBeGreaterThan(0.7);
    for (let call = 0; call < 40; call++) speed.worked(10, 100);
    expect(speed.value).toBeCloseTo(0.1, 1);
  });
});
