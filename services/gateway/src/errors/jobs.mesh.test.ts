/** The errors of docs/errors.md that only jobs have, from a gateway with a real nats-server. The others: provoked.test.ts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JobService } from '@imagemesh/api';
import type { RunningService } from '@imagemesh/observe';
import { createGrpcClient, type GrpcClient, isErrorReason, type RpcServer } from '@imagemesh/rpc';
import { startNats, type TestNats } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { expectedReply } from '../testing/error-replies.ts';
import { png } from '../testing/gateways.ts';
import { encoded, startPeer } from '../testing/peer.ts';
import { byRpc, JOB_REASONS, type Provokers } from '../testing/provoke.ts';
import { startTestGateway } from '../testing/test-gateway.ts';

const unknown = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const { getJob, retryJob, createJob } = JobService.method;
const source = { source: { case: 'data', value: png } } as const;

let folder: string;
let nats: TestNats;
let peer: RpcServer;
let gateway: RunningService;
let jobs: GrpcClient<typeof JobService>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagemesh-job-errors-'));
  nats = await startNats();
  const { address, server } = await startPeer(encoded);
  peer = server;
  gateway = await startTestGateway(folder, { BALANCER_ADDRESSES: address, NATS_URL: nats.url });
  jobs = createGrpcClient(JobService, gateway.address);
  await vi.waitFor(() => jobs.listJobs({}), { timeout: 15_000, interval: 50 });
});
afterAll(async () => {
  jobs?.close();
  await gateway?.close(1000);
  await peer?.close(0);
  await nats?.stop();
  await rm(folder, { recursive: true, force: true });
});

const address = () => gateway.address;

const provokers: Provokers<(typeof JOB_REASONS)[number]> = {
  JOB_NOT_FOUND: byRpc(
    address,
    { method: getJob, request: { jobId: unknown } },
    { path: `/jobs/${unknown}` },
  ),
  // It has neither failed nor been cancelled.
  JOB_CONFLICT: byRpc(address, async () => {
    const { job } = await jobs.createJob({ source, variants: [{ name: 'small' }] });
    return { method: retryJob, request: { jobId: job?.id ?? '' } };
  }),
  REQUEST_ID_REUSED: byRpc(address, async () => {
    await jobs.createJob({ requestId: 'again', source, variants: [{ name: 'small' }] });
    return { method: createJob, request: { requestId: 'again', source, variants: [{ name: 'other' }] } };
  }),
};

it('there is a way to provoke each of them', () => {
  expect(Object.keys(provokers).sort()).toEqual([...JOB_REASONS].sort());
});

describe.each(Object.entries(provokers))('%s', (name, { grpc, http }) => {
  if (!isErrorReason(name)) throw new Error(`${name} is no reason`);

  it('is answered over gRPC and HTTP as the table says', async () => {
    for (const ask of [grpc, ...http]) {
      const reply = await ask();
      expect(reply).toEqual(expectedReply(name, reply.via));
    }
  });
});
