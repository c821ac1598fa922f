/** A replica in virtual time: its slots do their work at the speed that it has then. */

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

/** The replica with those of its jobs that a balancer knows of. */
export function seenBy(replica: SimReplica, isMine: (job: Job) => boolean): SimReplica {
  return Object.create(replica, {
    running: { get: () => new Set([...replica.running].filter(({ job }) => isMine(job))) },
    backlog: { get: () => replica.backlog.filter(isMine) },
  });
}
