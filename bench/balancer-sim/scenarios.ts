/** Fleets, loads and mishaps. All of it follows from the seed. */
import type { Job, ReplicaSpec, SpeedChange } from './simulation.ts';

export interface Run {
  readonly replicas: readonly ReplicaSpec[];
  readonly jobs: readonly Job[];
}

export interface Scenario {
  readonly name: string;
  readonly doc: string;
  make(jobs: number, rng: () => number): Run;
}

interface Traffic {
  /** Share of the capacity that arrives. */
  readonly load: number;
  /** Standard deviation of the logarithm of predicted over true work. */
  readonly error?: number;
  /** Nothing is said of a job; the balancer takes a constant. */
  readonly isMute?: boolean;
  /** So many times the rate, in a tenth of the time. */
  readonly burst?: number;
}

const alike: readonly ReplicaSpec[] = Array.from({ length: 8 }, () => ({ slots: 2, speed: 1 }));
const mixed: readonly ReplicaSpec[] = [2, 1, 1, 1, 1, 0.5, 0.5, 0.25].map((speed) => ({ slots: 2, speed }));

export const scenarios: readonly Scenario[] = [
  scenario('S1 alike 0.5', 'eight equal replicas', alike, { load: 0.5 }),
  scenario('S1 alike 0.75', 'the same', alike, { load: 0.75 }),
  scenario('S1 alike 0.95', 'the same', alike, { load: 0.95 }),
  scenario('S2 mixed 0.75', 'speeds 2, 1 ×4, 0.5 ×2, 0.25', mixed, { load: 0.75 }),
  scenario('S2 mixed 0.9', 'the same', mixed, { load: 0.9 }),
  scenario(
    'S3 antagonist',
    'a neighbour makes another replica 4 × slower every 2 s',
    mixed,
    { load: 0.6 },
    antagonist,
  ),
  scenario(
    'S4 one slow',
    'the fastest is 10 × slower for a third of the run',
    mixed,
    { load: 0.6 },
    slowThird,
  ),
  scenario('S5 stalls', 'three replicas stand still for 0.8 to 1.5 s, twice', mixed, { load: 0.6 }, stalls),
  scenario('S11 burst', 'three times the rate in a tenth of the time', mixed, { load: 0.6, burst: 3 }),
  scenario('S14 wrong cost', 'predictions off by a factor of 1.65 (σ 0.5)', mixed, {
    load: 0.75,
    error: 0.5,
  }),
  scenario('S14 no cost', 'nothing is said of a job', mixed, { load: 0.75, isMute: true }),
];

/** Mostly small images, some large ones; in reference-ms. */
const sizes = [
  { share: 0.7, from: 3, to: 7 },
  { share: 0.25, from: 15, to: 45 },
  { share: 0.05, from: 120, to: 280 },
] as const;
const meanWorkMs = sizes.reduce((sum, { share, from, to }) => sum + (share * (from + to)) / 2, 0);

type Mishap = (
  replicas: readonly ReplicaSpec[],
  lengthMs: number,
  rng: () => number,
) => readonly ReplicaSpec[];

function scenario(
  name: string,
  doc: string,
  replicas: readonly ReplicaSpec[],
  traffic: Traffic,
  mishap: Mishap = (fleet) => fleet,
): Scenario {
  return {
    name,
    doc,
    make(count, rng) {
      const capacity = replicas.reduce((sum, { slots, speed }) => sum + slots * speed, 0);
      const everyMs = meanWorkMs / (capacity * traffic.load);
      const jobs = arrivals(count, everyMs, traffic, rng);
      return { jobs, replicas: mishap(replicas, count * everyMs, rng) };
    },
  };
}

function arrivals(count: number, everyMs: number, traffic: Traffic, rng: () => number): readonly Job[] {
  const { error = 0.15, isMute = false, burst = 1 } = traffic;
  let atMs = 0;
  return Array.from({ length: count }, (_, id): Job => {
    const isBurst = id > count * 0.5 && id < count * (0.5 + 0.1 * burst);
    atMs += (-Math.log(1 - rng()) * everyMs) / (isBurst ? burst : 1);
    const workMs = work(rng);
    const costMs = isMute ? 20 : workMs * Math.exp(error * normal(rng));
    return { id, arrivedMs: atMs, workMs, costMs };
  });
}

function work(rng: () => number): number {
  let dice = rng();
  for (const { share, from, to } of sizes) {
    if (dice < share) return from + rng() * (to - from);
    dice -= share;
  }
  return 280;
}

function antagonist(replicas: readonly ReplicaSpec[], lengthMs: number, rng: () => number) {
  const changes: SpeedChange[][] = replicas.map(() => []);
  for (let atMs = 0; atMs < lengthMs; atMs += 2000) {
    const victim = changes[Math.floor(rng() * replicas.length)];
    if (victim?.at(-1)?.atMs === atMs) victim.pop();
    victim?.push({ atMs, factor: 0.25 }, { atMs: atMs + 2000, factor: 1 });
  }
  return replicas.map((replica, index) => ({ ...replica, changes: changes[index] ?? [] }));
}

function slowThird(replicas: readonly ReplicaSpec[], lengthMs: number) {
  return replicas.map((replica, index) =>
    index > 0
      ? replica
      : {
          ...replica,
          changes: [
            { atMs: lengthMs * 0.3, factor: 0.1 },
            { atMs: lengthMs * 0.63, factor: 1 },
          ],
        },
  );
}

function stalls(replicas: readonly ReplicaSpec[], lengthMs: number, rng: () => number) {
  return replicas.map((replica, index) => {
    if (index > 2) return replica;
    const changes = [0.25, 0.65].flatMap((share) => {
      const atMs = lengthMs * share + rng() * 2000;
      return [
        { atMs, factor: 0 },
        { atMs: atMs + 800 + rng() * 700, factor: 1 },
      ];
    });
    return { ...replica, changes };
  });
}

/** Box–Muller. */
function normal(rng: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng());
}
