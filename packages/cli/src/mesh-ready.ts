/** When a mesh is up: its gateway reaches a balancer, and every balancer has every replica. Asked on their admin ports. */
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 50;
const callTimeoutMs = 2000;

/** host:port of the admin ports of a mesh. */
export interface AdminPorts {
  readonly gateway: string;
  readonly balancers: readonly string[];
}

/** Resolves to true once `wanted` replicas take work, to false when the signal aborts. */
export async function replicasReady(
  { gateway, balancers }: AdminPorts,
  wanted: number,
  signal: AbortSignal,
): Promise<boolean> {
  const isUp = async () => {
    const counts = await Promise.all(balancers.map((balancer) => countReady(balancer, signal)));
    return counts.every((count) => count >= wanted) && (await get(gateway, '/readyz', signal)) !== undefined;
  };
  for (;;) {
    if (signal.aborted) return false;
    if (await isUp()) return true;
    await sleep(pollMs, undefined, { signal }).catch(() => {});
  }
}

async function countReady(balancer: string, signal: AbortSignal): Promise<number> {
  const metrics = (await get(balancer, '/metrics', signal)) ?? '';
  const lines = metrics.matchAll(
    /^imagemesh_balancer_replicas\{[^}]*state="(?:ready|warming)"[^}]*\} (\d+)$/gm,
  );
  return [...lines].reduce((count, [, value]) => count + Number(value), 0);
}

/** The body of a 200; undefined for anything else. */
async function get(address: string, path: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const ending = AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]);
    const reply = await fetch(`http://${address}${path}`, { signal: ending });
    const body = await reply.text();
    return reply.ok ? body : undefined;
  } catch {
    return undefined;
  }
}
