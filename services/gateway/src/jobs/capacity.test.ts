import { create } from '@bufbuild/protobuf';
import { QueueStatusSchema, ReplicaSchema, ReplicaState } from '@imagemesh/api';
import { expect, test } from 'vitest';
import { jobLimit, look } from './capacity.ts';

test('slots count of replicas that take work', () => {
  const replicas = [ReplicaState.READY, ReplicaState.WARMING, ReplicaState.DEAD, ReplicaState.DRAINING].map(
    (state) => create(ReplicaSchema, { state, slots: 3 }),
  );
  const queues = [2, 5].map((queued) => create(QueueStatusSchema, { queued }));
  expect(look({ replicas, queues })).toEqual({ slots: 6, queued: 7 });
});

test('jobs run three a slot, fewer where others wait, one at least, and none without a replica', () => {
  expect(jobLimit({ slots: 4, queued: 0 }, 0, 64)).toBe(12);
  expect(jobLimit({ slots: 4, queued: 5 }, 8, 64)).toBe(12);
  expect(jobLimit({ slots: 4, queued: 5 }, 2, 64)).toBe(9);
  expect(jobLimit({ slots: 4, queued: 500 }, 8, 64)).toBe(1);
  expect(jobLimit({ slots: 100, queued: 0 }, 0, 64)).toBe(64);
  expect(jobLimit({ slots: 0, queued: 0 }, 0, 64)).toBe(0);
});
