/** What others do, and the balancer's own dispatch. Each is made anew for each run. */
import { EarliestFinish } from './earliest-finish.ts';
import type { Job, Policy, RunningJob, SimReplica, World } from './simulation.ts';

export const policies: Readonly<Record<string, () => Policy>> = {
  'round robin': roundRobin,
  'weighted round robin': weightedRoundRobin,
  'least connections': () => immediate((world) => least(world.replicas, loadOfSlots, world)),
  'two choices': () => immediate((world) => least(pickTwo(world), loadOfSlots, world)),
  'two choices, peak EWMA': peakEwma,
  'hot-cold': hotCold,
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
 * Prequal's rule (Wydrowski et al., NSDI 2024) with what a proxy knows for certain in place of probes: replicas with more
 * requests in flight than the 0.84 quantile are hot; the cold one with the least latency is taken, else the hot one with the
 * fewest in flight. Latency is the median of recent calls that arrived when about as many were in flight as now.
 */
function hotCold(): Policy {
  const recent = new Map<SimReplica, { readonly load: number; readonly ms: number }[]>();
  const loads = new Map<number, number>();
  const latencyOf = (replica: SimReplica) => {
    const all = recent.get(replica) ?? [];
    const near = all.filter(({ load }) => Math.abs(load - replica.load) <= 1);
    return median((near.length > 0 ? near : all).map(({ ms }) => ms));
  };
  return {
    arrive(job, world) {
      const sorted = world.replicas.map(({ load }) => load).sort((a, b) => a - b);
      const limit = sorted[Math.floor(0.84 * (sorted.length - 1))] ?? 0;
      const cold = world.replicas.filter(({ load }) => load <= limit);
      const chosen = least(cold, latencyOf, world);
      loads.set(job.id, chosen.load);
      world.place(job, chosen);
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
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}
