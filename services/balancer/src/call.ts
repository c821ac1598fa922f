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
import type { CallClass, Needs, WaitingCall } from './dispatch.ts';
import { passedOn, requestHeaders, responseHeaders } from './forward-headers.ts';
import type { Replica } from './replica.ts';
import { endWith, refuse } from './reply.ts';
import type { RequestBody } from './request-body.ts';
import { afterFailure } from './retry.ts';

/** How long a replica's own answer to a passed deadline is awaited, and a caller may fetch its last bytes. */
const deadlineSlackMs = 250;

type Phase =
  | { readonly kind: 'waiting'; readonly sinceMs: number }
  | {
      readonly kind: 'running';
      readonly sinceMs: number;
      readonly replica: Replica;
      readonly attempt: Attempt | undefined;
    }
  | { readonly kind: 'over' };

export class ProxiedCall implements WaitingCall {
  readonly id: number;
  readonly info: CallInfo;
  readonly excluded = new Set<number>();
  /** Since when no replica could run it; undefined while one can. */
  strandedSinceMs: number | undefined;
  #isAlone = false;
  readonly #caller: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #body: RequestBody;
  readonly #host: CallHost;
  readonly #beganMs: number;
  #phase: Phase;
  #timer: NodeJS.Timeout | undefined;
  #attempts = 0;
  #failedAttempts = 0;
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

  get costMs(): number {
    return this.info.costMs;
  }

  get isAlone(): boolean {
    return this.#isAlone;
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

  /** Enters the queue for the first time. */
  enter(): void {
    try {
      this.#host.enqueue(this, 'new');
    } catch (error) {
      this.fail(toMeshError(error));
    }
  }

  /** Runs it there; the scheduler has taken it out of the queue. */
  start(replica: Replica): void {
    if (this.#phase.kind !== 'waiting') return;
    const nowMs = this.#host.now();
    const waitedMs = nowMs - this.#phase.sinceMs;
    this.#queueMs += waitedMs;
    this.#attempts++;
    this.#replicaId = replica.id;
    this.#host.onStart(this, waitedMs);
    replica.begin(this);
    // Known as running before the attempt is: it may fail while it is being made.
    this.#phase = { kind: 'running', sinceMs: nowMs, replica, attempt: undefined };
    let attempt: Attempt;
    try {
      attempt = new Attempt({
        pool: replica.pool,
        headers: requestHeaders(this.#headers, this.info, replica.address, Date.now()),
        body: this.#body,
        caller: this.#caller,
        // A call that may not run twice gains nothing by waiting.
        reply: this.#host.holdReply(replica.isIdempotent(this.info.path)),
        onCommit: () => this.#body.stopKeeping(),
        onEnd: (end) => this.#attemptEnded(replica, nowMs, end),
      });
    } catch (error) {
      this.#attemptEnded(replica, nowMs, {
        kind: 'failed',
        failure: 'refused',
        what: toMeshError(error).message,
      });
      return;
    }
    this.#phase = { kind: 'running', sinceMs: nowMs, replica, attempt };
  }

  /** Ends it with this error, wherever it is. */
  fail(error: MeshError): void {
    const phase = this.#phase;
    if (phase.kind === 'over') return;
    if (phase.kind === 'waiting') {
      this.#queueMs += this.#host.now() - phase.sinceMs;
      this.#host.withdraw(this);
    } else {
      this.#leaveReplica(phase);
    }
    this.#finish(error);
    endWith(this.#caller, error);
    this.#body.release();
  }

  #attemptEnded(replica: Replica, startedMs: number, end: AttemptEnd): void {
    const phase = this.#phase;
    if (phase.kind !== 'running') return;
    this.#bytesDown = phase.attempt?.bytesDown ?? 0;
    const isCommitted = phase.attempt?.isCommitted ?? false;
    replica.end(this, end, this.#host.now() - startedMs);
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
        this.#attemptFailed(replica, end, isCommitted);
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
    replica: Replica,
    { failure, what, headers }: AttemptEnd & { kind: 'failed' },
    isCommitted: boolean,
  ): void {
    if (failure !== 'busy') {
      this.#failedAttempts++;
      this.excluded.add(replica.key);
    }
    if (failure === 'died') this.#isAlone = true;
    if (failure === 'errored') this.#erroredOn.add(replica);
    this.#lastFailure = `replica ${replica.id}: ${what}`;
    const decision = afterFailure({
      failure,
      failedAttempts: this.#failedAttempts,
      maxAttempts: this.#host.maxAttempts,
      erroredOn: this.#erroredOn.size,
      isInBudget: this.#host.retryBudget.isLeft,
      isIdempotent: replica.isIdempotent(this.info.path),
      isReplayable: this.#body.isReplayable,
      isCommitted,
    });
    if (decision === 'again') {
      this.#phase = { kind: 'waiting', sinceMs: this.#host.now() };
      if (failure === 'errored') this.#host.retryBudget.spend();
      this.#host.enqueue(this, failure);
      return;
    }
    if (failure === 'errored' && headers !== undefined) {
      // What fails alike on two replicas fails on all: neither is to blame.
      if (this.#erroredOn.size > 1) for (const each of this.#erroredOn) this.#host.forgive(each);
      this.#passStatus(headers);
      return;
    }
    const error =
      failure === 'busy'
        ? new MeshError(
            'REPLICA_BUSY',
            `replica ${replica.id} was full, and the body is too large to send again`,
          )
        : new MeshError('REPLICA_LOST', `replica ${replica.id} was lost while it worked`, {
            metadata: { replica: replica.id, attempts: String(this.#attempts) },
            cause: new Error(what),
          });
    this.#finish(error);
    endWith(this.#caller, error);
    this.#body.release();
  }

  #callerClosed(): void {
    clearTimeout(this.#timer);
    this.#body.release();
    const phase = this.#phase;
    if (phase.kind === 'waiting') {
      this.#queueMs += this.#host.now() - phase.sinceMs;
      this.#host.withdraw(this);
    } else if (phase.kind === 'running') {
      this.#leaveReplica(phase);
    }
    if (phase.kind !== 'over') this.#finish(cancelled());
    this.#host.onGone(this);
  }

  #leaveReplica(phase: Phase & { kind: 'running' }): void {
    this.#bytesDown = phase.attempt?.bytesDown ?? 0;
    // The phase first: the slot's freeing may start other calls.
    this.#phase = { kind: 'over' };
    phase.attempt?.cancel();
    phase.replica.abandon(this);
    this.#host.slotFreed(phase.replica);
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
