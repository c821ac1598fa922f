/**
 * `imagemesh up`: the whole mesh on this machine.
 *
 * Start: NATS and balancer, then gateway and replicas; stop: gateway, balancer, replicas, NATS, so that whoever still
 * has work finds what it needs. What can be wrong is checked before anything starts.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, type Env } from '@imagemesh/observe';
import type { ChildSpec, Exit, Ready } from './child.ts';
import type { UpConfig } from './config.ts';
import { createOutput, type Output } from './console-output.ts';
import { findNatsServer } from './find-nats.ts';
import { type Lock, takeLock } from './lock.ts';
import { replicasReady } from './mesh-ready.ts';
import { checkDataDir, claimPort, freePort } from './preflight.ts';
import { WORKER_KINDS } from './replica-counts.ts';
import {
  balancerSpec,
  gatewaySpec,
  type MeshSettings,
  natsSpec,
  type ProcessKind,
  replicaSpec,
  stopWithinMs,
} from './services.ts';
import { listenForStop, type StopRequest } from './stop-request.ts';
import { type Supervised, supervise } from './supervisor.ts';

/** How long ports of a mesh that died are waited for: its processes drain once they see it gone. */
const previousMeshMs = 10_000;
/** How long replicas may take to join before the launcher says what it has. */
const joinMs = 15_000;
/** Lines that services wrote before they said ready are on their way through a pipe for this long at most. */
const settleMs = 25;

/** Runs the mesh until it is asked to end. Resolves to the exit code; throws ConfigError before anything started. */
export async function up(config: UpConfig, env: Env): Promise<number> {
  const stop = listenForStop(env, () => performance.now());
  await checkDataDir(config.dataDir);
  const lock = takeLock(config.dataDir);
  const mesh = new Mesh(createOutput(config.logFormat, 'imagemesh'.length), stop);
  try {
    const started = await start(config, env, mesh, lock, stop.requested);
    if (started) await aborted(stop.requested);
    mesh.output.say(
      `stopping (${stop.requested.aborted ? stop.requested.reason : 'not everything started'})`,
    );
    await mesh.stop();
    return started || stop.requested.aborted ? 0 : 1;
  } finally {
    await mesh.stop();
    lock.release();
  }
}

/** Starts everything; false where a process ended instead of starting, or the launcher was asked to end. */
async function start(
  config: UpConfig,
  env: Env,
  mesh: Mesh,
  lock: Lock,
  requested: AbortSignal,
): Promise<boolean> {
  const { host, replicas, dataDir } = config;
  const patienceMs = lock.wasStale ? previousMeshMs : 0;
  const port = await claimWithin(patienceMs, 'PORT', host, config.port, mesh.output);
  const balancerPort = await claimWithin(
    patienceMs,
    'BALANCER_PORT',
    '127.0.0.1',
    config.balancerPort,
    mesh.output,
  );
  const balancer = `127.0.0.1:${balancerPort}`;
  const childEnv = { ...env, LOG_LEVEL: config.logLevel };
  const bare: MeshSettings = { dataDir, balancers: [balancer], natsUrl: '', env: childEnv };

  const balancerReady = mesh.run('balancer', () =>
    balancerSpec('balancer', { host: '127.0.0.1', port: balancerPort }, bare),
  );
  const natsUrl = config.natsUrl ?? (await startNats(bare, mesh));
  const settings: MeshSettings = { ...bare, natsUrl };
  const balancerAt = await balancerReady;
  if (balancerAt === undefined || requested.aborted) return false;

  const scheme = env.TLS_CERT_FILE ? 'https' : 'http';
  const url = `${scheme}://${hostInUrl(host)}:${port}`;
  const gatewayReady = mesh.run('gateway', () => gatewaySpec('gateway', { host, port }, settings));
  const replicasStarted = WORKER_KINDS.flatMap((kind) =>
    Array.from({ length: replicas[kind] }, (_, index) =>
      mesh.run('replica', (life) => replicaSpec(kind, `${kind}-${index + 1}`, life, settings)),
    ),
  );
  const ready = await Promise.all([gatewayReady, ...replicasStarted]);
  if (ready.includes(undefined) || requested.aborted) return false;

  const admin = ready[0]?.adminAddress;
  const joined = await replicasReady(
    { gateway: admin ?? '', balancers: [balancerAt.adminAddress ?? ''] },
    replicasStarted.length,
    AbortSignal.any([requested, AbortSignal.timeout(joinMs)]),
  );
  if (requested.aborted) return false;
  if (!joined) mesh.output.say('not every replica has joined yet; the mesh serves with those that have');
  lock.update({ url, balancer, natsUrl });
  await sleep(settleMs);
  const notes = [
    ...(admin === undefined ? [] : [`admin http://${admin}`]),
    `jobs ${natsUrl === '' ? 'off' : 'on'}`,
  ];
  mesh.output.say(`imagemesh ready at ${url} (${notes.join('; ')})`);
  return true;
}

