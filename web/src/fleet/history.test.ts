import { create } from '@bufbuild/protobuf';
import { QueueStatusSchema, ReplicaSchema, ReplicaState } from '@imagemesh/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHistory, type Listing, stateRuns } from './history.ts';

const { READY, DEAD, EJECTED } = ReplicaState;

function replica(replicaId: string, completed: number, state: ReplicaState = READY) {
  return create(ReplicaSchema, {
    replicaId,
    completed: BigInt(completed),
    state,
    p50Ms: 5,
    p99Ms: 9,
    inFlight: 1,
  });
}

function listing(replicas: Listing['replicas'], queued: readonly number[] = []): Listing {
  return { replicas, queues: queued.map((waiting) => create(QueueStatusSchema, { queued: waiting })) };
}

describe('the history of the fleet', () => {
  it('tells calls a second from how many have ended', () => {
    const history = createHistory();
    for (const [atMs, completed] of [
      [0, 100],
      [1000, 110],
      [3000, 150],
    ] as const) {
      history.sample(atMs, listing([replica('a', completed)], [2, 3]));
    }
    expect(history.times).toEqual([0, 1, 3]);
    expect(history.replicas.get('a')).toMatchObject({
      perSecond: [0, 10, 20],
      p50Ms: [5, 5, 5],
      inFlight: [1, 1, 1],
    });
    expect(history.queued).toEqual([5, 5, 5]);
  });

  it('begins again with a replica that counts from 0', () => {
    const history = createHistory();
    history.sample(0, listing([replica('a', 100)]));
    history.sample(1000, listing([replica('a', 3)]));
    history.sample(2000, listing([replica('a', 7)]));
    expect(history.replicas.get('a')?.perSecond).toEqual([0, 0, 4]);
  });

  it('has gaps for what was not seen, and no figures of the dead', () => {
    const history = createHistory();
    history.sample(0, listing([replica('a', 1)]));
    history.sample(1000, undefined);
    history.sample(2000, listing([replica('a', 2, DEAD), replica('b', 1)]));
    history.sample(3000, listing([replica('b', 4)]));
    const { a, b } = Object.fromEntries(history.replicas);
    expect(a).toMatchObject({ perSecond: [0, null, null, null], p99Ms: [9, null, null, null] });
    expect<unknown>(a?.state).toEqual([READY, null, DEAD, null]);
    // What comes later has gaps before.
    expect(b).toMatchObject({ perSecond: [null, null, 0, 3], state: [null, null, READY, READY] });
    expect(history.queued).toEqual([0, null, 0, 0]);
  });

  it('says nothing of the time of calls before there are any', () => {
    const history = createHistory();
    history.sample(0, listing([create(ReplicaSchema, { replicaId: 'a', state: READY })]));
    expect(history.replicas.get('a')).toMatchObject({ p50Ms: [null], p99Ms: [null], inFlight: [0] });
  });

  it('keeps so many samples, and forgets replicas that none of them has', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.subarray(['a', 'b', 'c'])), { maxLength: 40 }), (seen) => {
        const history = createHistory(5);
        for (const [at, ids] of seen.entries()) {
          history.sample(at * 1000, ids === null ? undefined : listing(ids.map((id) => replica(id, at))));
        }
        const kept = seen.slice(-5);
        expect(history.times).toEqual(kept.map((_, at) => seen.length - kept.length + at));
        const inWindow = new Set(kept.flatMap((ids) => ids ?? []));
        expect([...history.replicas.keys()].sort()).toEqual([...inWindow].sort());
        for (const [id, tracks] of history.replicas) {
          for (const track of Object.values(tracks)) expect(track).toHaveLength(kept.length);
          expect(tracks.state).toEqual(kept.map((ids) => (ids?.includes(id) ? READY : null)));
        }
      }),
    );
  });
});

describe('the runs of a state', () => {
  it('cover every sample once, and none is like the one before', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(READY, DEAD, EJECTED, null)), (states) => {
        const runs = stateRuns(states);
        expect(runs.flatMap(({ state, length }) => Array.from({ length }, () => state))).toEqual(states);
        for (const [at, run] of runs.entries()) {
          expect(run.state).not.toBe(runs[at - 1]?.state);
          expect(states[run.from]).toBe(run.state);
        }
      }),
    );
  });
});
