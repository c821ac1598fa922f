/**
 * The way to the balancers: picks one for each stage, sends the stage again to another one (or the same, reconnected)
 * if the balancer is lost before the whole reply is here. What a replica says is final: its failures are the
 * balancer's to retry.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@imagemesh/observe';
import {
  createSessionPool,
  type Deadline,
  MeshError,
  remainingMs,
  type SessionPool,
  toMeshError,
} from '@imagemesh/rpc';

export interface Upstream {
  /** Whether any balancer is connected. */
  readonly isConnected: boolean;
  /** Runs `attempt` with the balancer to use; again with another while it fails with a balancer lost. */
  send<Result>(
    call: { readonly deadline: Deadline; readonly signal: AbortSignal; readonly requestId: string },
    attempt: (pool: SessionPool) => Promise<Result>,
  ): Promise<Result>;
  close(): Promise<void>;
}

export interface UpstreamOptions {
  /** host:port of each balancer. */
  readonly addresses: readonly string[];
  readonly log: Logger;
  /** Default Math.random: breaks ties. */
  readonly random?: () => number;
}

/** Times that one stage is sent in all, and the pauses in between, doubling: 3.5 s altogether, enough for a restart. */
const maxAttempts = 8;
const firstPauseMs = 50;
const maxPauseMs = 1000;

/** A balancer that was lost is the last choice for so long. */
const penaltyMs = 1000;

/** How often a balancer that is not connected is tried, so that readiness is known without calls. */
const reconnectMs = 500;

/** A balancer that does not answer a ping in time is lost: its calls go elsewhere. */
const keepalive = { intervalMs: 2000, timeoutMs: 4000 };

interface Balancer {
  readonly pool: SessionPool;
  penalizedUntilMs: number;
}

export function createUpstream({ addresses, log, random = Math.random }: UpstreamOptions): Upstream {
  const gone = (address: string) => (cause: unknown) =>
    new MeshError('BALANCER_UNREACHABLE', 'no balancer can be reached', {
      cause,
      metadata: { balancer: address },
    });
  const balancers = addresses.map((address): Balancer => {
    const pool = createSessionPool(address, { unreachable: gone(address), lost: gone(address), keepalive });
    return { pool, penalizedUntilMs: 0 };
  });
  const closing = new AbortController();
  for (const { pool } of balancers) void stayConnected(pool, closing.signal, log);

  return {
    get isConnected() {
      return balancers.some(({ pool }) => pool.isConnected);
    },

    async send(call, attempt) {
      const tried = new Set<Balancer>();
      let pauseMs = firstPauseMs;
      for (let attempts = 1; ; attempts++) {
        if (tried.size === balancers.length) tried.clear();
        const balancer = pick(balancers, tried, random);
        tried.add(balancer);
        try {
          return await attempt(balancer.pool);
        } catch (thrown) {
          const error = toMeshError(thrown);
          if (!isBalancerGone(error)) throw error;
          balancer.penalizedUntilMs = Date.now() + penaltyMs;
          const hasUntried = tried.size < balancers.length;
          const waitMs = hasUntried ? 0 : pauseMs;
          if (attempts === maxAttempts || call.signal.aborted || remainingMs(call.deadline) <= waitMs)
            throw error;
          log.warn(
            {
              requestId: call.requestId,
              balancer: balancer.pool.address,
              attempts,
              reason: error.reason,
              err: error.cause,
            },
            'balancer lost, sending the stage again',
          );
          if (waitMs > 0) await sleep(waitMs, undefined, { signal: call.signal });
          if (!hasUntried) pauseMs = Math.min(2 * pauseMs, maxPauseMs);
        }
      }
    },

    async close() {
      closing.abort();
      await Promise.all(balancers.map(({ pool }) => pool.close()));
    },
  };
}

/** The balancer with the fewest of our calls, of those connected and not lost just now where there are such. */
function pick(balancers: readonly Balancer[], tried: ReadonlySet<Balancer>, random: () => number): Balancer {
  const nowMs = Date.now();
  let best: Balancer | undefined;
  let bestRank = Number.POSITIVE_INFINITY;
  for (const balancer of balancers) {
    if (tried.has(balancer)) continue;
    const { pool, penalizedUntilMs } = balancer;
    const rank =
      (penalizedUntilMs > nowMs ? 2e6 : 0) + (pool.isConnected ? 0 : 1e6) + pool.streams + random();
    if (rank < bestRank) {
      best = balancer;
      bestRank = rank;
    }
  }
  if (best === undefined) throw new MeshError('BALANCER_UNREACHABLE', 'there is no balancer');
  return best;
}

function isBalancerGone({ reason }: MeshError): boolean {
  return reason === 'BALANCER_UNREACHABLE' || reason === 'SHUTTING_DOWN';
}

async function stayConnected(pool: SessionPool, signal: AbortSignal, log: Logger): Promise<void> {
  let wasConnected = false;
  while (!signal.aborted) {
    if (!pool.isConnected) {
      await pool.connect().catch(() => {});
      if (pool.isConnected) log.info({ balancer: pool.address }, 'balancer connected');
      else if (wasConnected) log.warn({ balancer: pool.address }, 'balancer lost');
      wasConnected = pool.isConnected;
    }
    await sleep(reconnectMs, undefined, { signal, ref: false }).catch(() => {});
  }
}
