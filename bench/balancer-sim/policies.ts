/** What others do, and the balancer's own dispatch. Each is made anew for each run. */
import { EarliestFinish } from './earliest-finish.ts';
import type { Job, RunningJob, SimReplica } from './sim-replica.ts';
import { at, type Policy, type World } from './simulation.ts';

export const policies: Readonly<Record<string, () => Policy>> = {
  'round robin': roundRobin,
  'weighted round robin': weightedRoundRobin,
  'least connections': () => immediate((world) => least(world.replicas, loadOfSlots, world)),
  'two choices': () => immediate((world) => least(pickTwo(world), loadOfSlots, world)),
  'two choices, peak EWMA': peakEwma,
  prequal,
  'central queue': centralQueue,
  imagemesh: () => new EarliestFinish(false),
  clairvoyant: () => new EarliestFinish(true),
};

function immediate(
  choose: (world: World) => SimReplica,
  finished?: (replica: SimReplica, execMs: number, run: RunningJob, world: World) => void,
): Policy {
  return {
    arrive: (job, world) => world.place(job, choose(world)),
    finished: (run, replica, execMs, world) => finished?.(replica, execMs, run, world),
  };
}

function roundRobin(): Policy {
  let next = 0;
  return immediate(({ replicas }) => at(replicas, next++ % replicas.length));
}

/** Smooth, by slots and the speed that each was bought with. */
function weightedRoundRobin(): Policy {
  const credit = new Map<SimReplica, number>();
  return immediate((world) => {
    let total = 0;
    for (const replica of world.replicas) {
      const weight = replica.spec.slots * replica.spec.speed;
      total += weight;
      credit.set(replica, (credit.get(replica) ?? 0) + weight);
    }
    const chosen = least(world.replicas, (replica) => -(credit.get(replica) ?? 0), world);
    credit.set(chosen, (credit.get(chosen) ?? 0) - total);
    return chosen;
  });
}

/** As in Finagle: a decaying mean of the latency that jumps up to each higher sample, times what is pending. */
function peakEwma(): Policy {
  const decayMs = 10_000;
  const seen = new Map<SimReplica, { ewma: number; atMs: number }>();
  return immediate(
    (world) => {
      const costOf = (replica: SimReplica) => (seen.get(replica)?.ewma ?? 1) * (replica.load + 1);
      return least(pickTwo(world), costOf, world);
    },
    (replica, _execMs, { job }, { nowMs }) => {
      const latency = nowMs - job.arrivedMs;
      const known = seen.get(replica) ?? { ewma: latency, atMs: nowMs };
      const keep = Math.exp(-(nowMs - known.atMs) / decayMs);
      const ewma = latency > known.ewma ? latency : known.ewma * keep + latency * (1 - keep);
      seen.set(replica, { ewma, atMs: nowMs });
    },
  );
}

/**
 * Prequal (Wydrowski et al., NSDI 2024): each call asks three replicas at random how many calls they have in flight and what
 * calls take there at that many; the answers, here instant, go to a pool that is used up to four times each. A replica with
 * more in flight than the 0.84 quantile of what was heard is hot. The cold one with the least latency is taken, else the hot
 * one with the fewest in flight. Each call then drops the oldest or the worst of the pool in turn. The pool is half the fleet:
 * the 16 of the paper are for fleets larger than that.
 */
