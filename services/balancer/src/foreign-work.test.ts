import { expect, it } from 'vitest';
import { ForeignWork } from './foreign-work.ts';

it('counts for as long as calls take, then no more', () => {
  const foreign = new ForeignWork();
  foreign.worked(20);
  foreign.heard(3, 100);
  expect(foreign.at(119)).toBe(3);
  expect(foreign.at(120)).toBe(0);
  foreign.heard(1, 200);
  foreign.heard(0, 201);
  expect(foreign.at(202)).toBe(0);
});

it('takes nonsense for nothing', () => {
  const foreign = new ForeignWork();
  foreign.worked(20);
  for (const nonsense of [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY]) {
    foreign.heard(nonsense, 100);
    expect(foreign.at(101)).toBe(0);
  }
});
