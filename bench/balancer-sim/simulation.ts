/** Replicas in virtual time: work arrives, a policy places it, slots do it at the speed that the replica has then. */

export interface Job {
  readonly id: number;
  readonly arrivedMs: number;
  /** True work in reference-ms. */
  readonly workMs: number;
  /** What is said of it. */
  readonly costMs: number;
}

/** From then on the replica has so many times its base speed; 0: it stands still. */
export interface SpeedChange {
  readonly atMs: number;
  readonly factor: number;
}

export interface ReplicaSpec {
  readonly slots: number;
  /** Reference-ms of work a slot does in a ms. */
  readonly speed: number;
  /** In order of time. */
  readonly changes?: readonly SpeedChange[];
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
  readonly replicas: readonly SimReplica[];
  /** Uniform in [0, 1). */
  readonly rng: () => number;
  /** Begins the job there, or queues it there if no slot is free. */
  place(job: Job, replica: SimReplica): void;
}

export interface Policy {
  arrive(job: Job, world: World): void;
  /** `execMs`: what the replica says it took, without its queue. */
  finished?(run: RunningJob, replica: SimReplica, execMs: number, world: World): void;
  /** Called every 5 ms while `isWaiting`. */
  tick?(world: World): void;
  readonly isWaiting?: boolean;
}

export interface Done {
  readonly job: Job;
  readonly latencyMs: number;
}

const tickMs = 5;

export function simulate(
  specs: readonly ReplicaSpec[],
  jobs: readonly Job[],
  policy: Policy,
  rng: () => number,
): readonly Done[] {
  const replicas = specs.map((spec, index) => new SimReplica(index, spec));
  const events = new EventHeap();
  const done: Done[] = [];
  let nowMs = 0;
  let isTicking = false;

  const world: World = {
    get nowMs() {
      return nowMs;
    },
    replicas,
    rng,
    place(job, replica) {
      if (replica.running.size >= replica.spec.slots) replica.backlog.push(job);
      else begin(job, replica);
    },
  };

  function begin(job: Job, replica: SimReplica): void {
    const run = { job, costMs: job.costMs, startedMs: nowMs };
    replica.running.add(run);
    events.add(replica.endOf(job.workMs, nowMs), () => {
      replica.running.delete(run);
      done.push({ job, latencyMs: nowMs - job.arrivedMs });
      const next = replica.backlog.shift();
      if (next !== undefined) begin(next, replica);
      policy.finished?.(run, replica, nowMs - run.startedMs, world);
    });
  }

  function keepTicking(): void {
    if (isTicking || policy.isWaiting !== true) return;
    isTicking = true;
    events.add(nowMs + tickMs, () => {
      isTicking = false;
      policy.tick?.(world);
    });
  }

  for (const job of jobs) events.add(job.arrivedMs, () => policy.arrive(job, world));
  for (let event = events.take(); event !== undefined; event = events.take()) {
    nowMs = event.atMs;
    event.run();
    keepTicking();
  }
  if (done.length !== jobs.length) throw new Error(`${jobs.length - done.length} jobs were lost`);
  return done;
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
