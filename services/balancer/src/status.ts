/** Replicas and queues as the API shows them. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type QueueStatus,
  QueueStatusSchema,
  type Replica as ReplicaMessage,
  ReplicaSchema,
  ReplicaState,
  type WorkerKind,
} from '@imagemesh/api';
import type { ReplicaCondition } from './health.ts';
import type { Replica } from './replica.ts';
import type { QueueState } from './scheduler.ts';

const states: Readonly<Record<ReplicaCondition, ReplicaState>> = {
  warming: ReplicaState.WARMING,
  ready: ReplicaState.READY,
  suspect: ReplicaState.SUSPECT,
  ejected: ReplicaState.EJECTED,
  draining: ReplicaState.DRAINING,
  dead: ReplicaState.DEAD,
};

export function replicaMessages(replicas: readonly Replica[], balancerId: string): ReplicaMessage[] {
  // Each asked once: estimates move with time.
  const capacities = new Map(replicas.map((replica) => [replica, capacity(replica)]));
  const wholes = new Map<WorkerKind, number>();
  for (const [{ worker }, own] of capacities) wholes.set(worker, (wholes.get(worker) ?? 0) + own);
  return replicas.map((replica) => {
    const whole = wholes.get(replica.worker) ?? 0;
    const weight = whole === 0 ? 0 : (capacities.get(replica) ?? 0) / whole;
    return replicaMessage(replica, weight, balancerId);
  });
}

export function queueMessages(
  queues: readonly QueueState[],
  replicas: readonly Replica[],
  balancerId: string,
): QueueStatus[] {
  return queues.map(({ worker, queued, queuedCostMs }) => {
    const inFlight = replicas.reduce(
      (sum, replica) => sum + (replica.worker === worker ? replica.inFlight : 0),
      0,
    );
    return create(QueueStatusSchema, { balancerId, worker, queued, inFlight, queuedCostMs });
  });
}

/** Only a replica in full service has a share of the capacity. */
function capacity(replica: Replica): number {
  return replica.condition === 'ready' ? replica.hello.slots * replica.speed : 0;
}

function replicaMessage(replica: Replica, weight: number, balancerId: string): ReplicaMessage {
  const { hello, report } = replica;
  const { successRate, p50Ms, p99Ms } = replica.outcomes.summary();
  const { lastEjection } = replica;
  const isOut = lastEjection !== undefined && replica.condition === 'ejected';
  return create(ReplicaSchema, {
    replicaId: replica.id,
    address: replica.address,
    worker: replica.worker,
    state: states[replica.condition],
    hostId: hello.hostId,
    build: hello.build,
    slots: hello.slots,
    inFlight: replica.inFlight,
    weight,
    speed: replica.speed,
    successRate,
    p50Ms,
    p99Ms,
    completed: BigInt(replica.completed),
    failed: BigInt(replica.failed),
    lastError: replica.lastError,
    lastReportTime: timestampFromMs(replica.reportedAtMs),
    joinTime: timestampFromMs(replica.joinedAtMs),
    operations: hello.operations,
    balancerIds: [balancerId],
    cpuCores: report?.cpuCores ?? 0,
    residentBytes: report?.residentBytes ?? 0n,
    storeId: hello.storeId,
    retried: BigInt(replica.retried),
    ejections: replica.ejections,
    ...(lastEjection && { lastEjectionTime: timestampFromMs(lastEjection.atMs) }),
    ...(isOut && { ejectedUntilTime: timestampFromMs(lastEjection.untilMs) }),
  });
}
