/** Builds the gateway: the only place that does. */
import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { OperationSchema, TransformRequestSchema } from '@imagemesh/api';
import { createEventFeed, createWebhookQueue } from '@imagemesh/events';
import { createLogger, createMetrics, LOOPBACK, type RunningService, startAdmin } from '@imagemesh/observe';
import {
  createAddresses,
  createHealth,
  openMeshTls,
  reflectionRoutes,
  standardInterceptors,
  validateMessage,
} from '@imagemesh/rpc';
import { createUploads, openStore } from '@imagemesh/store';
import { createAdmission } from './admit.ts';
import { createBalancers } from './balancers.ts';
import { createClaimsCache } from './claims-cache.ts';
import type { Config } from './config.ts';
import { startEdge } from './edge.ts';
import { createEnter } from './identity/enter.ts';
import { createEnterHttp } from './identity/enter-http.ts';
import { openKeyring } from './identity/keyring.ts';
import { accessOfMethod } from './identity/method-access.ts';
import { createMeasurements } from './measurements.ts';
import { createConnectionBudgets, createMemoryBudget } from './memory-budget.ts';
import { createMeters, meterEvents, meterFront } from './meters.ts';
import { openPresets } from './presets.ts';
import { openPublicTls } from './public-tls.ts';
import { createRender } from './render.ts';
import { createReplicaFeed } from './replica-feed.ts';
import { createRest } from './rest/index.ts';
import { pageRoutes } from './rest/page.ts';
import { restRoutes } from './rest/routes.ts';
import { createCheckSignature, imageUrlsOf, openSigningKeys } from './rest/signing.ts';
import { createResultCache } from './result-cache.ts';
import { createResumableUploads } from './resumable-uploads.ts';
import { createCacheControl } from './rpc/cache-control.ts';
import { createRpcs, services } from './rpc/index.ts';
import { createPipelineRunner } from './run-pipeline.ts';
import { createSources } from './source.ts';
import { createStoreImage } from './store-image.ts';
import { keepSwept } from './sweep.ts';
import { createTransforms } from './transforms.ts';
import { createUpstream } from './upstream.ts';
import { createVariants } from './variants.ts';
import { deliverWebhooks } from './webhooks/webhooks.ts';
import { openEvents, openJobs } from './with-nats.ts';

/** What an image's message carries besides the image: 32 operations and the output fit well. */
const messageSlackBytes = 256 * 1024;

/** Of the grace period, the most that events wait for a NATS that is away. */
const eventsCloseMs = 5000;

