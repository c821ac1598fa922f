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
  type Addresses,
  createSessionPool,
  type Deadline,
  deadlineIn,
  MeshError,
  type MeshTls,
  openWireCall,
  remainingMs,
  type SessionPool,
  toMeshError,
} from '@imagemesh/rpc';

export interface Upstream {
  /** Whether any balancer answers. */
  readonly isConnected: boolean;
  /**
   * Runs `attempt` with the balancer to use, and how many replicas have died with the stage so far; again with another
   * balancer while it fails with a balancer lost.
   */
  send<Result>(
    call: UpstreamCall,
    attempt: (pool: SessionPool, deaths: number) => Promise<Result>,
  ): Promise<Result>;
  close(): Promise<void>;
}

export interface UpstreamCall {
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  readonly requestId: string;
}

export interface UpstreamOptions {
  /** Of the balancers. */
  readonly addresses: Addresses;
  readonly log: Logger;
  /** Without it connections are in clear. */
  readonly tls?: MeshTls | undefined;
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

/** How long the calls of a balancer that is no longer among the addresses may still run. */
const retireMs = 60_000;

/** A balancer that does not answer a ping in time is lost: its calls go elsewhere. */
const keepalive = { intervalMs: 1000, timeoutMs: 2000 };

interface Balancer {
  readonly pool: SessionPool;
  /** Whether it has said so itself on this connection: the kernel accepts connections for a process that is stopped. */
  isServing: boolean;
  readonly leaving: AbortController;
}

export function createUpstream({ addresses, tls, log, random = Math.random }: UpstreamOptions): Upstream {
  const gone = (address: string) => (cause: unknown) =>
    new MeshError('BALANCER_UNREACHABLE', 'no balancer can be reached', {
      cause,
      metadata: { balancer: address },
    });
  const balancers = new Map<string, Balancer>();
  const retired = new Set<SessionPool>();
  const added = (address: string) => {
    const unavailable = gone(address);
    const pool = createSessionPool(address, { tls, unreachable: unavailable, lost: unavailable, keepalive });
    const balancer: Balancer = { pool, isServing: false, leaving: new AbortController() };
    balancers.set(address, balancer);
    void keepChecked(balancer, log);
  };
  const removed = (address: string) => {
    const balancer = balancers.get(address);
    if (balancer === undefined) return;
    const { pool, leaving } = balancer;
    balancers.delete(address);
    leaving.abort();
    retired.add(pool);
    void pool.close(retireMs).finally(() => retired.delete(pool));
  };
  const unfollow = addresses.follow(added, removed);

  return {
    get isConnected() {
      return [...balancers.values()].some(isUsable);
    },

    async send(call, attempt) {
      const untried = new Set(balancers.values());
      let pauseMs = firstPauseMs;
      let deaths = 0;
      for (let round = 1; ; ) {
        const balancer = pick(untried, random);
        if (balancer !== undefined) untried.delete(balancer);
        try {
          if (balancer === undefined) throw new MeshError('BALANCER_UNREACHABLE', 'no balancer is known');
          return await attempt(balancer.pool, deaths);
        } catch (thrown) {
          const error = toMeshError(thrown);
          const lastRound = lastRoundFor(error);
          if (lastRound === 0) throw error;
          deaths = Math.max(deaths, Number(error.metadata.deaths ?? 0));
          if (balancer !== undefined && error.reason !== 'NO_REPLICA') balancer.isServing = false;
          const waitMs = untried.size > 0 ? 0 : pauseMs;
          const isOver = round >= lastRound && untried.size === 0;
          if (isOver || call.signal.aborted || remainingMs(call.deadline) <= waitMs) throw error;
          log.warn(
            { requestId: call.requestId, balancer: balancer?.pool.address, round, reason: error.reason },
            'sending a stage again',
          );
          if (untried.size > 0) continue;
          await sleep(waitMs, undefined, { signal: call.signal });
          pauseMs = Math.min(2 * pauseMs, maxPauseMs);
          round++;
          for (const each of balancers.values()) untried.add(each);
        }
      }
    },

    async close() {
      unfollow();
      const pools = [...retired, ...[...balancers.values()].map(({ pool }) => pool)];
      for (const { leaving } of balancers.values()) leaving.abort();
      await Promise.all(pools.map((pool) => pool.close()));
    },
  };
}

/** The balancer with the fewest of our calls, of those that answer where there are such. */
function pick(balancers: Iterable<Balancer>, random: () => number): Balancer | undefined {
  let best: Balancer | undefined;
  let bestRank = Number.POSITIVE_INFINITY;
  for (const balancer of balancers) {
    const rank = (isUsable(balancer) ? 0 : 1e6) + balancer.pool.streams + random();
    if (rank < bestRank) {
      best = balancer;
      bestRank = rank;
    }
  }
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

async function keepChecked(balancer: Balancer, log: Logger): Promise<void> {
  const { pool, leaving } = balancer;
  const { signal } = leaving;
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
