import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { QueueStatusSchema, ReplicaSchema, ReplicaState, WorkerKind } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import { mergeListings } from './merge-replicas.ts';

const { RESIZE, FILTER } = WorkerKind;

function replica(replicaId: string, fields: object = {}) {
  return create(ReplicaSchema, { replicaId, worker: RESIZE, state: ReplicaState.READY, slots: 1, ...fields });
}

describe('mergeListings', () => {
  it('lists replicas by id and queues by balancer', () => {
    const merged = mergeListings([
      {
        replicas: [replica('b'), replica('a')],
        queues: [create(QueueStatusSchema, { balancerId: '2', worker: RESIZE })],
      },
      { replicas: [], queues: [create(QueueStatusSchema, { balancerId: '1', worker: FILTER })] },
    ]);
    expect(merged.replicas.map(({ replicaId }) => replicaId)).toEqual(['a', 'b']);
    expect(merged.queues.map(({ balancerId }) => balancerId)).toEqual(['1', '2']);
  });

  it('adds up what each balancer counts and keeps the worst state', () => {
    const one = replica('a', {
      balancerIds: ['b1'],
      inFlight: 2,
      completed: 10n,
      failed: 1n,
      p50Ms: 5,
      cpuCores: 0.5,
      lastReportTime: timestampFromMs(1000),
      joinTime: timestampFromMs(500),
    });
    const two = replica('a', {
      balancerIds: ['b2'],
      inFlight: 3,
      completed: 90n,
      p50Ms: 7,
      state: ReplicaState.SUSPECT,
      lastError: 'late',
      cpuCores: 0.9,
      lastReportTime: timestampFromMs(2000),
      joinTime: timestampFromMs(700),
    });
    const [merged] = mergeListings([
      { replicas: [one], queues: [] },
      { replicas: [two], queues: [] },
    ]).replicas;
    expect(merged).toMatchObject({
      balancerIds: ['b1', 'b2'],
      inFlight: 5,
      completed: 100n,
      failed: 1n,
      p50Ms: 7,
      state: ReplicaState.SUSPECT,
      lastError: 'late',
      cpuCores: 0.9,
      joinTime: timestampFromMs(500),
      slots: 1,
    });
  });

  it('adds up what was sent elsewhere and kept out, and says when that was last', () => {
    const times = (atMs: number) => ({
      lastEjectionTime: timestampFromMs(atMs),
      ejectedUntilTime: timestampFromMs(atMs + 1000),
    });
    const views = [
      replica('a', { completed: 9n, retried: 3n, ejections: 2, lastEjectionTime: timestampFromMs(1000) }),
      replica('a', { retried: 4n, ejections: 1, state: ReplicaState.EJECTED, ...times(5000) }),
      replica('a'),
    ];
    const [merged] = mergeListings(views.map((view) => ({ replicas: [view], queues: [] }))).replicas;
    expect(merged).toMatchObject({ retried: 7n, ejections: 3, state: ReplicaState.EJECTED, ...times(5000) });
    expect(mergeListings([{ replicas: [replica('b')], queues: [] }]).replicas[0]?.lastEjectionTime).toBe(
      undefined,
    );
  });

  it('changes nothing of what it is given', () => {
    const one = replica('a', { inFlight: 1 });
    mergeListings([
      { replicas: [one], queues: [] },
      { replicas: [replica('a', { inFlight: 1 })], queues: [] },
    ]);
    expect(one.inFlight).toBe(1);
  });

  it('can be narrowed to one kind', () => {
    const replicas = [replica('a'), replica('f', { worker: FILTER })];
    const queues = [
      create(QueueStatusSchema, { worker: RESIZE }),
      create(QueueStatusSchema, { worker: FILTER }),
    ];
    const merged = mergeListings([{ replicas, queues }], FILTER);
    expect(merged.replicas.map(({ replicaId }) => replicaId)).toEqual(['f']);
    expect(merged.queues).toHaveLength(1);
    expect(mergeListings([{ replicas, queues }], WorkerKind.UNSPECIFIED).replicas).toHaveLength(2);
  });
});
