/** `imagemesh replica resize`: one more replica for the mesh that runs on this DATA_DIR, until Ctrl-C. */
import { performance } from 'node:perf_hooks';
import { ConfigError, type Env } from '@imagemesh/observe';
import { startChild } from './child.ts';
import { readDataDir } from './config.ts';
import { createOutput } from './console-output.ts';
import { findMesh } from './lock.ts';
import type { WorkerKind } from './replica-counts.ts';
import { replicaSpec, stopWithinMs, strayName } from './services.ts';
import { listenForStop } from './stop-request.ts';

/** Runs the replica until it is asked to end. Resolves to the exit code. */
export async function runReplica(worker: WorkerKind, env: Env, isTerminal: boolean): Promise<number> {
  const dataDir = readDataDir(env);
  const name = env.REPLICA_ID || strayName(worker);
  const stop = listenForStop(env, () => performance.now());
  const output = createOutput(isTerminal ? 'pretty' : 'json', name.length);
  const settings = { dataDir, balancers: balancersOf(dataDir, env), natsUrl: '', env };
  const child = startChild(replicaSpec(worker, name, 1, settings), (line, stream) =>
    output.line(name, line, stream),
  );
  stop.requested.addEventListener('abort', () => void child.stop(stopWithinMs('replica')), { once: true });
  stop.insisted.addEventListener('abort', () => child.signal('SIGKILL'), { once: true });
  const exit = await child.exited;
  return stop.requested.aborted ? 0 : (exit.code ?? 1);
}

/** BALANCER_ADDRESSES where given, else the mesh that holds the folder's lock. */
function balancersOf(dataDir: string, env: Env): readonly string[] {
  if (env.BALANCER_ADDRESSES) return env.BALANCER_ADDRESSES.split(',');
  const mesh = findMesh(dataDir);
  if (mesh !== undefined && mesh.balancer !== '') return [mesh.balancer];
  throw new ConfigError(
    `no mesh runs on DATA_DIR=${dataDir}; start one with npm start, or set DATA_DIR or BALANCER_ADDRESSES to join another`,
  );
}
