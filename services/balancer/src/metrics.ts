/** What Prometheus sees of a balancer. */
import type { WorkerKind } from '@imagemesh/api';
import type { Metrics } from '@imagemesh/observe';
import type { ProxiedCall } from './call.ts';
import type { CallOutcome, HedgeOutcome } from './call-host.ts';
import type { Fleet } from './fleet.ts';
import type { Replica } from './replica.ts';
import type { HeldBytes } from './request-body.ts';
import type { Failure } from './retry.ts';
import { workerName } from './routes.ts';
import type { Scheduler } from './scheduler.ts';

export interface BalancerMetrics {
  started(call: ProxiedCall, waitedMs: number): void;
  /** It queues again after this. */
  requeued(worker: WorkerKind, failure: Failure): void;
  /** It took so long on a replica that was thought to be of that speed. */
  worked(call: ProxiedCall, execMs: number, speed: number): void;
  ejected(replica: Replica): void;
  hedged(call: ProxiedCall, outcome: HedgeOutcome): void;
  ended(outcome: CallOutcome): void;
}

const secondsBuckets = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];

export function createBalancerMetrics(
  metrics: Metrics,
  { fleet, scheduler, held }: { fleet: Fleet; scheduler: Scheduler; held: HeldBytes },
): BalancerMetrics {
  const name = (what: string) => `imagemesh_balancer_${what}`;
  const calls = metrics.counter({
    name: name('calls_total'),
    help: 'Calls that ended, by gRPC status.',
    labelNames: ['worker', 'status'],
  });
  const seconds = metrics.histogram({
    name: name('call_seconds'),
    help: 'Time from arrival to status.',
    labelNames: ['worker'],
    buckets: secondsBuckets,
  });
  const waits = metrics.histogram({
    name: name('wait_seconds'),
    help: 'Time in the queue, each time a call is given to a replica.',
    labelNames: ['worker', 'class'],
    buckets: secondsBuckets,
  });
  const retries = metrics.counter({
    name: name('retries_total'),
    help: 'Calls sent to another replica after one failed.',
    labelNames: ['worker', 'failure'],
  });
  const requeues = metrics.counter({
    name: name('requeues_total'),
    help: 'Calls queued again because a replica was busy.',
    labelNames: ['worker'],
  });
  const hedges = metrics.counter({
    name: name('hedges_total'),
    help: 'Overdue calls run on a second replica, by whether that was first.',
    labelNames: ['worker', 'outcome'],
  });
  const ratios = metrics.histogram({
    name: name('actual_over_predicted'),
    help: 'Time that a call took on its replica over what was predicted.',
    labelNames: ['worker'],
    buckets: [0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 4],
  });
  const ejections = metrics.counter({
    name: name('ejections_total'),
    help: 'Replicas kept out for a while because they failed too often.',
    labelNames: ['worker', 'replica'],
  });
  const sheds = metrics.counter({
    name: name('sheds_total'),
    help: 'Calls refused or dropped by the balancer itself, by reason.',
    labelNames: ['worker', 'reason'],
  });
  const bytes = metrics.counter({
    name: name('body_bytes_total'),
    help: 'Bytes of bodies.',
    labelNames: ['direction'],
  });
  metrics.gauge({
    name: name('queue_calls'),
    help: 'Calls waiting.',
    labelNames: ['worker'],
    collect() {
      for (const { worker, queued } of scheduler.queueStates())
        this.set({ worker: workerName(worker) }, queued);
    },
  });
  metrics.gauge({
    name: name('queue_cost_seconds'),
    help: 'Predicted work waiting, on a reference core.',
    labelNames: ['worker'],
    collect() {
      for (const { worker, queuedCostMs } of scheduler.queueStates()) {
        this.set({ worker: workerName(worker) }, queuedCostMs / 1000);
      }
    },
  });
  metrics.gauge({
    name: name('replicas'),
    help: 'Replicas by state.',
    labelNames: ['worker', 'state'],
    collect() {
      this.reset();
      for (const replica of fleet.listed()) {
        this.inc({ worker: workerName(replica.worker), state: replica.condition });
      }
    },
  });
  metrics.gauge({
    name: name('replica_in_flight'),
    help: 'Calls that a replica runs for this balancer.',
    labelNames: ['worker', 'replica'],
    collect() {
      this.reset();
      for (const { worker, id, inFlight } of fleet.living()) {
        this.set({ worker: workerName(worker), replica: id }, inFlight);
      }
    },
  });
  metrics.gauge({
    name: name('replica_speed'),
    help: 'Learned speed of a replica, in reference-ms of work a ms.',
    labelNames: ['worker', 'replica'],
    collect() {
      this.reset();
      for (const { worker, id, speed } of fleet.living()) {
        this.set({ worker: workerName(worker), replica: id }, speed);
      }
    },
  });
  metrics.gauge({
    name: name('held_bytes'),
    help: 'Bytes of request bodies and replies held.',
    collect() {
      this.set(held.held);
    },
  });
  metrics.gauge({
    name: name('stalled_seconds'),
    help: 'Time that this process stood still, discounted from the age of reports.',
    collect() {
      this.set(fleet.stalledMs / 1000);
    },
  });
  return {
    started: ({ needs, callClass }, waitedMs) => {
      waits.observe({ worker: workerName(needs.worker), class: callClass }, waitedMs / 1000);
    },
    requeued: (worker, failure) => {
      if (failure === 'busy') requeues.inc({ worker: workerName(worker) });
      else retries.inc({ worker: workerName(worker), failure });
    },
    worked: ({ needs, costMs }, execMs, speed) => {
      ratios.observe({ worker: workerName(needs.worker) }, (execMs * speed) / costMs);
    },
    ejected: ({ worker, id }) => {
      ejections.inc({ worker: workerName(worker), replica: id });
    },
    hedged: ({ needs }, outcome) => {
      hedges.inc({ worker: workerName(needs.worker), outcome });
    },
    ended: ({ info, grpcStatus, reason, attempts, ms, bytesUp, bytesDown }) => {
      const worker = workerName(info.needs.worker);
      calls.inc({ worker, status: String(grpcStatus) });
      seconds.observe({ worker }, ms / 1000);
      bytes.inc({ direction: 'up' }, bytesUp);
      bytes.inc({ direction: 'down' }, bytesDown);
      if (attempts === 0 && reason !== undefined && reason !== 'CANCELLED') sheds.inc({ worker, reason });
    },
  };
}
