/** How each process of a mesh is started: its script, its environment. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Env } from '@imagemesh/observe';
import type { ChildSpec } from './child.ts';
import type { WorkerKind } from './replica-counts.ts';

/** What all processes of a mesh share. */
export interface MeshSettings {
  readonly dataDir: string;
  /** host:port of each. */
  readonly balancers: readonly string[];
  /** Empty: no jobs. */
  readonly natsUrl: string;
  /** Passed on to the services, but for what is set here. */
  readonly env: Env;
}

export interface Listen {
  readonly host: string;
  readonly port: number;
}

/**
 * Time for running calls on SIGTERM, by kind of process. They stop one after the other, so that the sum, with half a
 * second each before it is killed, stays under ten seconds.
 */
const drainMs = { gateway: 4500, balancer: 1000, replica: 1000, nats: 1000 } as const;
export type ProcessKind = keyof typeof drainMs;

/** When a process that was asked to end is killed. */
export function stopWithinMs(kind: ProcessKind): number {
  return drainMs[kind] + 500;
}

/** Of the launcher only, or of one kind of process only. */
const notPassedOn: ReadonlySet<string> = new Set([
  ...['HOST', 'PORT', 'ADMIN_PORT', 'BALANCER_PORT', 'REPLICAS', 'NATS_SERVER_BIN', 'LOG_FORMAT'],
  ...['REPLICA_ID', 'ADVERTISE_ADDRESS', 'NODE_CHANNEL_FD', 'NODE_UNIQUE_ID'],
]);

export function natsSpec(bin: string, port: number, { dataDir, env }: MeshSettings): ChildSpec {
  return {
    name: 'nats',
    file: fileURLToPath(new URL('../dist/nats-process.js', import.meta.url)),
    args: [bin, String(port), join(dataDir, 'nats')],
    env: { ...passedOn(env), DRAIN_TIMEOUT_MS: String(drainMs.nats) },
  };
}

export function balancerSpec(name: string, listen: Listen, settings: MeshSettings): ChildSpec {
  return service('balancer', name, settings, {
    ...at(listen),
    ADMIN_PORT: '0',
    DRAIN_TIMEOUT_MS: String(drainMs.balancer),
  });
}

export function gatewaySpec(name: string, listen: Listen, settings: MeshSettings): ChildSpec {
  return service('gateway', name, settings, {
    ...at(listen),
    ADMIN_PORT: settings.env.ADMIN_PORT ?? '0',
    BALANCER_ADDRESSES: settings.balancers.join(','),
    NATS_URL: settings.natsUrl,
    DRAIN_TIMEOUT_MS: String(drainMs.gateway),
  });
}

/** A replica with one slot, as replicas share the cores of this host. Its id is its name and the life it is in. */
export function replicaSpec(
  worker: WorkerKind,
  name: string,
  life: number,
  settings: MeshSettings,
): ChildSpec {
  const slots = settings.env.SLOTS ?? '1';
  return service(worker, name, settings, {
    ...at({ host: '127.0.0.1', port: 0 }),
    ADMIN_PORT: '0',
    BALANCER_ADDRESSES: settings.balancers.join(','),
    REPLICA_ID: life === 1 ? name : `${name}.${life}`,
    SLOTS: slots,
    // libvips works in libuv's threads: one a slot, and a few for files and DNS.
    UV_THREADPOOL_SIZE: settings.env.UV_THREADPOOL_SIZE ?? String(Number(slots) + 3),
    // Images come and go by the megabyte: two arenas instead of eight a core keep what glibc holds back small.
    MALLOC_ARENA_MAX: settings.env.MALLOC_ARENA_MAX ?? '2',
    // Freed pixels are used again instead of being given back and faulted in anew, page by page.
    MALLOC_MMAP_THRESHOLD_: settings.env.MALLOC_MMAP_THRESHOLD_ ?? '67108864',
    MALLOC_TRIM_THRESHOLD_: settings.env.MALLOC_TRIM_THRESHOLD_ ?? '268435456',
    MALLOC_TOP_PAD_: settings.env.MALLOC_TOP_PAD_ ?? '16777216',
    DRAIN_TIMEOUT_MS: String(drainMs.replica),
  });
}

/** A name for a replica that nobody numbered: resize-3f9c. */
export function strayName(worker: WorkerKind): string {
  return `${worker}-${randomBytes(2).toString('hex')}`;
}

function service(kind: string, name: string, settings: MeshSettings, env: Env): ChildSpec {
  return {
    name,
    file: fileURLToPath(new URL(`../../../services/${kind}/dist/main.js`, import.meta.url)),
    env: {
      ...passedOn(settings.env),
      DATA_DIR: settings.dataDir,
      STORE_URL: settings.env.STORE_URL || `file:${join(settings.dataDir, 'store')}`,
      ...env,
    },
  };
}

function at({ host, port }: Listen): Env {
  return { HOST: host, PORT: String(port) };
}

function passedOn(env: Env): Env {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !notPassedOn.has(name) && !name.startsWith('npm_')),
  );
}
