/** Replicas in virtual time: work arrives, a policy places it, slots do it at the speed that the replica has then. */

export interface Job {
  readonly id: number;
  readonly arrivedMs: number;
  /** True work in reference-ms. */
  readonly workMs: number;
  /** What is said of it. */
  readonly costMs: number;
  readonly callClass: 'critical' | 'default' | 'sheddable';
}

/** From then on the replica has so many times its base speed; 0: it stands still. */
export interface SpeedChange {
  readonly atMs: number;
  readonly factor: number;
}

/**
 * `hole`: takes work and never answers; `sink`: answers each with an error after 1 ms; `gone`: is not there, and what it had is
 * lost.
 */
export type Condition = 'up' | 'hole' | 'sink' | 'gone';

export interface ConditionChange {
  readonly atMs: number;
  readonly is: Condition;
}

export interface ReplicaSpec {
  readonly slots: number;
  /** Reference-ms of work a slot does in a ms. */
  readonly speed: number;
  /** In order of time. */
  readonly changes?: readonly SpeedChange[];
  /** In order of time; before the first it is up. */
  readonly conditions?: readonly ConditionChange[];
}

export interface RunningJob {
  readonly job: Job;
  readonly costMs: number;
  readonly startedMs: number;
}

export class SimReplica {
  readonly index: number;
  readonly spec: ReplicaSpec;
  readonly running = new Set<RunningJob>();
  /** Placed here, not begun. */
  readonly backlog: Job[] = [];

  constructor(index: number, spec: ReplicaSpec) {
    this.index = index;
    this.spec = spec;
  }

  get load(): number {
    return this.running.size + this.backlog.length;
  }

  conditionAt(nowMs: number): Condition {
    return this.spec.conditions?.findLast(({ atMs }) => atMs <= nowMs)?.is ?? 'up';
  }

  speedAt(nowMs: number): number {
    const factor = this.spec.changes?.findLast(({ atMs }) => atMs <= nowMs)?.factor ?? 1;
    return this.spec.speed * factor;
  }

  /** When work that begins now is done. */
  endOf(workMs: number, nowMs: number): number {
    let left = workMs;
    let atMs = nowMs;
    for (const { atMs: untilMs } of this.spec.changes ?? []) {
      if (untilMs <= atMs) continue;
      const done = (untilMs - atMs) * this.speedAt(atMs);
      if (done >= left) break;
      left -= done;
      atMs = untilMs;
    }
    return atMs + left / this.speedAt(atMs);
  }
}

export interface World {
  readonly nowMs: number;
  /** Those that are there, with what this balancer has sent to each. */
  readonly replicas: readonly SimReplica[];
  /** Uniform in [0, 1). */
  readonly rng: () => number;
  /** Of each job, from its arrival; undefined: none. */
  readonly deadlineMs: number | undefined;
  /** Jobs of other balancers that run there: what a replica says with an answer. */
  foreignOn(replica: SimReplica): number;
  /** Begins the job there. If no slot is free it queues there, or the replica answers `busy` where the policy knows that. */
  place(job: Job, replica: SimReplica): void;
  /** Takes it back from there. */
  cancel(run: RunningJob, replica: SimReplica): void;
  /** Ends the job without a result, unless it has one. */
  fail(job: Job): void;
}

export interface Policy {
  arrive(job: Job, world: World): void;
  /** `execMs`: what the replica says it took, without its queue. */
  finished?(run: RunningJob, replica: SimReplica, execMs: number, world: World): void;
  /** The replica answered with an error. Default: that is the answer. */
  errored?(run: RunningJob, replica: SimReplica, world: World): void;
  /** The replica that had it is gone. Default: as if it had just arrived. */
  lost?(job: Job, replica: SimReplica, world: World): void;
  /** The replica had no slot free for it. */
  busy?(job: Job, replica: SimReplica, world: World): void;
  /** Its deadline passed; the replicas have dropped it. */
  expired?(job: Job, world: World): void;
  /** Called every 5 ms while `isWaiting`. */
  tick?(world: World): void;
  readonly isWaiting?: boolean;
}

