/** When a mesh is up: every replica has joined, asked through the gateway as a client would. */
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 50;
const callTimeoutMs = 2000;

/** Resolves to true once the gateway at `url` lists `wanted` replicas that take work, to false when the signal aborts. */
export async function replicasReady(url: string, wanted: number, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    if (signal.aborted) return false;
    if ((await countReady(url, signal)) >= wanted) return true;
    await sleep(pollMs, undefined, { signal }).catch(() => {});
  }
}

async function countReady(url: string, signal: AbortSignal): Promise<number> {
  try {
    const reply = await fetch(`${url}/imagemesh.v1.BalancerService/ListReplicas`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
      signal: AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]),
    });
    if (!reply.ok) return 0;
    const body: unknown = await reply.json();
    if (typeof body !== 'object' || body === null || !('replicas' in body) || !Array.isArray(body.replicas))
      return 0;
    return body.replicas.filter(takesWork).length;
  } catch {
    return 0;
  }
}

function takesWork(replica: unknown): boolean {
  if (typeof replica !== 'object' || replica === null || !('state' in replica)) return false;
  return replica.state === 'REPLICA_STATE_READY' || replica.state === 'REPLICA_STATE_WARMING';
}
