/** Fleets, loads and mishaps. All of it follows from the seed. */
import type { Condition, ConditionChange, Job, ReplicaSpec, SpeedChange } from './sim-replica.ts';

export interface Run {
  readonly replicas: readonly ReplicaSpec[];
  readonly jobs: readonly Job[];
  readonly deadlineMs?: number | undefined;
  /** Default 1. */
  readonly balancers?: number;
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
  /** Of each call. */
  readonly deadlineMs?: number;
  /** Whether a fifth of the calls is critical and a fifth sheddable. */
  readonly hasClasses?: boolean;
  /** Over the one fleet; default 1. */
  readonly balancers?: number;
}

const alike: readonly ReplicaSpec[] = Array.from({ length: 8 }, () => ({ slots: 2, speed: 1 }));
const mixed: readonly ReplicaSpec[] = [2, 1, 1, 1, 1, 0.5, 0.5, 0.25].map((speed) => ({ slots: 2, speed }));

const failing: Traffic = { load: 0.6, deadlineMs: 5000 };

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
  scenario(
    'S6 black hole',
    'the fastest takes calls and never answers, for a third of the run; calls have 5 s',
    mixed,
    failing,
    during('hole', 0, 0.3, 0.63),
  ),
  scenario(
    'S7 sinkhole',
    'the fastest answers errors in 1 ms, for a third of the run',
    mixed,
    failing,
    during('sink', 0, 0.3, 0.63),
  ),
  scenario(
    'S8 killed',
    'the fastest dies and is back after a third of the run',
    mixed,
    { ...failing, load: 0.5 },
    during('gone', 0, 0.3, 0.63),
  ),
  scenario('S9 rolling restart', 'each is gone for a while, one after another', mixed, failing, rolling),
  scenario(
    'S10 join and leave',
    'two join after a third, two leave after two thirds',
    mixed,
    { ...failing, load: 0.5 },
    joinAndLeave,
  ),
  scenario('S11 burst', 'three times the rate in a tenth of the time', mixed, { load: 0.6, burst: 3 }),
  scenario(
    'S12 overload',
    'half more than the fleet can do; calls have 2 s; a fifth is critical, a fifth sheddable',
    mixed,
    {
      load: 1.5,
      deadlineMs: 2000,
      hasClasses: true,
    },
  ),
  scenario('S14 wrong cost', 'predictions off by a factor of 1.65 (σ 0.5)', mixed, {
    load: 0.75,
    error: 0.5,
  }),
  scenario('S14 no cost', 'nothing is said of a job', mixed, { load: 0.75, isMute: true }),
  scenario('S17 two balancers', 'each knows its own calls only', mixed, { load: 0.75, balancers: 2 }),
  scenario('S17 three balancers', 'the same', mixed, { load: 0.75, balancers: 3 }),
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
      const { deadlineMs, balancers = 1 } = traffic;
      return { jobs, replicas: mishap(replicas, count * everyMs, rng), deadlineMs, balancers };
    },
  };
}

function arrivals(count: number, everyMs: number, traffic: Traffic, rng: () => number): readonly Job[] {
  const { error = 0.15, isMute = false, burst = 1, hasClasses = false } = traffic;
  let atMs = 0;
  return Array.from({ length: count }, (_, id): Job => {
    const isBurst = id > count * 0.5 && id < count * (0.5 + 0.1 * burst);
    atMs += (-Math.log(1 - rng()) * everyMs) / (isBurst ? burst : 1);
    const workMs = work(rng);
    const costMs = isMute ? 20 : workMs * Math.exp(error * normal(rng));
    const callClass = hasClasses ? classOf(id) : 'default';
    return { id, arrivedMs: atMs, workMs, costMs, callClass };
  });
}

function classOf(id: number): Job['callClass'] {
  if (id % 5 === 0) return 'critical';
  return id % 5 === 1 ? 'sheddable' : 'default';
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

/** One replica, from one share of the run to another. */
function during(is: Condition, index: number, from: number, to: number): Mishap {
  return (replicas, lengthMs) =>
    withConditions(replicas, (at) =>
      at === index
        ? [
            { atMs: from * lengthMs, is },
            { atMs: to * lengthMs, is: 'up' },
          ]
        : [],
    );
}

function rolling(replicas: readonly ReplicaSpec[], lengthMs: number) {
  const stepMs = (0.8 * lengthMs) / replicas.length;
  return withConditions(replicas, (at) => [
    { atMs: 0.1 * lengthMs + at * stepMs, is: 'gone' },
    { atMs: 0.1 * lengthMs + (at + 0.5) * stepMs, is: 'up' },
  ]);
}

function joinAndLeave(replicas: readonly ReplicaSpec[], lengthMs: number) {
  return withConditions(replicas, (at): readonly ConditionChange[] => {
    if (at === 1 || at === 2) {
      return [
        { atMs: 0, is: 'gone' },
        { atMs: lengthMs / 3, is: 'up' },
      ];
    }
    return at === 3 || at === 4 ? [{ atMs: (2 * lengthMs) / 3, is: 'gone' }] : [];
  });
}

function withConditions(
  replicas: readonly ReplicaSpec[],
  conditions: (at: number) => readonly ConditionChange[],
): readonly ReplicaSpec[] {
  return replicas.map((replica, at) => ({ ...replica, conditions: conditions(at) }));
}

/** Box–Muller. */
function normal(rng: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng());
}