export async function startGateway(config: Config): Promise<RunningService> {
  const { calls, connections, imageLimits } = config;
  const gatewayId = `gateway-${randomBytes(4).toString('hex')}`;
  const log = createLogger({ name: 'gateway', level: config.logLevel });
  const metrics = createMetrics('gateway');
  const opened = await openStore(config.storeUrl);
  const store = opened.blobs;
  const claims = createClaimsCache(opened.claims);
  const keyring = config.apiKeysFile === '' ? undefined : await openKeyring(config.apiKeysFile, { log });
  const meshTls = config.meshTlsDir === '' ? undefined : await openMeshTls(config.meshTlsDir, { log });
  const publicTls =
    config.publicTls === undefined
      ? undefined
      : await openPublicTls(config.publicTls, { log, handshakeTimeoutMs: connections.headersTimeoutMs });
  if (publicTls === undefined && keyring !== undefined && !LOOPBACK.test(config.host))
    log.warn('API keys come in clear: set TLS_CERT_FILE and TLS_KEY_FILE unless a proxy in front has TLS');
  const budget = createMemoryBudget(calls.heldBytesMax);
  const admission = createAdmission(calls);
  const meters = createMeters(metrics, { budget, admission });
  const enter = createEnter(keyring, { now: Date.now, onRefused: meters.refused });
  const budgetOf = createConnectionBudgets(budget, calls.connectionBytesMax);
  const enterHttp = createEnterHttp(enter, budgetOf);
  const { link, events } = openEvents(config, { log, gatewayId, onDropped: meters.eventsDropped });
  meterEvents(metrics, events);
  const eventFeed = link && createEventFeed(link, { maxFollowers: calls.maxWatchers });
  const addresses = createAddresses(config.balancerAddresses, { log });
  const upstream = createUpstream({ addresses, tls: meshTls, log });
  const balancers = createBalancers(addresses, meshTls);
  const feed = createReplicaFeed({ balancers, maxFollowers: calls.maxWatchers });
  const runner = createPipelineRunner({ upstream, store, budget, log });
  const sources = createSources({ store, claims, limits: imageLimits, ...calls });
  const storeImage = createStoreImage({
    store,
    claims,
    events,
    limits: imageLimits,
    budget,
    ttlMs: config.retention.imageTtlMs,
    isFull: () => sweeping.isFull,
  });
  const transforms = createTransforms({
    sources,
    runner,
    events,
    imageLimits,
    deadlines: calls,
    admission,
    meters,
  });
  const variants = createVariants({ sources, runner, limits: imageLimits });
  const jobsEnding = new AbortController();
  const jobs = openJobs(config, {
    ...{ link, events, claims, store, balancers, storeImage, variants, log, metrics, gatewayId },
    signal: jobsEnding.signal,
  });
  const webhooks =
    link && config.webhooks.secrets.length > 0
      ? deliverWebhooks({ queue: createWebhookQueue(link), settings: config.webhooks, log, metrics })
      : undefined;
  const uploads = createUploads(opened.entries, config.uploads);
  const sweeping = keepSwept({
    store: opened,
    uploads,
    neededByJobs: () => jobs.neededImages(),
    retention: config.retention,
    log,
    metrics,
  });

  const maxMessageBytes = imageLimits.maxInputBytes + messageSlackBytes;
  const signingKeys = await openSigningKeys(config.urls.signingKeysFile, { log });
  const { allowsUnsafe } = config.urls;
  const signing = { keys: () => signingKeys.current, allowsUnsafe, now: Date.now };
  const rpcs = createRpcs({
    transforms,
    resumableUploads: createResumableUploads({ uploads, storeImage, claims, limits: imageLimits }),
    storeImage,
    claims,
    store,
    events,
    eventFeed,
    balancers,
    feed,
    jobs,
    render: createRender({ sources, runner, limits: imageLimits, deadlines: calls, admission }),
    measurements: createMeasurements({ runner, limits: imageLimits, deadlines: calls, admission }),
    imageLimits,
    imageUrls: () => imageUrlsOf(signing),
    enter,
    budgetOf,
    limits: {
      maxInputBytes: imageLimits.maxInputBytes,
      maxMessageBytes,
      maxUnaryResultBytes: calls.maxUnaryResultBytes,
      bodyTimeoutMs: calls.bodyTimeoutMs,
    },
  });
  const health = createHealth(services.map(({ typeName }) => typeName));
  const presets = await openPresets(config.urls.presetsFile, { log });
  const rest = createRest({
    routes: [
      ...restRoutes({
        ...{ storeImage, claims, store, transforms, jobs, findPreset: presets.find, now: Date.now },
        cache: createResultCache(config.urls.resultCacheBytes),
        checkSignature: createCheckSignature(signing),
      }),
      ...(await pageRoutes(config.webDir)),
    ],
    enter: enterHttp,
    timeoutMs: calls.bodyTimeoutMs,
    log,
    metrics,
  });
  const front = await startEdge({
    config,
    tls: publicTls,
    enter: enterHttp,
    accessOf: accessOfMethod,
    routes: (router) => {
      rpcs.routes(router);
      health.routes(router);
      reflectionRoutes(router, services);
    },
    streams: rpcs.streams({ log, onFinish: meters.callEnded }),
    interceptors: [...standardInterceptors({ log, metrics }), createCacheControl()],
    readMaxBytes: maxMessageBytes,
    // JSON has bytes as base64.
    writeMaxBytes: Math.ceil((calls.maxUnaryResultBytes * 4) / 3) + messageSlackBytes,
    bodyTimeoutMs: calls.bodyTimeoutMs,
    fallback: rest,
    log,
  });
  meterFront(metrics, front);
  let isStopping = false;
  const admin = await startAdmin({
    host: config.host,
    port: config.adminPort,
    metrics,
    isReady: () => (isStopping ? 'stopping' : upstream.isConnected ? true : 'no balancer is connected'),
  });
  warmUp();
  for (const name of ['', ...services.map(({ typeName }) => typeName)]) health.set(name, true);

  return {
    address: `${config.host}:${front.port}`,
    adminAddress: `${config.host}:${admin.port}`,
    log,
    async close(graceMs) {
      const endMs = performance.now() + graceMs;
      isStopping = true;
      health.shutdown();
      feed.close();
      eventFeed?.close();
      // Jobs stop pulling at once and run out beside the calls.
      await Promise.all([front.close(graceMs), jobs.close(graceMs), webhooks?.close(graceMs)]);
      for (const followed of [keyring, presets, signingKeys]) followed?.close();
      publicTls?.close();
      await sweeping.stop();
      await events.close(Math.min(eventsCloseMs, Math.max(0, endMs - performance.now())));
      jobsEnding.abort();
      balancers.close();
      await upstream.close();
      addresses.close();
      meshTls?.close();
      await link?.close();
      await opened.close();
      await admin.close();
    },
  };
}

/** Compiles the rules of the hottest request, which takes 0.2 s, before the first caller waits for it. */
function warmUp(): void {
  const source = { source: { case: 'data', value: new Uint8Array(1) } } as const;
  const operations = [create(OperationSchema, { operation: { case: 'resize', value: { width: 1 } } })];
  validateMessage(TransformRequestSchema, create(TransformRequestSchema, { source, operations, output: {} }));
}
