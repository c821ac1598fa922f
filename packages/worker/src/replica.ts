/** A replica: its server, its membership, its end. The only place that builds them. */
import { createRequire } from 'node:module';
import { FilterService, WorkerKind as Kind, ResizeService, type WorkerKind } from '@imagemesh/api';
import {
  createLogger,
  createMetrics,
  type Logger,
  type RunningService,
  startAdmin,
} from '@imagemesh/observe';
import {
  createAddresses,
  createHealth,
  openMeshTls,
  reflectionRoutes,
  standardInterceptors,
  startRpcServer,
} from '@imagemesh/rpc';
import { type BlobStore, openBlobStore } from '@imagemesh/store';
import type { Agents } from './agents.ts';
import { createMembership } from './join.ts';
import { createLoadMeter } from './load-meter.ts';
import { createOwnSpeed } from './own-speed.ts';
import { warmUpRules } from './read-spec.ts';
import type { ReplicaConfig } from './replica-config.ts';
import { createSlots } from './slots.ts';
import { createWorkHandler } from './work-handler.ts';

export interface ReplicaOptions<Picture> {
  /** The service's name in logs and metrics: "resize". */
  readonly name: string;
  readonly worker: typeof WorkerKind.RESIZE | typeof WorkerKind.FILTER;
  /** Proto field names of the operations that it does. */
  readonly operations: readonly string[];
  readonly agents: Agents<Picture>;
  readonly config: ReplicaConfig;
  readonly log?: Logger;
  /** Frees what the agents hold, once no call runs. */
  readonly close?: () => Promise<void>;
  /** A balancer drained the replica and it is idle. Default: ends the process as SIGTERM does, with exit code 0. */
  readonly onDrained?: () => void;
}

export interface RunningReplica extends RunningService {
  readonly address: string;
  readonly adminAddress: string;
  /** Balancers that have accepted it. */
  readonly joined: () => number;
}

/** Longest that a drained replica lets running calls go on. */
const maxDrainMs = 60_000;

/** The most that a hello may say (balancer_service.proto). */
const maxCalibratedSpeed = 1000;

export async function startReplica<Picture>(options: ReplicaOptions<Picture>): Promise<RunningReplica> {
  const { name, worker, config, agents } = options;
  const { replicaId, limits, host } = config;
  const log = options.log ?? createLogger({ name, level: config.logLevel });
  const metrics = createMetrics(name);
  const service = worker === Kind.RESIZE ? ResizeService : FilterService;
  const method = worker === Kind.RESIZE ? ResizeService.method.resize : FilterService.method.filter;
  const path = `/${service.typeName}/${method.name}`;
  const store = await openSharedStore(config.storeUrl, log);
  warmUpRules(new Set(options.operations));
  const slots = createSlots(config.slots);
  const ownSpeed = createOwnSpeed();
  const health = createHealth([service.typeName]);
  let isStopping = false;

  const handler = createWorkHandler({
    agents,
    operations: new Set(options.operations),
    limits,
    store,
    replicaId,
    log,
    slots,
    maxUnreadReplyBytes: config.maxUnreadReplyBytes,
    ownSpeed,
    metrics,
    defaultDeadlineMs: config.defaultDeadlineMs,
    isStopping: () => isStopping,
  });
  const tls = config.meshTlsDir === '' ? undefined : await openMeshTls(config.meshTlsDir, { log });
  const server = await startRpcServer({
    host,
    tls,
    port: config.port,
    streams: new Map([[path, handler.handle]]),
    routes: (router) => {
      health.routes(router);
      reflectionRoutes(router, [service]);
    },
    interceptors: standardInterceptors({ log }),
    log,
  });
  const address = `${host.includes(':') ? `[${host}]` : host}:${server.port}`;
  const loadMeter = createLoadMeter();
  const balancers = createAddresses(config.balancerAddresses, { log });
  const membership = createMembership({
    balancers,
    tls,
    hello: () => ({
      replicaId,
      address: config.advertiseAddress ?? address,
      worker,
      hostId: config.hostId,
      slots: config.slots,
      build: buildVersion(),
      operations: [...options.operations],
      storeId: store?.id ?? '',
      idempotentMethods: [path],
      joinToken: config.joinToken,
      calibratedSpeed: Math.min(maxCalibratedSpeed, ownSpeed.value),
    }),
    report: () => ({
      serving: health.isServing(''),
      inFlight: slots.running,
      completed: BigInt(handler.completed),
      ...loadMeter.read(),
    }),
    onDrain: (reason) => void drain(reason),
    log,
  });
  const admin = await startAdmin({
    host,
    port: config.adminPort,
    metrics,
    isReady: () => {
      if (isStopping) return 'the replica is leaving';
      return membership.joined > 0 ? true : 'no balancer has accepted the replica';
    },
  });
  health.set('', true);
  health.set(service.typeName, true);

  const stopTaking = () => {
    isStopping = true;
    health.shutdown();
    membership.reportNow();
  };
  const drain = async (reason: string) => {
    if (isStopping) return;
    log.info({ reason, running: slots.running }, 'draining');
    stopTaking();
    await Promise.race([slots.idle(), new Promise((resolve) => setTimeout(resolve, maxDrainMs).unref())]);
    (options.onDrained ?? endProcess)();
  };
  return {
    address,
    adminAddress: `${host.includes(':') ? `[${host}]` : host}:${admin.port}`,
    log,
    joined: () => membership.joined,
    close: async (graceMs) => {
      stopTaking();
      await server.close(graceMs);
      await membership.close();
      balancers.close();
      tls?.close();
      await options.close?.();
      await store?.close();
      await admin.close();
    },
  };
}

/** Without it the replica is of use all the same: it says so when it joins, and gets bytes instead of references. */
async function openSharedStore(url: string | undefined, log: Logger): Promise<BlobStore | undefined> {
  if (url === undefined) return undefined;
  try {
    return await openBlobStore(url);
  } catch (error) {
    log.error({ err: error }, 'the store cannot be reached; the replica joins without it');
    return undefined;
  }
}

function endProcess(): void {
  process.kill(process.pid, 'SIGTERM');
}

function buildVersion(): string {
  // Read as data: package.json lies beside src and dist alike.
  const { version } = createRequire(import.meta.url)('../package.json') as { version: string };
  return version;
}
