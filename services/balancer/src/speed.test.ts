import { describe, expect, it } from 'vitest';
import { Speed, typicalSpeed, typicalSpread } from './speed.ts';

describe('Speed', () => {
  it('is typical where nothing is known', () => {
    const speed = new Speed();
    expect(speed.learned).toBeUndefined();
    expect(speed.at(0, 2)).toBe(2);
  });

  it('is the first sample, then follows a change within two dozen', () => {
    const speed = new Speed();
    speed.learn(40, 20, 0);
    expect(speed.learned).toBeCloseTo(2);
    for (let call = 0; call < 20; call++) speed.learn(40, 20, 0);
    for (let call = 0; call < 24; call++) speed.learn(40, 400, 0);
    expect(speed.learned).toBeLessThan(0.2);
    expect(speed.learned).toBeGreaterThan(0.1);
  });

  it("begins with the replica's own word, which counts as one call", () => {
    const speed = new Speed();
    speed.begin(0, 0);
    expect(speed.learned).toBeUndefined();
    speed.begin(0.25, 0);
    expect(speed.learned).toBeCloseTo(0.25);
    speed.learn(10, 10, 0);
    expect(speed.learned).toBeCloseTo(0.5);
    speed.begin(8, 0);
    expect(speed.learned).toBeCloseTo(0.5);
  });

  it('is not thrown off by one sample, nor by one that says nothing', () => {
    const speed = new Speed();
    for (let call = 0; call < 50; call++) speed.learn(10, 10, 0);
    speed.learn(10, 1e9, 0);
    expect(speed.learned).toBeGreaterThan(0.7);
    const before = speed.learned;
    for (const [cost, exec] of [
      [10, 0],
      [10, Number.NaN],
      [0, 10],
      [-1, 5],
      [10, Number.POSITIVE_INFINITY],
    ] as const) {
      speed.learn(cost, exec, 0);
    }
    expect(speed.learned).toBe(before);
  });

  it('ages towards what is typical', () => {
    const speed = new Speed();
    speed.learn(1, 16, 0);
    expect(speed.at(0, 1)).toBeCloseTo(1 / 16);
    expect(speed.at(10_000, 1)).toBeCloseTo(1 / 4);
    expect(speed.at(1e6, 1)).toBeCloseTo(1);
  });
});

describe('learnAtMost', () => {
  const late = (times: number) => {
    const speed = new Speed();
    for (let call = 0; call < 20; call++) speed.learn(10, 10, 0);
    for (let time = 0; time < times; time++) speed.learnAtMost(10, 100, 0);
    return speed;
  };

  it('holds at once, and fades', () => {
    expect(late(1).at(0, 1)).toBeCloseTo(0.1);
    expect(late(1).at(300, 1)).toBeCloseTo(Math.sqrt(0.1));
    expect(late(1).at(20_000, 1)).toBeCloseTo(1, 2);
  });

  it('fades slower each time', () => {
    expect(late(3).at(1200, 1)).toBeCloseTo(Math.sqrt(0.1));
    expect(late(50).at(30_000, 1)).toBeCloseTo(Math.sqrt(0.1));
  });

  it('is over with the next success', () => {
    const speed = late(3);
    speed.learn(10, 10, 1);
    expect(speed.at(1, 1)).toBeCloseTo(1);
  });

  it('makes nobody faster, and teaches nothing of what is typical', () => {
    const speed = new Speed();
    speed.learnAtMost(10, 1, 0);
    expect(speed.at(0, 1)).toBe(1);
    expect(speed.learned).toBeUndefined();
  });
});

it('typical is the geometric mean of what is known', () => {
  expect(typicalSpeed([1, undefined, 4])).toBeCloseTo(2);
  expect(typicalSpeed([])).toBe(1);
});

it('knows how far predictions are off, and moves less where they are', () => {
  const [good, bad] = [new Speed(), new Speed()];
  for (let call = 0; call < 200; call++) {
    good.learn(10, 10 * 1.1 ** (call % 2 === 0 ? 1 : -1), 0);
    bad.learn(10, 10 * 4 ** (call % 2 === 0 ? 1 : -1), 0);
  }
  expect(good.spread).toBeCloseTo(Math.log(1.1), 1);
  expect(bad.spread).toBeGreaterThan(1);
  const before = [good.learned ?? 0, bad.learned ?? 0] as const;
  for (const speed of [good, bad]) speed.learn(10, 10 / (2 * (speed.learned ?? 1)), 0);
  expect((bad.learned ?? 0) / before[1]).toBeLessThan((good.learned ?? 0) / before[0]);
  expect(typicalSpread([0.1, undefined, 3, 0.2])).toBe(0.2);
  expect(typicalSpread([])).toBe(0.15);
});
