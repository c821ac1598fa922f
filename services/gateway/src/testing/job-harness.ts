/** Gateways' jobs on a real nats-server, in one process, with whatever runs the variants. For tests. */
import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { CreateJobRequestSchema, type Image, ImageSchema, type Job } from '@imagemesh/api';
import {
  connectNats,
  consumerOf,
  createEventPublisher,
  createJobQueue,
  createRunCheck,
  EVENT_STREAM,
  JOB_STREAM,
  type NatsLink,
  PRIORITIES,
} from '@imagemesh/events';
import { createLogger, newTrace } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { type Claims, openNatsRecords } from '@imagemesh/store';
import { createJobs, type Jobs, type RunVariant } from '../jobs/jobs.ts';
import { jobBucket, requestBucket } from '../jobs/record.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const signal = new AbortController().signal;
setMaxListeners(200, signal);
export const call = { owner: 'anonymous', requestId: 'r-1', trace: newTrace(), signal };

export interface TestGateway {
  readonly link: NatsLink;
  readonly jobs: Jobs;
  /** As if it were killed: no more words to NATS, nothing handed back. */
  kill(): Promise<void>;
}

export interface GatewayOptions {
  readonly ackWaitMs?: number;
  readonly concurrency?: number;
  /** As in RunCheckOptions. Default 0. */
  readonly settleMs?: number;
  readonly sweepEveryMs?: number;
  readonly sweepAfterMs?: number;
}

export interface JobHarness {
  startGateway(runVariant: RunVariant, options?: GatewayOptions): TestGateway;
  /** Stops the gateways. */
  stop(): Promise<void>;
}

/** Claims in memory: those on disk have tests of their own. */
function createMemoryClaims(): Claims {
  const held = new Map<string, Image>();
  return {
    add: async (owner, image) => {
      const claim = held.get(owner + image.id) ?? image;
      held.set(owner + image.id, claim);
      return claim;
    },
    get: async (owner, id) => held.get(owner + id),
    remove: async (owner, id) => {
      const claim = held.get(owner + id);
      held.delete(owner + id);
      return claim;
    },
    list: async () => ({ images: [...held.values()], next: undefined }),
  };
}

export const claims = createMemoryClaims();

export function toImage(text: string): Image {
  return create(ImageSchema, {
    id: createHash('sha256').update(text).digest('hex'),
    info: { width: 1, height: 1, sizeBytes: BigInt(text.length) },
  });
}

export function createJobHarness(natsUrl: string): JobHarness {
  const gateways: TestGateway[] = [];
  let gatewayCount = 0;
  return {
    startGateway(runVariant, { ackWaitMs = 1000, concurrency = 2, settleMs = 0, ...sweeping } = {}) {
      const link = connectNats({ url: natsUrl, name: 'test', log });
      gatewayCount += 1;
      const gatewayId = `gateway-${gatewayCount}`;
      const jobs = createJobs({
        ...sweeping,
        records: openNatsRecords(link, jobBucket),
        requests: openNatsRecords(link, requestBucket),
        queue: createJobQueue(link, { ackWaitMs }),
        checkWebhook: () => {},
        events: createEventPublisher(link),
        claims,
        log,
        limit: () => concurrency,
        gatewayId,
        openRunCheck: (hasRun) => createRunCheck(link, { gatewayId, hasRun, settleMs }),
        storeImage: async (_call, bytes) => claims.add('anonymous', toImage(Buffer.from(bytes).toString())),
        checkVariants: async (_call, _info, variants) => {
          const bad = variants.findIndex(({ name }) => name === 'bad');
          if (bad >= 0) throw new MeshError('OPERATION_OUT_OF_BOUNDS', `variants[${bad}] is bad`);
        },
        openRunVariant: () => runVariant,
      });
      const gateway = {
        link,
        jobs,
        async kill() {
          gateways.splice(gateways.indexOf(gateway), 1);
          await link.close();
          void jobs.close(0);
        },
      };
      gateways.push(gateway);
      return gateway;
    },
    async stop() {
      for (const { jobs, link } of gateways.splice(0)) {
        await jobs.close(500);
        await link.close();
      }
    },
  };
}

export const quick: RunVariant = async (_call, source, { name }) => toImage(`${source.id} ${name}`);

export function request(names: readonly string[] = ['small'], requestId = '', labels = { album: 'summer' }) {
  return create(CreateJobRequestSchema, {
    requestId,
    source: { source: { case: 'data', value: Buffer.from('picture') } },
    variants: names.map((name) => ({ name })),
    labels,
  });
}

export async function finished({ jobs }: TestGateway, jobId: string): Promise<Job> {
  let last: Job | undefined;
  for await (const job of jobs.watch(call, jobId, 0n)) last = job;
  if (last === undefined) throw new Error('no job was seen');
  return last;
}

export async function persistently<Result>(run: () => Promise<Result>): Promise<Result> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await run();
    } catch (error) {
      if (tries > 40) throw error;
      await sleep(250);
    }
  }
}

/** "subject count" of every event of an end. */
export async function events({ link }: TestGateway): Promise<string[]> {
  return link.call(async (connection) => {
    const { streams } = await connection.jetstreamManager();
    const { state } = await streams.info(EVENT_STREAM, { subjects_filter: '>' });
    return Object.entries(state.subjects ?? {})
      .filter(([subject]) => /^imagemesh\.events\.job\.(?:completed|failed|cancelled)\./.test(subject))
      .map(([subject, count]) => `${subject} ${count}`);
  });
}

/** Messages that somebody will get, or has. */
async function queued({ link }: TestGateway): Promise<number> {
  return link.call(async (connection) => {
    const { consumers } = await connection.jetstreamManager();
    const infos = await Promise.all(PRIORITIES.map((name) => consumers.info(JOB_STREAM, consumerOf(name))));
    return infos.reduce((sum, { num_pending, num_ack_pending }) => sum + num_pending + num_ack_pending, 0);
  });
}

export async function emptied(gateway: TestGateway): Promise<void> {
  await persistently(async () => {
    const count = await queued(gateway);
    if (count > 0) throw new Error(`${count} jobs are in the queue`);
  });
}