function prequal(): Policy {
  interface Probe {
    readonly replica: SimReplica;
    readonly atMs: number;
    readonly latencyMs: number;
    load: number;
    uses: number;
  }
  const [probesPerCall, mostUses, hotQuantile, maxAgeMs, heardMax] = [3, 4, 0.84, 1000, 128];
  const recent = new Map<SimReplica, { readonly load: number; readonly ms: number }[]>();
  const loads = new Map<number, number>();
  const heard: number[] = [];
  let pool: Probe[] = [];
  let calls = 0;
  const latencyOf = (replica: SimReplica) => {
    const all = recent.get(replica) ?? [];
    const near = all.filter(({ load }) => Math.abs(load - replica.load) <= 1);
    return median((near.length > 0 ? near : all).map(({ ms }) => ms));
  };
  const isHot = ({ load }: Probe) => load > quantile(heard, hotQuantile);
  /** The better first: cold before hot, the cold by latency, the hot by load. */
  const compare = (a: Probe, b: Probe) => {
    const [hotA, hotB] = [isHot(a), isHot(b)];
    if (hotA !== hotB) return hotA ? 1 : -1;
    return hotA ? a.load - b.load : a.latencyMs - b.latencyMs;
  };
  const probe = ({ replicas, nowMs, rng }: World) => {
    const left = [...replicas];
    for (let count = 0; count < probesPerCall && left.length > 0; count++) {
      const [replica] = left.splice(Math.floor(rng() * left.length), 1);
      if (replica === undefined) return;
      heard.push(replica.load);
      if (heard.length > heardMax) heard.shift();
      pool.push({ replica, atMs: nowMs, latencyMs: latencyOf(replica), load: replica.load, uses: 0 });
    }
    pool = pool.slice(-Math.max(2, replicas.length >> 1));
  };
  return {
    arrive(job, world) {
      pool = pool.filter(
        ({ replica, atMs }) => world.nowMs - atMs <= maxAgeMs && world.replicas.includes(replica),
      );
      const best = pool.length < 2 ? undefined : pool.toSorted(compare)[0];
      const chosen = best?.replica ?? at(world.replicas, Math.floor(world.rng() * world.replicas.length));
      if (best !== undefined) {
        best.load++;
        best.uses++;
      }
      const worst = calls++ % 2 === 0 ? pool[0] : pool.toSorted(compare).at(-1);
      pool = pool.filter((each) => each !== worst && each.uses < mostUses);
      loads.set(job.id, chosen.load);
      world.place(job, chosen);
      probe(world);
    },
    finished({ job }, replica, _execMs, { nowMs }) {
      const sample = { load: loads.get(job.id) ?? 0, ms: nowMs - job.arrivedMs };
      loads.delete(job.id);
      recent.set(replica, [...(recent.get(replica) ?? []), sample].slice(-64));
    },
  };
}

/** One queue, a job to whichever slot is free: haproxy's leastconn with maxconn at the slots. */
function centralQueue(): Policy {
  const queue: Job[] = [];
  const pump = (world: World) => {
    for (;;) {
      const free = world.replicas.filter(({ running, spec }) => running.size < spec.slots);
      const job = free.length === 0 ? undefined : queue.shift();
      if (job === undefined) return;
      world.place(job, least(free, loadOfSlots, world));
    }
  };
  return {
    arrive(job, world) {
      queue.push(job);
      pump(world);
    },
    finished: (_run, _replica, _execMs, world) => pump(world),
    expired: (job, world) => {
      const place = queue.indexOf(job);
      if (place >= 0) queue.splice(place, 1);
      pump(world);
    },
  };
}

function loadOfSlots({ load, spec }: SimReplica): number {
  return load / spec.slots;
}

/** The one with the least; of equals one at random. */
function least(
  replicas: readonly SimReplica[],
  rank: (replica: SimReplica) => number,
  { rng }: World,
): SimReplica {
  let best: SimReplica | undefined;
  let bestValue = Number.POSITIVE_INFINITY;
  let ties = 0;
  for (const replica of replicas) {
    const value = rank(replica);
    if (value > bestValue) continue;
    ties = value === bestValue ? ties + 1 : 1;
    if (ties === 1 || rng() * ties < 1) best = replica;
    bestValue = value;
  }
  if (best === undefined) throw new Error('no replica');
  return best;
}

function pickTwo({ replicas, rng }: World): SimReplica[] {
  const first = Math.floor(rng() * replicas.length);
  const second = (first + 1 + Math.floor(rng() * (replicas.length - 1))) % replicas.length;
  return [at(replicas, first), at(replicas, second)];
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(q * values.length)] ?? 0;
}
