/**
 * The way to the balancers: picks one for each stage, sends the stage again to another one (or the same, reconnected)
 * if the balancer is lost before the whole reply is here, or has no replica yet. What a replica says is final: its
 * failures are the balancer's to retry.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { health } from '@imagemesh/api';
import type { Logger } from '@imagemesh/observe';
import {
  createSessionPool,
  type Deadline,
  deadlineIn,
  MeshError,
  openWireCall,
  remainingMs,
  type SessionPool,
  toMeshError,
} from '@imagemesh/rpc';

export interface Upstream {
  /** Whether any balancer answers. */
  readonly isConnected: boolean;
  /** Runs `attempt` with the balancer to use; again with another while it fails with a balancer lost. */
  send<Result>(call: UpstreamCall, attempt: (pool: SessionPool) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export interface UpstreamCall {
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  readonly requestId: string;
}

export interface UpstreamOptions {
  /** host:port of each balancer. */
  readonly addresses: readonly string[];
  readonly log: Logger;
  /** Default Math.random: breaks ties. */
  readonly random?: () => number;
}

const { SERVING } = health.HealthCheckResponse_ServingStatus;

/** A round tries every balancer once. Pauses between rounds double: 5.5 s altogether, enough for a restart. */
const maxRounds = 10;
/** Of those, for a balancer that answers but has no replica: they join again within a second of its restart. */
const maxRoundsWithoutReplica = 5;
const firstPauseMs = 50;
const maxPauseMs = 1000;

/** How often a balancer that does not answer is tried, so that readiness is known without calls. */
const checkEveryMs = 500;
const checkTimeoutMs = 1000;
const checkPath = '/grpc.health.v1.Health/Check';

/** A balancer that does not answer a ping in time is lost: its calls go elsewhere. */
const keepalive = { intervalMs: 1000, timeoutMs: 2000 };

interface Balancer {
  readonly pool: SessionPool;
  /** Whether it has said so itself on this connection: the kernel accepts connections for a process that is stopped. */
  isServing: boolean;
}

export function createUpstream({ addresses, log, random = Math.random }: UpstreamOptions): Upstream {
  const gone = (address: string) => (cause: unknown) =>
    new MeshError('BALANCER_UNREACHABLE', 'no balancer can be reached', {
      cause,
      metadata: { balancer: address },
    });
  const balancers = addresses.map((address): Balancer => {
    const pool = createSessionPool(address, { unreachable: gone(address), lost: gone(address), keepalive });
    return { pool, isServing: false };
  });
  const closing = new AbortController();
  for (const balancer of balancers) void keepChecked(balancer, closing.signal, log);

  return {
    get isConnected() {
      return balancers.some(isUsable);
    },

    async send(call, attempt) {
      const untried = new Set(balancers);
      let pauseMs = firstPauseMs;
      for (let round = 1; ; ) {
        const balancer = pick(untried, random);
        untried.delete(balancer);
        try {
          return await attempt(balancer.pool);
        } catch (thrown) {
          const error = toMeshError(thrown);
          const lastRound = lastRoundFor(error);
          if (lastRound === 0) throw error;
          if (error.reason !== 'NO_REPLICA') balancer.isServing = false;
          const waitMs = untried.size > 0 ? 0 : pauseMs;
          const isOver = round >= lastRound && untried.size === 0;
          if (isOver || call.signal.aborted || remainingMs(call.deadline) <= waitMs) throw error;
          const { address } = balancer.pool;
          log.warn(
            { requestId: call.requestId, balancer: address, round, reason: error.reason },
            'sending a stage again',
          );
          if (untried.size > 0) continue;
          await sleep(waitMs, undefined, { signal: call.signal });
          pauseMs = Math.min(2 * pauseMs, maxPauseMs);
          round++;
          for (const each of balancers) untried.add(each);
        }
      }
    },

    async close() {
      closing.abort();
      await Promise.all(balancers.map(({ pool }) => pool.close()));
    },
  };
}

/** The balancer with the fewest of our calls, of those that answer where there are such. */
function pick(balancers: Iterable<Balancer>, random: () => number): Balancer {
  let best: Balancer | undefined;
  let bestRank = Number.POSITIVE_INFINITY;
  for (const balancer of balancers) {
    const rank = (isUsable(balancer) ? 0 : 1e6) + balancer.pool.streams + random();
    if (rank < bestRank) {
      best = balancer;
      bestRank = rank;
    }
  }
  if (best === undefined) throw new MeshError('BALANCER_UNREACHABLE', 'there is no balancer');
  return best;
}

function isUsable({ pool, isServing }: Balancer): boolean {
  return isServing && pool.isConnected;
}

/** The last round in which a stage that failed so is sent again; 0: never. */
function lastRoundFor({ reason }: MeshError): number {
  if (reason === 'NO_REPLICA') return maxRoundsWithoutReplica;
  return reason === 'BALANCER_UNREACHABLE' || reason === 'SHUTTING_DOWN' ? maxRounds : 0;
}

async function keepChecked(balancer: Balancer, signal: AbortSignal, log: Logger): Promise<void> {
  const { pool } = balancer;
  let wasUsable = false;
  while (!signal.aborted) {
    if (!isUsable(balancer)) {
      balancer.isServing = await asksServing(pool, signal).catch(() => false);
      if (isUsable(balancer) !== wasUsable && !signal.aborted) {
        wasUsable = !wasUsable;
        log.info({ balancer: pool.address }, wasUsable ? 'balancer connected' : 'balancer lost');
      }
    }
    await sleep(checkEveryMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

/** Whether the balancer says that it serves. Opens the connection where there is none. */
async function asksServing(pool: SessionPool, signal: AbortSignal): Promise<boolean> {
  await pool.connect();
  const wire = openWireCall(pool, { path: checkPath, deadline: deadlineIn(checkTimeoutMs), signal });
  try {
    await wire.writer.message(new Uint8Array(0));
    wire.end();
    const reply = await wire.reader.message();
    await wire.status;
    return fromBinary(health.HealthCheckResponseSchema, reply ?? new Uint8Array(0)).status === SERVING;
  } catch (error) {
    wire.cancel();
    throw error;
  }
}
