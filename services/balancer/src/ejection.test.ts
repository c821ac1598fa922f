import { describe, expect, it } from 'vitest';
import { Ejection, maySpare } from './ejection.ts';

const middle = () => 0.5;

function after(outcomes: string): Ejection {
  const ejection = new Ejection();
  for (const outcome of outcomes) {
    if (outcome === '+') ejection.succeeded();
    else ejection.failed();
  }
  return ejection;
}

describe('Ejection', () => {
  it.each([
    ['---', true],
    ['--', false],
    ['-+-+-+-+-', true],
    ['+-+-+-++-', false],
    ['---+', false],
    ['-----+', true],
    [`-----${'+'.repeat(6)}`, false],
  ])('after %s: %s', (outcomes, isDue) => {
    expect(after(outcomes).isDue).toBe(isDue);
  });

  it('lasts a second, doubling up to thirty, until it behaves', () => {
    const ejection = after('---');
    const lengths: number[] = [];
    for (let nowMs = 0; lengths.length < 7; nowMs += 100_000) {
      lengths.push(ejection.begin(nowMs, middle));
      ejection.failed();
      expect(ejection.isDue).toBe(true);
    }
    expect(lengths).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    for (let call = 0; call < 20; call++) ejection.succeeded();
    expect(ejection.begin(1e6, middle)).toBe(1000);
    expect(ejection.isOut(1e6 + 999)).toBe(true);
    expect(ejection.isOut(1e6 + 1000)).toBe(false);
  });

  it('ends spread by a fifth', () => {
    expect(after('---').begin(0, () => 0)).toBe(800);
    expect(after('---').begin(0, () => 0.999)).toBeCloseTo(1200, -1);
  });

  it('a fault that is forgiven does not count, and lets the replica in that it put out', () => {
    const ejection = after('--');
    ejection.failed();
    ejection.forgive();
    expect(ejection.isDue).toBe(false);
    ejection.failed();
    ejection.begin(0, middle);
    ejection.forgive();
    expect(ejection.isOut(1)).toBe(false);
  });
});

it('at least half of the capacity stays', () => {
  expect(maySpare(1, 0, 2)).toBe(true);
  expect(maySpare(1, 1, 3)).toBe(false);
  expect(maySpare(1, 0, 1)).toBe(false);
  expect(maySpare(3, 0, 4)).toBe(false);
});
