// Longer than most: the rules, and then 100,000 random steps that need a fleet of their own.
import { WorkerKind } from '@imagemesh/api';
import { seededRandom } from '@imagemesh/testkit';
import { describe, expect, it } from 'vitest';
import {
  CALL_CLASSES,
  type CallClass,
  decide,
  type ReplicaView,
  type RunningCall,
  type WaitingCall,
} from './dispatch.ts';
import { WaitQueue } from './wait-queue.ts';

const never = () => {
  throw new Error('no tie was expected');
};

function call(
  id: number,
  over: Partial<WaitingCall> & { operations?: string[]; storeId?: string } = {},
): WaitingCall {
  const { operations = [], storeId, ...rest } = over;
  const needs = { worker: WorkerKind.RESIZE, operations, storeId, key: `${operations} ${storeId}` };
  return {
    id,
    order: id,
    callClass: 'default',
    needs,
    costMs: 10,
    excluded: new Set(),
    isAlone: false,
    ...rest,
  };
}

function replica(key: number, over: Partial<ReplicaView> = {}): ReplicaView {
  return {
    key,
    worker: WorkerKind.RESIZE,
    operations: new Set(['resize', 'crop']),
    storeId: 'store',
    isCandidate: true,
    credits: 1,
    inFlight: 0,
    running: [],
    speed: 1,
    isRunningAlone: false,
    ...over,
  };
}

/** Runs calls that began now and cost so much. */
function busy(...costs: number[]): Pick<ReplicaView, 'inFlight' | 'running'> {
  return { inFlight: costs.length, running: costs.map((costMs) => ({ costMs, startedMs: 0 })) };
}

function queue(...calls: WaitingCall[]): WaitQueue<WaitingCall> {
  const waiting = new WaitQueue<WaitingCall>();
  for (const each of calls) waiting.add(each);
  return waiting;
}

function pairs(waiting: Iterable<WaitingCall>, replicas: ReplicaView[], rng: () => number = never): string[] {
  return decide({ nowMs: 0, spread: 0.15, waiting, replicas }, rng).map(
    ({ callId, replicaKey }) => `${callId}>${replicaKey}`,
  );
}

