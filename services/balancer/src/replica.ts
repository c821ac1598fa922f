/**
 * One joined replica: who it is, how it is, what it runs. Longer than most: it is where speed, ejection, foreign work and
 * outcomes are told of the same call.
 */
import type { IncomingHttpHeaders } from 'node:http2';
import type { LoadReport, ReplicaHello, WorkerKind } from '@imagemesh/api';
import { IM_EXEC_MS, IM_FOREIGN, IM_REASON, type SessionPool } from '@imagemesh/rpc';
import type { AttemptEnd } from './attempt.ts';
import type { RunningCall, WaitingCall } from './dispatch.ts';
import { Ejection } from './ejection.ts';
import { ForeignWork } from './foreign-work.ts';
import type { ReplicaCondition, SignsOfLife } from './health.ts';
import { type HedgeView, isOverdue } from './hedge.ts';
import { Outcomes } from './outcomes.ts';
import { Speed, usualSpread } from './speed.ts';

/** The balancer's end of a replica's join stream. */
export interface JoinLink {
  /** Asks it to finish and leave. */
  drain(reason: string): void;
  /** Ends the stream. */
  end(): void;
}

export interface ReplicaTimes {
  /** By the attentive clock, in ms. */
  readonly attentiveMs: number;
  /** By the calendar, in ms since the epoch. */
  readonly wallMs: number;
}

/** A call as its replica sees it. */
export interface HostedCall extends WaitingCall {
  /** Whether it may run on a second replica now. */
  readonly isHedgeable: boolean;
  hedge(replica: Replica): void;
}

export interface HostedRun extends RunningCall {
  readonly call: HostedCall;
  /** What it should take, as expected when it started. */
  readonly predictedMs: number;
}

export class Replica implements HedgeView {
  readonly key: number;
  readonly pool: SessionPool;
  readonly joinedAtMs: number;
  condition: ReplicaCondition = 'warming';
  link: JoinLink | undefined;
  isDraining = false;
  lastError = '';
  report: LoadReport | undefined;
  readonly outcomes = new Outcomes();
  completed = 0;
  failed = 0;
  /** Calls that it did not see through, and that another replica was given. */
  retried = 0;
  ejections = 0;
  #lastEjection: { readonly atMs: number; readonly untilMs: number } | undefined;
  #hello: ReplicaHello;
  #operations: ReadonlySet<string>;
  #idempotentMethods: ReadonlySet<string>;
  #reportedAt: ReplicaTimes;
  #hasSucceeded = false;
  #isPaused = false;
  #busyInARow = 0;
  readonly #now: () => number;
  readonly #running = new Map<number, HostedRun>();
  /** Runs whose work is done while their reply is on its way; they take no slot. */
  readonly #replying = new Map<number, HostedRun>();
  readonly #speed = new Speed();
  readonly #ejection = new Ejection();
  readonly #foreign = new ForeignWork();
  #typicalSpeed = 1;

  /** `clock`: monotonic, in ms; runs are timed by it. */
  constructor(key: number, hello: ReplicaHello, pool: SessionPool, now: ReplicaTimes, clock: () => number) {
    this.key = key;
    this.#now = clock;
    this.pool = pool;
    this.joinedAtMs = now.wallMs;
    this.#reportedAt = now;
    this.#hello = hello;
    this.#operations = new Set(hello.operations);
    this.#idempotentMethods = new Set(hello.idempotentMethods);
    this.#speed.begin(hello.calibratedSpeed, clock());
  }

  get id(): string {
    return this.#hello.replicaId;
  }

  get address(): string {
    return this.#hello.address;
  }

  get worker(): WorkerKind {
    return this.#hello.worker;
  }

  get hello(): ReplicaHello {
    return this.#hello;
  }

  get operations(): ReadonlySet<string> {
    return this.#operations;
  }

  get storeId(): string {
    return this.#hello.storeId;
  }

  get isCandidate(): boolean {
    return this.condition === 'ready' || this.condition === 'warming';
  }

