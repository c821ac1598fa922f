import { WorkerKind } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import { type HedgeQuestion, type HedgeView, hedgePlace, isOverdue } from './hedge.ts';

const needs = { worker: WorkerKind.RESIZE, operations: ['resize'], storeId: undefined, key: '' };

const run: HedgeQuestion = {
  startedMs: 0,
  predictedMs: 20,
  costMs: 20,
  needs,
  excluded: new Set(),
  replicaKey: 1,
  hostId: 'here',
};

function view(key: number, overrides: Partial<HedgeView> = {}): HedgeView {
  return {
    key,
    worker: WorkerKind.RESIZE,
    operations: new Set(['resize']),
    storeId: '',
    hostId: 'there',
    isCandidate: true,
    credits: 2,
    inFlight: 0,
    running: [],
    speed: 1,
    isRunningAlone: false,
    ...overrides,
  };
}

describe('isOverdue', () => {
  it('is when it took twice the prediction and 30 ms more, where predictions are good', () => {
    expect(isOverdue(run, 50, 0.1)).toBe(false);
    expect(isOverdue(run, 51, 0.1)).toBe(true);
    expect(isOverdue({ startedMs: 0, predictedMs: 100 }, 200, 0.1)).toBe(false);
    expect(isOverdue({ startedMs: 0, predictedMs: 100 }, 201, 0.1)).toBe(true);
  });

  it('waits longer where predictions are bad', () => {
    expect(isOverdue({ startedMs: 0, predictedMs: 100 }, 400, 0.5)).toBe(false);
    expect(isOverdue({ startedMs: 0, predictedMs: 100 }, 449, 0.5)).toBe(true);
  });
});

it('nothing is overdue where predictions say nothing', () => {
  expect(isOverdue(run, 1e9, 0.69)).toBe(true);
  expect(isOverdue(run, 1e9, 0.71)).toBe(false);
});

describe('hedgePlace', () => {
  const at = (views: readonly HedgeView[], nowMs = 100, question = run) =>
    hedgePlace(question, views, nowMs, 0.1)?.key;

  it('is nowhere before the call is overdue', () => {
    expect(at([view(2)], 50)).toBeUndefined();
    expect(at([view(2)], 60)).toBe(2);
  });

  it('is where it ends first', () => {
    expect(at([view(2), view(3, { speed: 2 }), view(4)])).toBe(3);
  });

  it('is on another host if one has a slot', () => {
    expect(at([view(2, { hostId: 'here', speed: 4 }), view(3)])).toBe(3);
    expect(at([view(2, { hostId: 'here' })])).toBe(2);
  });

  it('is nowhere that cannot run it now', () => {
    expect(at([view(1)])).toBeUndefined();
    expect(at([view(2, { inFlight: 2 })])).toBeUndefined();
    expect(at([view(2, { isCandidate: false })])).toBeUndefined();
    expect(at([view(2, { isRunningAlone: true })])).toBeUndefined();
    expect(at([view(2, { operations: new Set() })])).toBeUndefined();
    expect(at([view(2)], 100, { ...run, excluded: new Set([2]) })).toBeUndefined();
  });

  it('is nowhere that would take longer than the rest is expected to', () => {
    expect(at([view(2, { speed: 0.3 })], 100)).toBeUndefined();
    expect(at([view(2, { speed: 0.3 })], 200)).toBe(2);
  });
});
