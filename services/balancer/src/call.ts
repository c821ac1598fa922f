/**
 * One call on its way through: it waits, runs, perhaps runs again, and ends with a gRPC status whatever happens. Longer than
 * most: each of its phases can be ended from four sides, and they are one state machine.
 */
import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import {
  cancelled,
  deadlineExceeded,
  ERROR_CODES,
  IM_REASON,
  MeshError,
  remainingMs,
  stopReading,
  toMeshError,
} from '@imagemesh/rpc';
import { Attempt, type AttemptEnd } from './attempt.ts';
import type { CallHost } from './call-host.ts';
import type { CallInfo } from './call-info.ts';
import type { CallClass, Needs } from './dispatch.ts';
import { passedOn, requestHeaders, responseHeaders } from './forward-headers.ts';
import type { HostedCall, Replica } from './replica.ts';
import { endWith, refuse } from './reply.ts';
import type { RequestBody } from './request-body.ts';
import { afterFailure, type Failure } from './retry.ts';

/** How long a replica's own answer to a passed deadline is awaited, and a caller may fetch its last bytes. */
const deadlineSlackMs = 250;

/** From the second on a call ran alone when its replica died, and one such death may be chance. */
const poisonousDeaths = 3;
/** Tries on replicas that died with the call already, which count neither as deaths nor as tries. */
const maxEchoes = 10;

/** On one replica. */
interface Run {
  readonly replica: Replica;
  readonly startedMs: number;
  readonly isHedge: boolean;
  /** Known as running before its attempt is: that may fail while it is being made. */
  attempt: Attempt | undefined;
}

type Phase =
  | { readonly kind: 'waiting'; readonly sinceMs: number }
  /** On one replica, or on two if the first is overdue. */
  | { readonly kind: 'running'; readonly runs: Set<Run> }
  | { readonly kind: 'over' };

export class ProxiedCall implements HostedCall {
  readonly id: number;
  readonly info: CallInfo;
  /** Predicted work in ms of a reference core. */
  readonly costMs: number;
  readonly excluded = new Set<number>();
  /** Since when no replica could run it; undefined while one can. */
  strandedSinceMs: number | undefined;
  readonly #caller: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #body: RequestBody;
  readonly #host: CallHost;
  readonly #beganMs: number;
  #phase: Phase;
  #timer: NodeJS.Timeout | undefined;
  #attempts = 0;
  #failedAttempts = 0;
  #isHedged = false;
  /** Replicas that died while they ran it; after the first it runs alone. */
  #deaths: number;
  readonly #diedOn = new Set<object>();
  #echoes = 0;
  readonly #erroredOn = new Set<Replica>();
  #queueMs = 0;
  #bytesDown = 0;
  #replicaId: string | undefined;
  #lastFailure: string | undefined;

  constructor(
    id: number,
    info: CallInfo,
    caller: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    body: RequestBody,
    host: CallHost,
  ) {
    this.id = id;
    this.info = info;
    this.#caller = caller;
    this.#headers = headers;
    this.#body = body;
    this.#host = host;
    this.costMs = host.costs.estimate(info.cost);
    this.#deaths = info.deaths;
    this.#beganMs = host.now();
    this.#phase = { kind: 'waiting', sinceMs: this.#beganMs };
    caller.once('close', () => this.#callerClosed());
    this.#armDeadline();
  }

  get order(): number {
    return this.#beganMs - this.info.ageMs;
  }

  get callClass(): CallClass {
    return this.info.callClass;
  }

  get needs(): Needs {
    return this.info.needs;
  }

  get isAlone(): boolean {
    return this.#deaths > 0;
  }

  /** A later stage: what was admitted once is not refused. */
  get isAdmitted(): boolean {
    return this.info.ageMs > 0;
  }

  get isWaiting(): boolean {
    return this.#phase.kind === 'waiting';
  }

  /** Why it is in the queue again, if it is. */
  get lastFailure(): string | undefined {
    return this.#lastFailure;
  }

  /** Enters the queue for the first time, once no replica would have to wait for the caller. */
  enter(): void {
    this.#body.whenReady(() => {
      if (this.#phase.kind !== 'waiting') return;
      // Time that the caller took to send is no time in the queue.
      this.#phase = { kind: 'waiting', sinceMs: this.#host.now() };
      try {
        this.#host.enqueue(this, 'new');
      } catch (error) {
        this.fail(toMeshError(error));
      }
    });
  }