describe('decide', () => {
  it('gives nothing to full, paused or unfit replicas', () => {
    const replicas = [
      replica(1, { ...busy(50) }),
      replica(2, { credits: 0 }),
      replica(3, { isCandidate: false }),
      replica(4, { operations: new Set(['crop']) }),
      replica(5, { storeId: 'other' }),
    ];
    expect(pairs(queue(call(1, { operations: ['resize'], storeId: 'store' })), replicas)).toEqual([]);
  });

  it('gives a call to the replica that finishes it first', () => {
    const replicas = [replica(1, { speed: 0.5 }), replica(2, { speed: 2 }), replica(3)];
    expect(pairs(queue(call(1), call(2), call(3)), replicas)).toEqual(['1>2', '2>3']);
  });

  it('lets a large call wait for a fast replica, and a small one take the slow', () => {
    const replicas = [replica(1, { speed: 0.1 }), replica(2, { ...busy(20), speed: 1 })];
    expect(pairs(queue(call(1, { costMs: 100 })), replicas)).toEqual([]);
    expect(pairs(queue(call(1, { costMs: 100 }), call(2, { costMs: 1 })), replicas)).toEqual(['2>1']);
  });

  it('waits for each slot in turn, not for all of a replica', () => {
    const replicas = [replica(1, { ...busy(5, 500), credits: 2 }), replica(2, { speed: 0.05 })];
    expect(pairs(queue(call(1)), replicas)).toEqual([]);
    expect(pairs(queue(call(1, { costMs: 1000 }), call(2)), replicas)).toEqual(['2>2']);
  });

  it('takes a replica whose call overruns for as slow as that, at once', () => {
    const stuck = replica(1, { credits: 2, inFlight: 1, running: [{ costMs: 10, startedMs: -1000 }] });
    expect(pairs(queue(call(1)), [stuck, replica(2, { speed: 0.5 })])).toEqual(['1>2']);
  });

  it('does so later where predictions are bad', () => {
    const late = replica(1, { credits: 2, inFlight: 1, running: [{ costMs: 10, startedMs: -50 }] });
    const of = (spread: number) =>
      decide(
        { nowMs: 0, spread, waiting: queue(call(1)), replicas: [late, replica(2, { speed: 0.5 })] },
        never,
      );
    expect(of(0.15)).toEqual([{ callId: 1, replicaKey: 2 }]);
    expect(of(1)).toEqual([{ callId: 1, replicaKey: 1 }]);
  });

  it('counts what it has just given', () => {
    const replicas = [replica(1, { credits: 2 }), replica(2, { credits: 2, ...busy(50) })];
    expect(pairs(queue(call(1), call(2), call(3)), replicas, () => 0.5)).toHaveLength(3);
  });

  it('breaks ties at random, each replica alike', () => {
    const rng = seededRandom(1);
    const counts = [0, 0, 0];
    for (let round = 0; round < 3000; round++) {
      const [only] = decide(
        { nowMs: 0, spread: 0.15, waiting: queue(call(1)), replicas: [replica(0), replica(1), replica(2)] },
        rng,
      );
      const key = only?.replicaKey ?? -1;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    for (const count of counts) expect(count).toBeGreaterThan(900);
  });

  it('serves class by class, and first come first served within one', () => {
    const classes: CallClass[] = ['job', 'sheddable', 'default', 'critical', 'default'];
    const waiting = queue(...classes.map((callClass, id) => call(id, { callClass })));
    expect(pairs(waiting, [replica(1, { credits: 4 })])).toEqual(['3>1', '2>1', '4>1', '1>1']);
  });

  it('does not let a call that nothing can run hold up those behind it', () => {
    const waiting = queue(call(1, { operations: ['rotate'] }), call(2, { operations: ['rotate'] }), call(3));
    expect(pairs(waiting, [replica(1)])).toEqual(['3>1']);
  });

  it('keeps a call away from replicas that failed it, unless there are no others', () => {
    const failed = call(1, { excluded: new Set([1]) });
    expect(pairs(queue(failed), [replica(1), replica(2, { ...busy(50) })])).toEqual([]);
    expect(pairs(queue(failed), [replica(1), replica(2)])).toEqual(['1>2']);
    expect(pairs(queue(failed), [replica(1)])).toEqual(['1>1']);
  });

  it('runs a lone call on an idle replica, and gives that replica nothing else', () => {
    const waiting = queue(call(1, { isAlone: true }), call(2), call(3), call(4), call(5));
    const replicas = [replica(1, { credits: 3, ...busy(1) }), replica(2, { credits: 4 })];
    expect(pairs(waiting, replicas)).toEqual(['1>2', '2>1', '3>1']);
    expect(pairs(queue(call(6)), [replica(2, { credits: 4, ...busy(9), isRunningAlone: true })])).toEqual([]);
  });

  it('empties one replica for a lone call, and only one', () => {
    const waiting = queue(call(1, { isAlone: true }), call(2, { isAlone: true }), call(3), call(4));
    const replicas = [
      replica(1, { credits: 4, ...busy(1, 2, 2) }),
      replica(2, { credits: 4, ...busy(25, 25) }),
    ];
    expect(pairs(waiting, replicas)).toEqual(['3>1']);
  });
});

/** Joins, leaves, deaths, BUSY answers, cancels and pauses at random; time and chance from a seed. */
describe('100,000 random steps', () => {
  it.each([
    ['of equal replicas', false],
    ['of replicas of all speeds, with predictions that are wrong', true],
  ])(
    '%s keep every slot within its bound, lose no call, and let none starve',
    (_, isMixed) => {
      const rng = seededRandom(20_260_101);
      const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(rng() * from.length)];
      interface Fake extends ReplicaView {
        isCandidate: boolean;
        credits: number;
        slots: number;
        inFlight: number;
        isRunningAlone: boolean;
        running: Set<WaitingCall & RunningCall>;
      }
      let nextId = 1;
      let nextKey = 1;
      let nowMs = 0;
      let replicas: Fake[] = [];
      const waiting = new WaitQueue<WaitingCall>();
      const byId = new Map<number, WaitingCall>();
      const ended = new Set<number>();
      const operationSets = [['resize'], ['crop'], ['resize', 'crop']];

      const recount = (fake: Fake) => {
        fake.inFlight = fake.running.size;
        fake.isRunningAlone = [...fake.running].some(({ isAlone }) => isAlone);
      };
      const again = (from: WaitingCall, over: Partial<WaitingCall>) => {
        const next = { ...from, ...over };
        byId.set(next.id, next);
        waiting.add(next);
      };
      // `expect` itself would take most of the time.
      const holds = (isTrue: boolean, rule: string) => {
        if (!isTrue) throw new Error(`broken: ${rule}`);
      };
      const runnable = ({ needs }: WaitingCall) =>
        replicas.some(
          (fake) =>
            fake.isCandidate &&
            fake.credits > 0 &&
            needs.operations.every((operation) => fake.operations.has(operation)),
        );
      const pump = () => {
        const before = [...waiting];
        const free = new Map(
          replicas.map((fake) => [fake.key, fake.isRunningAlone ? 0 : fake.credits - fake.inFlight]),
        );
        const assignments = decide({ nowMs, spread: 0.15, waiting, replicas }, rng);
        const given = new Set(assignments.map(({ callId }) => callId));
        holds(given.size === assignments.length, 'a call is assigned once');
        const places = assignments.map(({ callId }) => before.findIndex(({ id }) => id === callId));
        holds(
          places.every((place, at) => at === 0 || place > (places[at - 1] ?? -1)),
          'assignments follow the queue',
        );
        for (const { callId, replicaKey } of assignments) {
          const chosen = byId.get(callId);
          const fake = replicas.find(({ key }) => key === replicaKey);
          if (chosen === undefined || fake === undefined) throw new Error('assigned what is not there');
          holds(fake.isCandidate, 'only candidates get work');
          holds(waiting.remove(chosen), 'an assigned call was waiting');
          holds(!chosen.isAlone || fake.inFlight === 0, 'a lone call begins alone');
          holds(!fake.isRunningAlone, 'a lone call stays alone');
          fake.running.add({ ...chosen, startedMs: nowMs });
          recount(fake);
          holds(fake.inFlight <= fake.credits, 'slots are not exceeded');
          holds(
            chosen.needs.operations.every((operation) => fake.operations.has(operation)),
            'the replica knows the operations',
          );
        }
        // Time flies at every step of a mixed run: what is passed over is looked at again.
        const isIdle = replicas.every(({ running }) => running.size === 0);
        holds(!isIdle || !before.some((each) => runnable(each)), 'an idle fleet does not let a call wait');
        if (isMixed) return;
        // Nobody of the same class, needs and freedom was overtaken.
        for (const passedOver of before) {
          if (given.has(passedOver.id) || passedOver.isAlone || passedOver.excluded.size > 0) continue;
          const later = before.filter(
            ({ id, callClass, order, needs }) =>
              given.has(id) &&
              callClass === passedOver.callClass &&
              order > passedOver.order &&
              needs.key === passedOver.needs.key,
          );
          holds(later.length === 0, 'first come, first served');
        }
        // Work-conserving: a plain call waits only if no free slot fits it, or one is being emptied for a lone call.
        if (!before.some(({ isAlone }) => isAlone)) {
          for (const idle of replicas.filter((fake) => fake.isCandidate && fake.inFlight < fake.credits)) {
            const fits = [...waiting].filter(
              ({ excluded, needs }) =>
                excluded.size === 0 && needs.operations.every((operation) => idle.operations.has(operation)),
            );
            holds(
              fits.length === 0 || (free.get(idle.key) ?? 0) <= 0,
              'no free slot idles while a call fits it',
            );
          }
        }
      };

      for (let step = 0; step < 100_000; step++) {
        const dice = rng();
        if (isMixed) nowMs += rng() * 100;
        const fake = pick(replicas);
        const running = fake === undefined ? undefined : pick([...fake.running]);
        if (dice < 0.34 && waiting.size < 60) {
          const id = nextId++;
          const callClass = pick(CALL_CLASSES) ?? 'default';
          again(call(id, { callClass, operations: pick(operationSets) ?? [], costMs: rng() * 200 }), {});
        } else if (dice < 0.7 && fake !== undefined && running !== undefined) {
          fake.running.delete(running);
          ended.add(running.id);
          recount(fake);
        } else if (dice < 0.75 && fake !== undefined && running !== undefined) {
          fake.running.delete(running);
          recount(fake);
          again(running, {});
        } else if (dice < 0.8) {
          const cancelled = pick([...waiting]);
          if (cancelled !== undefined) {
            holds(waiting.remove(cancelled), 'a cancelled call was waiting');
            ended.add(cancelled.id);
          }
        } else if (dice < 0.82 && replicas.length < 8) {
          const slots = 1 + Math.floor(rng() * 4);
          const operations = new Set(pick(operationSets));
          const speed = isMixed ? 4 ** (rng() * 2 - 1) : 1;
          replicas.push({
            ...replica(nextKey++, { operations, speed }),
            credits: 1,
            slots,
            running: new Set(),
          });
        } else if (dice < 0.835 && fake !== undefined) {
          replicas = replicas.filter((each) => each !== fake);
          for (const orphan of fake.running) {
            again(orphan, { isAlone: true, excluded: new Set([...orphan.excluded, fake.key]) });
          }
        } else if (dice < 0.9 && fake !== undefined) {
          fake.credits = rng() < 0.2 ? Math.min(fake.inFlight, 0) : fake.slots;
          if (fake.credits < fake.inFlight) fake.credits = fake.inFlight;
        } else if (fake !== undefined) {
          fake.isCandidate = rng() < 0.8;
        }
        pump();
        const alive = waiting.size + replicas.reduce((sum, { running: calls }) => sum + calls.size, 0);
        holds(alive + ended.size === nextId - 1, 'no call is lost');
      }
      expect(ended.size).toBeGreaterThan(20_000);

      // The end: with one replica that can do all, everything finishes.
      for (const old of replicas) old.isCandidate = false;
      for (const old of replicas) {
        for (const left of old.running) ended.add(left.id);
        old.running.clear();
      }
      const last: Fake = { ...replica(nextKey), credits: 4, slots: 4, running: new Set() };
      replicas = [last];
      for (let round = 0; round < 1000 && waiting.size + last.running.size > 0; round++) {
        pump();
        for (const finished of last.running) ended.add(finished.id);
        last.running.clear();
        recount(last);
      }
      expect(ended.size).toBe(nextId - 1);
    },
    120_000,
  );
});
