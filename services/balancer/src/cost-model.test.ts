import { seededRandom } from '@imagemesh/testkit';
import { describe, expect, it } from 'vitest';
import { CostModel } from './cost-model.ts';
import { Speed } from './speed.ts';

const resize = { kind: 'resize', saidMs: 10 };
const blur = { kind: 'blur', saidMs: 10 };

describe('CostModel', () => {
  it('takes what is said where nothing is known, and 20 ms where nothing is said', () => {
    const model = new CostModel();
    expect(model.estimate(resize)).toBe(10);
    expect(model.estimate({ kind: 'resize', saidMs: undefined })).toBe(20);
  });

  it('learns how operations compare, while the speed of the replica is learned', () => {
    const model = new CostModel();
    const speed = new Speed();
    const rng = seededRandom(1);
    const trueSpeed = 1.7;
    for (let call = 0; call < 3000; call++) {
      const [question, workMs] = rng() < 0.5 ? ([resize, 10] as const) : ([blur, 40] as const);
      const execMs = (workMs / trueSpeed) * Math.exp(0.3 * (rng() - 0.5));
      const before = speed.at(call, 1);
      speed.learn(model.estimate(question), execMs, call);
      model.learn(question, execMs, before);
    }
    const ratio = model.estimate(blur) / model.estimate(resize);
    expect(ratio).toBeGreaterThan(3.5);
    expect(ratio).toBeLessThan(4.5);
    // Right on the average: the speed takes the rest.
    const mean = Math.sqrt(model.estimate(blur) * model.estimate(resize));
    expect(mean).toBeGreaterThan(8);
    expect(mean).toBeLessThan(12.5);
    const predictedMs = model.estimate(blur) / speed.at(3000, 1);
    expect(predictedMs).toBeGreaterThan(40 / trueSpeed / 1.25);
    expect(predictedMs).toBeLessThan((40 / trueSpeed) * 1.25);
  });

  it('learns what calls take that say nothing', () => {
    const model = new CostModel();
    const mute = { kind: 'thumbnail', saidMs: undefined };
    for (let call = 0; call < 200; call++) {
      model.learn(mute, 5, 1);
      for (let other = 0; other < 4; other++) model.learn(resize, 10, 1);
    }
    const ratio = model.estimate(mute) / model.estimate(resize);
    expect(ratio).toBeGreaterThan(0.45);
    expect(ratio).toBeLessThan(0.6);
  });

  it('keeps sizes apart', () => {
    const model = new CostModel();
    for (let call = 0; call < 100; call++) {
      model.learn({ kind: 'resize', saidMs: 2 }, 6, 1);
      model.learn({ kind: 'resize', saidMs: 200 }, 200, 1);
    }
    const small = model.estimate({ kind: 'resize', saidMs: 2 }) / 2;
    const large = model.estimate({ kind: 'resize', saidMs: 200 }) / 200;
    expect(small / large).toBeGreaterThan(2.5);
  });

  it('is moved by no nonsense, and little by one outlier', () => {
    const model = new CostModel();
    for (let call = 0; call < 50; call++) model.learn(resize, 10, 1);
    for (const nonsense of [Number.NaN, 0, -1, Number.POSITIVE_INFINITY]) model.learn(resize, nonsense, 1);
    expect(model.estimate(resize)).toBeCloseTo(10);
    model.learn(resize, 1e9, 1);
    expect(model.estimate(resize)).toBeLessThan(14);
  });

  it('forgets the kinds not seen for longest', () => {
    const model = new CostModel();
    for (let kind = 0; kind < 1500; kind++) {
      model.learn({ kind: `kind-${kind}`, saidMs: 10 }, kind < 100 ? 100 : 10, 1);
    }
    expect(model.estimate({ kind: 'kind-0', saidMs: 10 })).toBe(10);
  });
});
