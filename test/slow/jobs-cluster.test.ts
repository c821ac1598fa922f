/** Jobs on a NATS cluster of three, with three copies of everything, while one server is killed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { JobService, JobState } from '@imagemesh/api';
import { createGrpcClient, type GrpcClient } from '@imagemesh/rpc';
import { type NatsCluster, photoLike, startMesh, startNatsCluster, type TestMesh } from '@imagemesh/testkit';
import { connect, type JetStreamManager } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';

const jobCount = 60;

let cluster: NatsCluster;
let mesh: TestMesh;
let jobs: GrpcClient<typeof JobService>;

beforeAll(async () => {
  cluster = await startNatsCluster(3);
  mesh = await startMesh({ natsUrl: cluster.url, env: { NATS_REPLICAS: '3' } });
  jobs = createGrpcClient(JobService, mesh.gatewayAddress);
});

afterAll(async () => {
  jobs?.close();
  await mesh?.stop();
  await cluster?.stop();
});

/** Again until it succeeds, for a minute and a half at most. */
async function persistently<Result>(run: () => Promise<Result>): Promise<Result> {
  for (const endMs = Date.now() + 90_000; ; await sleep(200)) {
    try {
      return await run();
    } catch (error) {
      if (Date.now() > endMs) throw error;
    }
  }
}

async function ask<Answer>(question: (manager: JetStreamManager) => Promise<Answer>): Promise<Answer> {
  const connection = await connect({ servers: cluster.url.split(','), timeout: 1000 });
  try {
    return await question(await connection.jetstreamManager());
  } finally {
    await connection.close();
  }
}

async function ended(count: number): Promise<void> {
  await persistently(async () => {
    const { jobs: found } = await jobs.listJobs({ states: [JobState.SUCCEEDED], pageSize: 1000 });
    expect(found.length).toBeGreaterThanOrEqual(count);
  });
}

it('every job ends once though the server that leads the queue is killed', async () => {
  const photo = await photoLike(1200, 900);
  const ids = await Promise.all(
    Array.from({ length: jobCount }, (_, at) =>
      persistently(async () => {
        const { job } = await jobs.createJob({
          requestId: `cluster-${at}`,
          source: { source: { case: 'data', value: photo } },
          variants: [{ operations: [{ operation: { case: 'resize', value: { width: 300 + at } } }] }],
        });
        return job?.id ?? '';
      }),
    ),
  );
  await ended(5);
  const leader = await persistently(() =>
    ask(async ({ streams }) => {
      const { cluster: group } = await streams.info('IMAGEMESH_JOBS');
      return Number(group?.leader?.replace('server-', ''));
    }),
  );
  await cluster.kill(leader);
  await ended(jobCount);
  await cluster.restart(leader);

  const { jobs: all } = await persistently(() => jobs.listJobs({ pageSize: 1000 }));
  expect(all.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  expect(all.filter(({ state }) => state !== JobState.SUCCEEDED)).toEqual([]);
  await persistently(() =>
    ask(async ({ streams }) => {
      const { state, config } = await streams.info('IMAGEMESH_EVENTS', {
        subjects_filter: 'imagemesh.events.job.completed.>',
      });
      expect(config.num_replicas).toBe(3);
      const events = Object.entries(state.subjects ?? {}).toSorted();
      expect(events).toEqual(ids.map((id) => [`imagemesh.events.job.completed.${id}`, 1]).toSorted());
    }),
  );
});