export interface Done {
  readonly job: Job;
  /** Until its deadline where it failed. */
  readonly latencyMs: number;
  readonly isFailed: boolean;
}

/** What it takes a sink to answer, and a replica to say that it is full. */
const sinkMs = 1;
const busyMs = 1;

const tickMs = 5;

export interface SimulationOptions {
  readonly specs: readonly ReplicaSpec[];
  readonly jobs: readonly Job[];
  /** The balancers, at least one; jobs go to them in turn. */
  readonly policies: readonly Policy[];
  readonly rng: () => number;
  /** Of each job, from its arrival; undefined: none. */
  readonly deadlineMs?: number | undefined;
}

export function simulate({ specs, jobs, policies, rng, deadlineMs }: SimulationOptions): readonly Done[] {
  const all = specs.map((spec, index) => new SimReplica(index, spec));
  const events = new EventHeap();
  const done = new Map<number, Done>();
  let nowMs = 0;
  const isPresent = (replica: SimReplica) => replica.conditionAt(nowMs) !== 'gone';

  /** A policy, and the world as it sees it. */
  class Balancer implements World {
    readonly policy: Policy;
    readonly rng = rng;
    readonly deadlineMs = deadlineMs;
    readonly #views: readonly SimReplica[];
    #present: readonly SimReplica[] = [];
    #isTicking = false;

    constructor(policy: Policy, index: number) {
      this.policy = policy;
      const isMine = (job: Job) => job.id % policies.length === index;
      this.#views = policies.length === 1 ? all : all.map((replica) => seenBy(replica, isMine));
      this.joinOrLeave();
    }

    get nowMs() {
      return nowMs;
    }

    get replicas() {
      return this.#present;
    }

    joinOrLeave(): void {
      this.#present = this.#views.filter(isPresent);
    }

    viewOf({ index }: SimReplica): SimReplica {
      return at(this.#views, index);
    }

    foreignOn(view: SimReplica): number {
      return at(all, view.index).running.size - view.running.size;
    }

    place(job: Job, view: SimReplica): void {
      const replica = at(all, view.index);
      if (replica.running.size < replica.spec.slots) begin(job, replica);
      else if (this.policy.busy === undefined) replica.backlog.push(job);
      else events.add(nowMs + busyMs, () => this.policy.busy?.(job, view, this));
    }

    cancel(run: RunningJob, view: SimReplica): void {
      const replica = at(all, view.index);
      if (replica.running.delete(run)) beginNext(replica);
    }

    fail(job: Job): void {
      const latencyMs = deadlineMs ?? nowMs - job.arrivedMs;
      if (!done.has(job.id)) done.set(job.id, { job, latencyMs, isFailed: true });
    }

    keepTicking(): void {
      if (this.#isTicking || this.policy.isWaiting !== true) return;
      this.#isTicking = true;
      events.add(nowMs + tickMs, () => {
        this.#isTicking = false;
        this.policy.tick?.(this);
      });
    }
  }

  const balancers = policies.map((policy, index) => new Balancer(policy, index));
  const ownerOf = (job: Job) => at(balancers, job.id % balancers.length);

  function begin(job: Job, replica: SimReplica): void {
    const run = { job, costMs: job.costMs, startedMs: nowMs };
    replica.running.add(run);
    const condition = replica.conditionAt(nowMs);
    if (condition === 'up') events.add(replica.endOf(job.workMs, nowMs), () => finish(run, replica));
    if (condition === 'sink') events.add(nowMs + sinkMs, () => answerError(run, replica));
  }

  function beginNext(replica: SimReplica): void {
    const next = replica.backlog.shift();
    if (next !== undefined) begin(next, replica);
  }

  function finish(run: RunningJob, replica: SimReplica): void {
    if (!replica.running.delete(run)) return;
    const { job } = run;
    if (!done.has(job.id)) done.set(job.id, { job, latencyMs: nowMs - job.arrivedMs, isFailed: false });
    beginNext(replica);
    const owner = ownerOf(job);
    owner.policy.finished?.(run, owner.viewOf(replica), nowMs - run.startedMs, owner);
  }

  function answerError(run: RunningJob, replica: SimReplica): void {
    if (!replica.running.delete(run)) return;
    beginNext(replica);
    const owner = ownerOf(run.job);
    if (owner.policy.errored !== undefined) {
      owner.policy.errored(run, owner.viewOf(replica), owner);
      return;
    }
    owner.fail(run.job);
    // To most a short answer is an answer.
    owner.policy.finished?.(run, owner.viewOf(replica), nowMs - run.startedMs, owner);
  }

  function change(replica: SimReplica): void {
    for (const balancer of balancers) balancer.joinOrLeave();
    if (isPresent(replica)) return;
    const lost = [...[...replica.running].map(({ job }) => job), ...replica.backlog];
    replica.running.clear();
    replica.backlog.length = 0;
    for (const job of lost) {
      const owner = ownerOf(job);
      if (owner.policy.lost === undefined) owner.policy.arrive(job, owner);
      else owner.policy.lost(job, owner.viewOf(replica), owner);
    }
  }

  function expire(job: Job): void {
    if (done.has(job.id)) return;
    const owner = ownerOf(job);
    owner.fail(job);
    for (const replica of all) {
      const place = replica.backlog.indexOf(job);
      if (place >= 0) replica.backlog.splice(place, 1);
      for (const run of [...replica.running]) if (run.job === job) owner.cancel(run, replica);
    }
    owner.policy.expired?.(job, owner);
  }

  for (const replica of all) {
    for (const { atMs } of replica.spec.conditions ?? []) events.add(atMs, () => change(replica));
  }
  for (const job of jobs) {
    const owner = ownerOf(job);
    events.add(job.arrivedMs, () => owner.policy.arrive(job, owner));
    if (deadlineMs !== undefined) events.add(job.arrivedMs + deadlineMs, () => expire(job));
  }
  for (let event = events.take(); event !== undefined; event = events.take()) {
    nowMs = event.atMs;
    event.run();
    if (done.size < jobs.length) for (const balancer of balancers) balancer.keepTicking();
  }
  if (done.size !== jobs.length) throw new Error(`${jobs.length - done.size} jobs were lost`);
  return [...done.values()];
}

/** The replica with those of its jobs that a balancer knows of. */
function seenBy(replica: SimReplica, isMine: (job: Job) => boolean): SimReplica {
  return Object.create(replica, {
    running: { get: () => new Set([...replica.running].filter(({ job }) => isMine(job))) },
    backlog: { get: () => replica.backlog.filter(isMine) },
  });
}

/** Throws where there is none. */
export function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  run(): void;
}

/** A binary heap; events of the same time come in the order in which they were added. */
class EventHeap {
  readonly #events: Event[] = [];
  #order = 0;

  add(atMs: number, run: () => void): void {
    const events = this.#events;
    events.push({ atMs, run, order: this.#order++ });
    let child = events.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#isBefore(child, parent)) break;
      this.#swap(child, parent);
      child = parent;
    }
  }

  take(): Event | undefined {
    const events = this.#events;
    const [first] = events;
    const last = events.pop();
    if (last === undefined || events.length === 0) return first;
    events[0] = last;
    for (let parent = 0; ; ) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < events.length && this.#isBefore(child, least)) least = child;
      }
      if (least === parent) return first;
      this.#swap(least, parent);
      parent = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [one, other] = [this.#events[a], this.#events[b]];
    if (one === undefined || other === undefined) return false;
    return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#events[a], this.#events[b]];
    if (one === undefined || other === undefined) return;
    this.#events[a] = other;
    this.#events[b] = one;
  }
}