/** Its URL, or "" where there is no nats-server to start. */
async function startNats(settings: MeshSettings, mesh: Mesh): Promise<string> {
  const bin = await findNatsServer(settings.env, (line) => mesh.output.say(line));
  if (bin === undefined) {
    mesh.output.say(
      'warning: no nats-server found, so there are no jobs; install it, or set NATS_SERVER_BIN or NATS_URL',
    );
    return '';
  }
  const port = await freePort();
  const ready = await mesh.run('nats', () => natsSpec(bin, port, settings));
  if (ready !== undefined) return `nats://127.0.0.1:${port}`;
  mesh.output.say(`warning: ${bin} did not start, so there are no jobs; its lines above say why`);
  return '';
}

/** The processes of a mesh, by the order in which they stop. */
class Mesh {
  readonly output: Output;
  readonly #stop: StopRequest;
  readonly #processes: { readonly kind: ProcessKind; readonly process: Supervised }[] = [];
  #stopped: Promise<void> | undefined;

  constructor(output: Output, stop: StopRequest) {
    this.output = output;
    this.#stop = stop;
  }

  /** Starts a process and keeps it; resolves once it is ready, to undefined if it ended before. */
  run(kind: ProcessKind, spec: (life: number) => ChildSpec): Promise<Ready | undefined> {
    const { name } = spec(1);
    const process = supervise({
      name,
      spec,
      onLine: (line, stream) => this.output.line(name, line, stream),
      onRestart: (exit, waitMs) =>
        this.output.say(`${name} ended (${describeExit(exit)}); starting it again in ${waitMs} ms`),
      random: Math.random,
      nowMs: () => performance.now(),
    });
    this.#processes.push({ kind, process });
    return process.ready;
  }

  /** Drains and ends everything, once. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopInOrder();
    return this.#stopped;
  }

  async #stopInOrder(): Promise<void> {
    for (const kind of ['gateway', 'balancer', 'replica', 'nats'] as const) {
      const members = this.#processes.filter((member) => member.kind === kind);
      await Promise.all(
        members.map(async ({ process }) => {
          const graceful = process.stop(this.#stop.insisted.aborted ? 0 : stopWithinMs(kind));
          await Promise.race([graceful, aborted(this.#stop.insisted)]);
          if (this.#stop.insisted.aborted) await process.stop(0);
        }),
      );
    }
  }
}

async function claimWithin(
  patienceMs: number,
  variable: string,
  host: string,
  port: number,
  output: Output,
): Promise<number> {
  const untilMs = performance.now() + patienceMs;
  let isFirst = true;
  for (;;) {
    try {
      return await claimPort(variable, host, port);
    } catch (error) {
      if (!(error instanceof ConfigError) || performance.now() >= untilMs) throw error;
      if (isFirst) output.say(`the mesh before did not end properly; waiting for its port ${port}`);
      isFirst = false;
      await sleep(100);
    }
  }
}

/** A wildcard address is no place to go to. */
function hostInUrl(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::' || host === '[::]') return '[::1]';
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

function describeExit({ code, signal }: Exit): string {
  return signal ?? `exit code ${code}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