  /** Whether it may take work soon, if not now: it is only late, reconnecting, or kept out for a while. */
  get isHopeful(): boolean {
    return (
      this.isCandidate || ((this.condition === 'suspect' || this.condition === 'ejected') && this.isServing)
    );
  }

  get isServing(): boolean {
    return this.report?.serving ?? true;
  }

  get credits(): number {
    if (this.#isPaused) return 0;
    if (this.condition === 'ready') return Math.max(0, this.#hello.slots - this.#foreign.at(this.#now()));
    return this.condition === 'warming' ? 1 : 0;
  }

  get inFlight(): number {
    return this.#running.size;
  }

  /** Whether it has no part in any call, not even a reply on its way. */
  get isIdle(): boolean {
    return this.#running.size === 0 && this.#replying.size === 0;
  }

  get hostId(): string {
    return this.#hello.hostId;
  }

  get running(): Iterable<HostedRun> {
    return this.#running.values();
  }

  get isRunningAlone(): boolean {
    for (const { call } of this.#running.values()) if (call.isAlone) return true;
    return false;
  }

  /** As estimated now. */
  get speed(): number {
    return this.#speed.at(this.#now(), this.#typicalSpeed);
  }

  /** As learned last; undefined: no call has taught it yet. */
  get learnedSpeed(): number | undefined {
    return this.#speed.learned;
  }

  /** How far predictions are off on it; undefined: no call has taught it yet. */
  get predictionSpread(): number | undefined {
    return this.#speed.spread;
  }

  /** The speed of its kind. */
  set typicalSpeed(speed: number) {
    this.#typicalSpeed = speed;
  }

  get reportedAtMs(): number {
    return this.#reportedAt.wallMs;
  }

  get busyInARow(): number {
    return this.#busyInARow;
  }

  isIdempotent(path: string): boolean {
    return this.#idempotentMethods.has(path);
  }

  /** It joined again under the same id and address. */
  renew(hello: ReplicaHello, now: ReplicaTimes): void {
    this.#hello = hello;
    this.#operations = new Set(hello.operations);
    this.#idempotentMethods = new Set(hello.idempotentMethods);
    this.#reportedAt = now;
    this.report = undefined;
    this.isDraining = false;
  }

  reportCame(report: LoadReport, now: ReplicaTimes): void {
    this.report = report;
    this.#reportedAt = now;
  }

  signs(attentiveMs: number): SignsOfLife {
    return {
      reportAgeMs: attentiveMs - this.#reportedAt.attentiveMs,
      isServing: this.isServing,
      isJoined: this.link !== undefined,
      isConnected: this.pool.isConnected,
      isDraining: this.isDraining,
      isEjected: this.#ejection.isOut(this.#now()),
      hasSucceeded: this.#hasSucceeded,
    };
  }

  /** Whether its faults are reason to keep it out. */
  get isEjectionDue(): boolean {
    return this.condition !== 'ejected' && this.#ejection.isDue;
  }

  /** Keeps it out from now, `wallMs` by the calendar, for a while, which is returned, in ms. Then one call at a time, until one succeeds. */
  eject(rng: () => number, wallMs: number): number {
    this.#hasSucceeded = false;
    const ms = this.#ejection.begin(this.#now(), rng);
    this.ejections++;
    this.#lastEjection = { atMs: wallMs, untilMs: wallMs + Math.round(ms) };
    return ms;
  }

  /** By the calendar, in ms since the epoch; undefined: never. */
  get lastEjection(): { readonly atMs: number; readonly untilMs: number } | undefined {
    return this.#lastEjection;
  }

  /** Its last fault was the call's: that fails everywhere. */
  forgive(): void {
    this.failed--;
    this.#ejection.forgive();
  }

  begin(call: HostedCall): void {
    const { costMs } = call;
    const predictedMs = costMs / this.speed;
    this.#running.set(call.id, { call, costMs, predictedMs, startedMs: this.#now() });
  }

  /** Its work for the call is done; the reply may take as long as its reader does. */
  worked({ id }: HostedCall): void {
    const run = this.#running.get(id);
    if (run === undefined) return;
    this.#running.delete(id);
    this.#replying.set(id, run);
    this.#busyInARow = 0;
  }

  /** The replica's part of the call ended so. Returns how long it worked where the call succeeded, in ms. */
  end(call: HostedCall, end: AttemptEnd, ms: number): number | undefined {
    const run = this.#take(call);
    switch (end.kind) {
      case 'replied':
        this.#answered(end.trailers, ms, run);
        return this.#learn(call, end.trailers);
      case 'status':
        this.#answered(end.headers, ms, run);
        return undefined;
      case 'failed':
        if (end.headers !== undefined) this.#hear(end.headers);
        if (end.failure === 'busy') this.#busyInARow++;
        else if (end.failure !== 'stopping') this.#count(ms, false, end.what);
        return undefined;
      default: {
        const unknown: never = end;
        throw new Error(`unknown end ${String(unknown)}`);
      }
    }
  }

  /**
   * The caller left, its deadline passed, or another replica was first. The first says nothing. After the others a run that is
   * long overdue counts as failed, and the replica is at most as fast as that; a deadline missed so is a fault, too.
   */
  abandon(call: HostedCall, why: 'left' | 'deadline' | 'overtaken'): void {
    const isWorking = this.#running.has(call.id);
    const run = this.#take(call);
    if (why === 'left' || run === undefined || !isWorking || !this.#isOverdue(run)) return;
    const ms = this.#now() - run.startedMs;
    this.#speed.learnAtMost(run.costMs, ms, this.#now());
    if (why === 'deadline') this.#ejection.failed();
    this.#failed(ms, `no answer in ${Math.round(ms)} ms, expected in ${Math.round(run.predictedMs)}`);
  }

  #take({ id }: HostedCall): HostedRun | undefined {
    const run = this.#running.get(id) ?? this.#replying.get(id);
    this.#running.delete(id);
    this.#replying.delete(id);
    return run;
  }

  #isOverdue(run: HostedRun): boolean {
    return isOverdue(run, this.#now(), this.#speed.spread ?? usualSpread);
  }

  /** No new work until resumed. */
  set isPaused(isPaused: boolean) {
    this.#isPaused = isPaused;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** From the time that it says it worked: neither the network nor a slow caller makes it slow. */
  #learn({ costMs }: WaitingCall, trailers: IncomingHttpHeaders): number | undefined {
    const execMs = Number(trailers[IM_EXEC_MS]);
    if (Number(trailers['grpc-status']) !== 0 || !(execMs > 0)) return undefined;
    this.#speed.learn(costMs, execMs, this.#now());
    this.#foreign.worked(execMs);
    return execMs;
  }

  #hear(trailers: IncomingHttpHeaders): void {
    this.#foreign.heard(Number(trailers[IM_FOREIGN] ?? 0), this.#now());
  }

  #answered(trailers: IncomingHttpHeaders, ms: number, run: HostedRun | undefined): void {
    const status = Number(trailers['grpc-status']);
    // Whoever sets a deadline that is too short finds it passed everywhere.
    const isLate = status === deadlineExceeded && (run === undefined || !this.#isOverdue(run));
    const isFault = !isLate && !callersFault.has(status);
    this.#busyInARow = 0;
    this.#hear(trailers);
    if (status === 0) this.#hasSucceeded = true;
    this.#count(
      ms,
      !isFault,
      `${trailers[IM_REASON] ?? `gRPC status ${status}`}: ${trailers['grpc-message'] ?? ''}`,
    );
  }

  #count(ms: number, isSuccess: boolean, what: string): void {
    if (isSuccess) {
      this.completed++;
      this.outcomes.add(ms, true);
      this.#ejection.succeeded();
      return;
    }
    this.#ejection.failed();
    this.#failed(ms, what);
  }

  #failed(ms: number, what: string): void {
    this.completed++;
    this.failed++;
    this.outcomes.add(ms, false);
    this.lastError = what.slice(0, maxErrorChars);
  }
}

const maxErrorChars = 300;
const deadlineExceeded = 4;

/**
 * OK, and what a sound replica answers to a bad request: CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS,
 * PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED.
 */
const callersFault: ReadonlySet<number> = new Set([0, 1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 16]);
