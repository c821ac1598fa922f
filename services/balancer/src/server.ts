/** Builds the balancer: the one place where its parts meet. */
import { randomBytes } from 'node:crypto';
import { BalancerService, FilterService, ResizeService } from '@imagemesh/api';
import { createLogger, createMetrics, type RunningService, startAdmin } from '@imagemesh/observe';
import {
  createHealth,
  openMeshTls,
  reflectionRoutes,
  standardInterceptors,
  startRpcServer,
} from '@imagemesh/rpc';
import { AttentiveClock } from './attentive-clock.ts';
import type { Config } from './config.ts';
import { createControl } from './control.ts';
import { Fleet, JUDGE_EVERY_MS } from './fleet.ts';
import { createBalancerMetrics } from './metrics.ts';
import { createProxy } from './proxy.ts';
import { HeldBytes } from './request-body.ts';
import { WORK_SERVICES } from './routes.ts';
import { PUMP_EVERY_MS, Scheduler } from './scheduler.ts';

/** Gateways ask for it twice a second, to know how many jobs they may run. */
const POLLED_PATH = `/${BalancerService.typeName}/${BalancerService.method.listReplicas.name}`;

/** Of the grace, what callers get to fetch the last statuses. */
const lastWordMs = 200;

export async function startBalancer(config: Config): Promise<RunningService> {
  const log = createLogger({ name: 'balancer', level: config.logLevel });
  const metrics = createMetrics('balancer');
  const rng = Math.random;
  const balancerId =
    config.balancerId === '' ? `balancer-${randomBytes(4).toString('hex')}` : config.balancerId;
  const tls = config.meshTlsDir === '' ? undefined : await openMeshTls(config.meshTlsDir, { log });
  const health = createHealth([
    BalancerService.typeName,
    ...WORK_SERVICES.map(({ service }) => service.typeName),
  ]);
  const held = new HeldBytes(config.maxHeldBytes);
  let isClosing = false;

  const updateHealth = () => {
    for (const { worker, service } of WORK_SERVICES) {
      health.set(
        service.typeName,
        fleet.ofWorker(worker).some((replica) => replica.isCandidate),
      );
    }
  };
  // What runs is timed by it: replies that lie unread while this process is busy are not late.
  const clock = new AttentiveClock(PUMP_EVERY_MS, performance.now());
  const now = () => clock.at(performance.now());
  const fleet: Fleet = new Fleet({
    tls,
    now,
    health: config,
    maxReplicas: config.maxReplicas,
    deadListedMs: config.deadListedMs,
    log,
    rng,
    onEject: (replica) => balancerMetrics.ejected(replica),
    onChange: (worker) => {
      updateHealth();
      scheduler.pump(worker);
    },
  });
  const scheduler: Scheduler = new Scheduler(
    {
      replicas: (worker) => fleet.ofWorker(worker),
      held,
      maxQueuedCalls: config.maxQueuedCalls,
      noReplicaGraceMs: config.noReplicaGraceMs,
      rng,
      now,
    },
    WORK_SERVICES.map(({ worker }) => worker),
  );
  const pumpTimer = setInterval(() => {
    clock.tick(performance.now());
    // Replies first.
    setImmediate(() => scheduler.pumpAll());
  }, PUMP_EVERY_MS);
  const strandedTimer = setInterval(() => scheduler.failStranded(performance.now()), JUDGE_EVERY_MS);
  const balancerMetrics = createBalancerMetrics(metrics, { fleet, scheduler, held });
  const proxy = createProxy({
    scheduler,
    fleet,
    held,
    metrics: balancerMetrics,
    log,
    balancerId,
    maxAttempts: config.maxAttempts,
    maxHeldBytesPerCall: config.maxHeldBytesPerCall,
    maxHeldReplyBytes: config.maxHeldReplyBytes,
    defaultDeadlineMs: config.defaultDeadlineMs,
    rng,
  });
  const { joinToken, reportIntervalMs } = config;
  const control = createControl({ fleet, scheduler, balancerId, joinToken, reportIntervalMs });

  const stopParts = async () => {
    clearInterval(strandedTimer);
    clearInterval(pumpTimer);
    await fleet.close();
    tls?.close();
  };
  try {
    const server = await startRpcServer({
      host: config.host,
      port: config.port,
      tls,
      log,
      interceptors: standardInterceptors({ log, metrics, polled: [POLLED_PATH] }),
      streams: proxy.streams,
      routes: (router) => {
        control.routes(router);
        health.routes(router);
        reflectionRoutes(router, [BalancerService, ResizeService, FilterService]);
      },
    });
    const admin = await startAdmin({
      host: config.host,
      port: config.adminPort,
      metrics,
      isReady: () => (isClosing ? 'shutting down' : true),
    }).catch(async (error: unknown) => {
      await server.close(0);
      throw error;
    });
    health.set('', true);
    health.set(BalancerService.typeName, true);
    return {
      address: `${config.host}:${server.port}`,
      adminAddress: `${config.host}:${admin.port}`,
      log,
      close: async (graceMs) => {
        isClosing = true;
        health.shutdown();
        control.close();
        // GOAWAY at once, so that new calls go to another balancer; replicas stay until the last call has ended.
        const closed = server.close(graceMs);
        await proxy.close(graceMs - Math.min(lastWordMs, graceMs / 2));
        await stopParts();
        await closed;
        await admin.close();
      },
    };
  } catch (error) {
    await stopParts();
    throw error;
  }
}
