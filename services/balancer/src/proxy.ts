/** Takes the work methods' raw streams and sees each through; nothing here reads a message. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { WorkerKind } from '@imagemesh/api';
import type { Logger } from '@imagemesh/observe';
import { MeshError, type StreamHandler } from '@imagemesh/rpc';
import { retryBudget as createRetryBudget } from './budget.ts';
import { ProxiedCall } from './call.ts';
import type { CallHost, CallOutcome } from './call-host.ts';
import { readCallInfo } from './call-info.ts';
import { CostModel } from './cost-model.ts';
import type { Fleet } from './fleet.ts';
import { HeldReply } from './held-reply.ts';
import type { BalancerMetrics } from './metrics.ts';
import { answerHttp, endWith } from './reply.ts';
import { type HeldBytes, RequestBody } from './request-body.ts';
import { busyPauseMs } from './retry.ts';
import { WORK_ROUTES } from './routes.ts';
import type { Scheduler } from './scheduler.ts';

export interface ProxyOptions {
  readonly scheduler: Scheduler;
  readonly fleet: Fleet;
  readonly held: HeldBytes;
  readonly metrics: BalancerMetrics;
  readonly log: Logger;
  readonly balancerId: string;
  readonly maxAttempts: number;
  readonly maxHeldBytesPerCall: number;
  readonly maxHeldReplyBytes: number;
  /** For calls without grpc-timeout. */
  readonly defaultDeadlineMs: number;
  readonly rng: () => number;
}

export interface Proxy {
  /** By method path, for startRpcServer. */
  readonly streams: ReadonlyMap<string, StreamHandler>;
  /** Calls not over, and callers still fetching. */
  readonly open: number;
  /** Refuses new calls; resolves when none is open, or after graceMs, when the rest have been told. */
  close(graceMs: number): Promise<void>;
}

export function createProxy(options: ProxyOptions): Proxy {
  const { scheduler, fleet, metrics, rng } = options;
  const open = new Set<ProxiedCall>();
  const retryBudget = createRetryBudget();
  const costs = new CostModel();
  let nextId = 1;
  let isClosing = false;
  let onIdle = () => {};

  const host: CallHost = {
    balancerId: options.balancerId,
    maxAttempts: options.maxAttempts,
    costs,
    holdReply: (isHeld) => new HeldReply(options.held, isHeld ? options.maxHeldReplyBytes : 0),
    retryBudget,
    onDied: (replica) => fleet.connectionBroke(replica),
    forgive: (replica) => fleet.forgive(replica),
    enqueue: (call, why) => {
      if (why === 'new') {
        scheduler.submit(call);
      } else {
        metrics.requeued(call.needs.worker, why);
        scheduler.requeue(call);
      }
    },
    withdraw: (call) => scheduler.withdraw(call),
    slotFreed: (replica) => {
      if (replica.busyInARow > 0) fleet.pause(replica, busyPauseMs(replica.busyInARow, rng));
      fleet.callEnded(replica);
      scheduler.pump(replica.worker);
    },
    onStart: metrics.started,
    onHedge: metrics.hedged,
    onWorked: (call, execMs, speed) => {
      metrics.worked(call, execMs, speed);
      costs.learn(call.info.cost, execMs, speed);
    },
    onEnd: (outcome) => {
      metrics.ended(outcome);
      logOutcome(options.log, outcome);
    },
    onGone: (call) => {
      open.delete(call);
      if (open.size === 0) onIdle();
    },
    now: () => performance.now(),
  };

  const serve = (worker: WorkerKind, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    // Each error of the stream also closes it, and that is where it is dealt with.
    stream.on('error', () => {});
    if (headers[':method'] !== 'POST') return answerHttp(stream, 405, 'gRPC calls are POST');
    if (headers['content-type']?.startsWith('application/grpc') !== true) {
      return answerHttp(stream, 415, 'expected application/grpc');
    }
    if (isClosing) return endWith(stream, shuttingDown());
    const info = readCallInfo(headers, worker, options.defaultDeadlineMs);
    const body = new RequestBody(stream, options.held, options.maxHeldBytesPerCall);
    const call = new ProxiedCall(nextId++, info, stream, headers, body, host);
    open.add(call);
    retryBudget.earn();
    call.enter();
  };

  return {
    streams: new Map(
      [...WORK_ROUTES].map(([path, worker]) => [path, (stream, headers) => serve(worker, stream, headers)]),
    ),
    get open() {
      return open.size;
    },
    close: async (graceMs) => {
      isClosing = true;
      if (open.size === 0) return;
      await Promise.race([
        new Promise<void>((resolve) => {
          onIdle = resolve;
        }),
        new Promise<void>((resolve) => setTimeout(resolve, graceMs)),
      ]);
      if (open.size === 0) return;
      for (const call of [...open]) call.fail(shuttingDown());
    },
  };
}

function shuttingDown(): MeshError {
  return new MeshError('SHUTTING_DOWN', 'the balancer is shutting down');
}

function logOutcome(log: Logger, outcome: CallOutcome): void {
  const { info, grpcStatus, reason, message, replicaId, attempts, queueMs, ms, bytesUp, bytesDown } = outcome;
  const line = {
    requestId: info.requestId,
    traceId: info.trace.traceId,
    spanId: info.trace.spanId,
    method: info.path,
    status: grpcStatus,
    replica: replicaId,
    attempts,
    queueMs: Math.round(queueMs * 10) / 10,
    ms: Math.round(ms * 10) / 10,
    bytesUp,
    bytesDown,
    ...(reason !== undefined && { reason }),
    ...(message !== undefined && { message }),
  };
  log.info(line, 'call');
}
