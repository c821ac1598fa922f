/** Virtual time: work arrives, policies place it, replicas do it. */
import { EventHeap } from './event-heap.ts';
import { type Job, type ReplicaSpec, type RunningJob, SimReplica, seenBy } from './sim-replica.ts';

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

/** Throws where there is none. */
export function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}
