import { describe, expect, it } from 'vitest';
import { Outcomes } from './outcomes.ts';

describe('Outcomes', () => {
  it('says nothing bad of a replica that has done nothing', () => {
    expect(new Outcomes().summary()).toEqual({ successRate: 1, p50Ms: 0, p99Ms: 0 });
  });

  it('sums up the last hundred', () => {
    const outcomes = new Outcomes();
    for (let ms = 1; ms <= 250; ms++) outcomes.add(ms, ms % 4 !== 0);
    expect(outcomes.summary()).toEqual({ successRate: 0.75, p50Ms: 200, p99Ms: 249 });
  });
});