  /** Runs it there; the scheduler has taken it out of the queue. */
  start(replica: Replica): void {
    if (this.#phase.kind !== 'waiting') return;
    const waitedMs = this.#host.now() - this.#phase.sinceMs;
    this.#queueMs += waitedMs;
    this.#host.onStart(this, waitedMs);
    const runs = new Set<Run>();
    this.#phase = { kind: 'running', runs };
    this.#run(replica, runs, false);
  }

  /** Whether it may run on a second replica now. */
  get isHedgeable(): boolean {
    if (this.#phase.kind !== 'running' || this.#isHedged || this.isAlone) return false;
    const [run, other] = this.#phase.runs;
    if (run?.attempt === undefined || other !== undefined || run.attempt.isCommitted) return false;
    return run.replica.isIdempotent(this.info.path) && this.#body.hasEnded && this.#body.isReplayable;
  }

  /** Runs it there too; the first reply counts. Only where `isHedgeable`. */
  hedge(replica: Replica): void {
    if (this.#phase.kind !== 'running') return;
    this.#isHedged = true;
    this.#run(replica, this.#phase.runs, true);
  }

  #run(replica: Replica, runs: Set<Run>, isHedge: boolean): void {
    const run: Run = { replica, startedMs: this.#host.now(), isHedge, attempt: undefined };
    runs.add(run);
    this.#attempts++;
    this.#replicaId = replica.id;
    replica.begin(this);
    try {
      run.attempt = new Attempt({
        pool: replica.pool,
        headers: requestHeaders(
          this.#headers,
          this.info,
          { address: replica.address, balancerId: this.#host.balancerId },
          Date.now(),
        ),
        body: this.#body,
        caller: this.#caller,
        // A call that may not run twice gains nothing by waiting.
        reply: this.#host.holdReply(replica.isIdempotent(this.info.path)),
        onCommit: () => {
          this.#leaveOthers(run);
          this.#body.stopKeeping();
        },
        onWorked: () => {
          replica.worked(this);
          this.#host.slotFreed(replica);
        },
        onEnd: (end) => this.#attemptEnded(run, end),
      });
    } catch (error) {
      const { reason, message } = toMeshError(error);
      // With its connections full of calls that are being reset, the replica is not to blame.
      const failure = reason === 'OVERLOADED' ? 'busy' : 'refused';
      this.#attemptEnded(run, { kind: 'failed', failure, what: message });
    }
  }

  /** Ends it with this error, wherever it is. */
  fail(error: MeshError): void {
    const phase = this.#phase;
    if (phase.kind === 'over') return;
    if (phase.kind === 'waiting') {
      this.#queueMs += this.#host.now() - phase.sinceMs;
      this.#host.withdraw(this);
    } else {
      this.#leaveAll(phase);
    }
    const told = this.#stranded(error);
    this.#finish(told);
    endWith(this.#caller, told);
    this.#body.release();
  }

  #attemptEnded(run: Run, end: AttemptEnd): void {
    const phase = this.#phase;
    if (phase.kind !== 'running' || !phase.runs.has(run)) return;
    const { replica, attempt } = run;
    const isCommitted = attempt?.isCommitted ?? false;
    if (end.kind !== 'failed') this.#leaveOthers(run);
    phase.runs.delete(run);
    this.#bytesDown = attempt?.bytesDown ?? 0;
    const { speed } = replica;
    const execMs = replica.end(this, end, this.#host.now() - run.startedMs);
    if (execMs !== undefined) this.#host.onWorked(this, execMs, speed);
    switch (end.kind) {
      case 'replied': {
        const trailers = passedOn(end.trailers);
        this.#finish(undefined, end.trailers);
        this.#caller.once('wantTrailers', () => {
          this.#caller.sendTrailers(trailers);
          stopReading(this.#caller);
        });
        this.#caller.end();
        this.#body.release();
        break;
      }
      case 'status':
        this.#passStatus(end.headers);
        break;
      case 'failed':
        this.#attemptFailed(run, end, isCommitted, phase.runs);
        break;
      default: {
        const unknown: never = end;
        throw new Error(`unknown end ${String(unknown)}`);
      }
    }
    this.#host.slotFreed(replica);
  }

  /** The replica's own answer, which has no messages. */
  #passStatus(trailers: IncomingHttpHeaders): void {
    this.#finish(undefined, trailers);
    const headers: OutgoingHttpHeaders = responseHeaders(trailers);
    if (!this.#caller.destroyed && !this.#caller.closed) {
      this.#caller.respond(headers, { endStream: true });
      stopReading(this.#caller);
    }
    this.#body.release();
  }

  #attemptFailed(
    { replica, isHedge }: Run,
    { failure, what, headers }: AttemptEnd & { kind: 'failed' },
    isCommitted: boolean,
    otherRuns: ReadonlySet<Run>,
  ): void {
    if (failure !== 'busy') {
      if (!this.#isEcho(failure, replica)) this.#failedAttempts++;
      this.excluded.add(replica.key);
    }
    if (failure === 'died') {
      if (!this.#diedOn.has(lifeOf(replica))) this.#deaths++;
      this.#diedOn.add(lifeOf(replica));
      this.#host.onDied(replica);
    }
    if (failure === 'errored') this.#erroredOn.add(replica);
    this.#lastFailure = `replica ${replica.id}: ${what}`;
    if (otherRuns.size > 0) {
      if (isHedge) this.#host.onHedge(this, 'lost');
      return;
    }
    const question = {
      failure,
      failedAttempts: this.#failedAttempts,
      maxAttempts: this.#host.maxAttempts,
      erroredOn: this.#erroredOn.size,
      isInBudget: this.#host.retryBudget.isLeft,
      isIdempotent: replica.isIdempotent(this.info.path),
      isReplayable: this.#body.isReplayable,
      isCommitted,
    };
    if (this.#deaths < poisonousDeaths && afterFailure(question) === 'again') {
      this.#phase = { kind: 'waiting', sinceMs: this.#host.now() };
      if (failure === 'errored') this.#host.retryBudget.spend();
      if (failure !== 'busy') replica.retried++;
      this.#host.enqueue(this, failure);
      return;
    }
    if (failure === 'errored' && headers !== undefined) {
      // What fails alike on two replicas fails on all: neither is to blame.
      if (this.#erroredOn.size > 1) for (const each of this.#erroredOn) this.#host.forgive(each);
      this.#passStatus(headers);
      return;
    }
    const error = this.#lossOf(replica, failure, what);
    this.#finish(error);
    endWith(this.#caller, error);
    this.#body.release();
  }

  /** A process that is being killed may take connections for some ms more: what is tried there is the same death. */
  #isEcho(failure: Failure, replica: Replica): boolean {
    if (failure !== 'died' || !this.#diedOn.has(lifeOf(replica))) return false;
    this.#echoes++;
    return this.#echoes <= maxEchoes;
  }

  #lossOf(replica: Replica, failure: Failure, what: string): MeshError {
    if (failure === 'busy') {
      const why = `replica ${replica.id} was full, and the body is too large to send again`;
      return new MeshError('REPLICA_BUSY', why);
    }
    const metadata = { replica: replica.id, attempts: String(this.#attempts) };
    const cause = new Error(what);
    if (this.#deaths < poisonousDeaths) {
      return new MeshError('REPLICA_LOST', `replica ${replica.id} was lost while it worked`, {
        metadata,
        cause,
      });
    }
    return this.#poisoned(metadata, cause);
  }

  #poisoned(metadata: Readonly<Record<string, string>>, cause: Error): MeshError {
    const why = `${this.#deaths - 1} replicas died while they did nothing but this call`;
    return new MeshError('POISONED', why, { metadata, cause });
  }

  /** Nobody is left to run it. Its sender may send it again, and is told what became of those who ran it. */
  #stranded(error: MeshError): MeshError {
    if (error.reason !== 'NO_REPLICA' || this.#deaths === 0) return error;
    if (this.#deaths >= poisonousDeaths) return this.#poisoned({ attempts: String(this.#attempts) }, error);
    const metadata = { ...error.metadata, deaths: String(this.#deaths) };
    return new MeshError('NO_REPLICA', error.message, { metadata, cause: error });
  }

  #callerClosed(): void {
    clearTimeout(this.#timer);
    this.#body.release();
    const phase = this.#phase;
    if (phase.kind === 'waiting') {
      this.#queueMs += this.#host.now() - phase.sinceMs;
      this.#host.withdraw(this);
    } else if (phase.kind === 'running') {
      this.#leaveAll(phase);
    }
    if (phase.kind !== 'over') this.#finish(cancelled());
    this.#host.onGone(this);
  }

  /** This run has won. */
  #leaveOthers(winner: Run): void {
    if (this.#phase.kind !== 'running') return;
    this.#replicaId = winner.replica.id;
    for (const run of this.#phase.runs) {
      if (run === winner) continue;
      this.#phase.runs.delete(run);
      this.#host.onHedge(this, winner.isHedge ? 'won' : 'lost');
      // A second run that comes second says nothing: it had less time.
      this.#leave(run, winner.isHedge ? 'overtaken' : 'left');
    }
  }

  #leaveAll({ runs }: Phase & { kind: 'running' }): void {
    // The phase first: the slot's freeing may start other calls.
    this.#phase = { kind: 'over' };
    for (const run of runs) {
      this.#bytesDown = run.attempt?.bytesDown ?? 0;
      const isLate = this.#body.hasEnded && remainingMs(this.info.deadline) < deadlineSlackMs;
      this.#leave(run, isLate ? 'deadline' : 'left');
    }
  }

  #leave({ replica, attempt }: Run, why: 'left' | 'deadline' | 'overtaken'): void {
    attempt?.cancel();
    replica.abandon(this, why);
    // Cancels come in crowds: the next call may be about to leave, too.
    setImmediate(() => this.#host.slotFreed(replica));
  }

  #armDeadline(): void {
    this.#timer = setTimeout(() => this.#deadlinePassed(), remainingMs(this.info.deadline));
  }

  /** A waiting call is told now; a running one hears it from its replica, or a moment later from here. */
  #deadlinePassed(): void {
    if (this.#phase.kind === 'waiting') {
      this.fail(deadlineExceeded());
    }
    this.#timer = setTimeout(() => {
      this.fail(deadlineExceeded());
      // A caller that has not fetched its reply by its own deadline does not want it.
      this.#timer = setTimeout(() => refuse(this.#caller, constants.NGHTTP2_CANCEL), deadlineSlackMs);
    }, deadlineSlackMs);
  }

  #finish(error: MeshError | undefined, trailers?: IncomingHttpHeaders): void {
    this.#phase = { kind: 'over' };
    const reason = error?.reason ?? trailers?.[IM_REASON];
    this.#host.onEnd({
      info: this.info,
      grpcStatus: error === undefined ? Number(trailers?.['grpc-status']) : ERROR_CODES[error.code].grpc,
      reason: typeof reason === 'string' ? reason : undefined,
      message: error?.message ?? this.#lastFailure,
      replicaId: this.#replicaId,
      attempts: this.#attempts,
      queueMs: this.#queueMs,
      ms: this.#host.now() - this.#beganMs,
      bytesUp: this.#body.totalBytes,
      bytesDown: this.#bytesDown,
    });
  }
}

/** One stay of a replica in the fleet: a process that starts again under the same name joins anew. */
function lifeOf(replica: Replica): object {
  return replica.link ?? replica;
}
