/** Serves the work method: a slot or BUSY, the pipeline, trailers, metrics, one log line. */
import { formatTraceparent, type Logger, type Metrics } from '@imagemesh/observe';
import {
  IM_BALANCER,
  IM_COST,
  IM_EXEC_MS,
  IM_FOREIGN,
  IM_QUEUE_MS,
  IM_REPLICA,
  MeshError,
  type ServerWireCall,
  type StreamHandler,
  toMeshError,
  wireHandler,
} from '@imagemesh/rpc';
import type { OwnSpeed } from './own-speed.ts';
import { doWork, type PipelineOptions, type Reply, sendReply, type WorkTimes } from './pipeline.ts';
import type { Slots } from './slots.ts';

export interface WorkHandlerOptions<Picture> extends PipelineOptions<Picture> {
  readonly slots: Slots;
  /** Replies on their way take no slot, but memory. */
  readonly maxUnreadReplyBytes: number;
  readonly ownSpeed: OwnSpeed;
  readonly metrics: Metrics;
  readonly defaultDeadlineMs: number;
  /** True once the replica leaves: calls that still come are sent elsewhere. */
  readonly isStopping: () => boolean;
}

export interface WorkHandler {
  readonly handle: StreamHandler;
  /** Calls that ended, with or without an error; BUSY ones were never begun. */
  readonly completed: number;
}

export function createWorkHandler<Picture>(options: WorkHandlerOptions<Picture>): WorkHandler {
  const { slots, maxUnreadReplyBytes, ownSpeed, log, replicaId, defaultDeadlineMs, isStopping } = options;
  const meters = createMeters(options.metrics, slots);
  let completed = 0;
  let unreadBytes = 0;

  const serve = async (call: ServerWireCall): Promise<void> => {
    call.trailers[IM_REPLICA] = replicaId;
    const balancer = String(call.headers[IM_BALANCER] ?? '');
    if (isStopping())
      throw new MeshError('REPLICA_STOPPING', 'this replica is leaving; another one will do it');
    const release = unreadBytes < maxUnreadReplyBytes ? slots.tryAcquire(balancer) : undefined;
    if (release === undefined) {
      meters.busy.inc();
      call.trailers[IM_FOREIGN] = String(slots.runningForOthers(balancer));
      throw new MeshError('REPLICA_BUSY', 'no slot of this replica is free');
    }
    const times: WorkTimes = { operations: [], queueMs: 0, execMs: 0 };
    const startedMs = performance.now();
    let outcome: unknown;
    try {
      let reply: Reply;
      try {
        reply = await doWork(call, options, times);
        ownSpeed.worked(Number(call.headers[IM_COST]), times.execMs);
      } finally {
        release();
        call.trailers[IM_FOREIGN] = String(slots.runningForOthers(balancer));
        call.trailers[IM_EXEC_MS] = times.execMs.toFixed(2);
        call.trailers[IM_QUEUE_MS] = times.queueMs.toFixed(2);
      }
      const replyBytes = reply.bytes?.byteLength ?? 0;
      unreadBytes += replyBytes;
      call.responseHeaders[IM_EXEC_MS] = times.execMs.toFixed(2);
      try {
        await sendReply(reply, call.writer);
      } finally {
        unreadBytes -= replyBytes;
        reply.release();
      }
    } catch (error) {
      outcome = call.signal.aborted ? call.signal.reason : error;
      throw outcome;
    } finally {
      completed += 1;
      const error = outcome === undefined ? undefined : toMeshError(outcome);
      const name = error?.reason ?? 'OK';
      meters.calls.inc({ outcome: name });
      meters.exec.observe(times.execMs / 1000);
      logCall(log, call, times, error, performance.now() - startedMs);
    }
  };
  return {
    handle: wireHandler(serve, { defaultDeadlineMs }),
    get completed() {
      return completed;
    },
  };
}

function createMeters(metrics: Metrics, slots: Slots) {
  metrics.gauge({
    name: 'imagemesh_replica_in_flight',
    help: 'Calls running now.',
    collect() {
      this.set(slots.running);
    },
  });
  return {
    calls: metrics.counter({
      name: 'imagemesh_replica_calls_total',
      help: 'Calls ended, by outcome: OK or the reason of the error.',
      labelNames: ['outcome'],
    }),
    busy: metrics.counter({
      name: 'imagemesh_replica_busy_total',
      help: 'Calls refused for want of a slot.',
    }),
    exec: metrics.histogram({
      name: 'imagemesh_replica_exec_seconds',
      help: 'Time from the last byte of the source to the result.',
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
    }),
  };
}

function logCall(
  log: Logger,
  call: ServerWireCall,
  times: WorkTimes,
  error: MeshError | undefined,
  ms: number,
): void {
  const line = {
    requestId: call.requestId,
    traceparent: formatTraceparent(call.trace),
    method: call.path,
    operations: times.operations,
    outcome: error?.reason ?? 'OK',
    ms: round(ms),
    execMs: round(times.execMs),
    queueMs: round(times.queueMs),
    ...(error !== undefined && { message: error.message }),
  };
  if (error?.code === 'internal') log.error({ ...line, err: error.cause ?? error }, 'call');
  else log.info(line, 'call');
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
