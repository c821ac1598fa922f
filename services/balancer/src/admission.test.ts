import { WorkerKind } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import { earliestEndMs } from './admission.ts';
import type { ReplicaView, WaitingCall } from './dispatch.ts';

const needs = { worker: WorkerKind.RESIZE, operations: [], storeId: undefined, key: 'plain' };

function call(id: number, costMs: number, key = 'plain'): WaitingCall {
  return {
    id,
    order: id,
    callClass: 'default',
    needs: { ...needs, key },
    costMs,
    excluded: new Set(),
    isAlone: false,
  };
}

/** Each running call has so much still to do. */
function replica(speed: number, credits: number, ...running: number[]): ReplicaView {
  return {
    key: speed * 100 + credits,
    worker: WorkerKind.RESIZE,
    operations: new Set(),
    storeId: '',
    isCandidate: true,
    credits,
    inFlight: running.length,
    running: running.map((costMs) => ({ costMs, startedMs: 0 })),
    speed,
    isRunningAlone: false,
  };
}

function endOf(waiting: WaitingCall[], replicas: ReplicaView[]): number | undefined {
  const last = waiting.at(-1);
  if (last === undefined) throw new Error('nothing waits');
  return earliestEndMs(last, { nowMs: 0, spread: 0.15, waiting, replicas });
}

describe('earliestEndMs', () => {
  it('is the end of what runs and of the call itself', () => {
    expect(endOf([call(1, 10)], [replica(1, 1, 40)])).toBe(50);
    expect(endOf([call(1, 10)], [replica(2, 1, 40)])).toBe(25);
  });

  it('counts the work before it, on all slots as they become free', () => {
    expect(endOf([call(1, 100), call(2, 10)], [replica(1, 1, 40)])).toBe(150);
    // From 40 to 60 one slot does 20, then two do the other 80 in 40.
    expect(endOf([call(1, 100), call(2, 10)], [replica(1, 1, 40), replica(1, 1, 60)])).toBe(110);
  });

  it('counts only calls that need the same, and are before it', () => {
    const waiting = [call(1, 1000, 'other'), call(2, 10)];
    expect(endOf(waiting, [replica(1, 1, 40)])).toBe(50);
  });

  it('says nothing while a slot is free, or none is known', () => {
    expect(endOf([call(1, 1e6)], [replica(1, 2, 40)])).toBeUndefined();
    expect(endOf([call(1, 10)], [])).toBeUndefined();
    expect(endOf([call(1, 10)], [{ ...replica(1, 1, 5), isCandidate: false }])).toBeUndefined();
  });
});
