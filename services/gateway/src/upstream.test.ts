import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@imagemesh/observe';
import { deadlineIn, MeshError, type RpcServer } from '@imagemesh/rpc';
import { type BlobStore, openBlobStore } from '@imagemesh/store';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryBudget } from './memory-budget.ts';
import { createPipelineRunner } from './run-pipeline.ts';
import { type Answer, context, encoded, plan, source, startPeer as start } from './testing/peer.ts';
import { createUpstream, type Upstream } from './upstream.ts';

const log = createLogger({ name: 'test', level: 'silent' });
let folder: string;
let store: BlobStore;
const servers: RpcServer[] = [];
const upstreams: Upstream[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upstream-test-'));
  store = await openBlobStore(`file:${folder}/store`);
});
afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((upstream) => upstream.close()));
  await Promise.all(servers.splice(0).map((server) => server.close(0)));
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

async function startPeer(answer: Answer, port = 0) {
  const peer = await start(answer, port);
  servers.push(peer.server);
  return peer;
}

function createRunner(addresses: readonly string[], budget = createMemoryBudget(1e9)) {
  const upstream = createUpstream({ addresses, log });
  upstreams.push(upstream);
  return createPipelineRunner({ upstream, store, budget });
}

describe('balancers that are lost', () => {
  it('sends the stage to another one at once', async () => {
    const { address } = await startPeer(encoded);
    const gone = await startPeer(encoded);
    await gone.server.close(0);
    const runner = createRunner([gone.address, address]);
    for (let count = 0; count < 5; count++) {
      expect((await runner.run(context(), source, plan([]))).sizeBytes).toBe(2);
    }
  });

  it('sends it again when the connection breaks in the middle of the work, or of the reply', async () => {
    let calls = 0;
    const { address } = await startPeer(async (call, wire) => {
      calls++;
      if (calls === 1) servers[0]?.close(0);
      return encoded(call, wire);
    });
    const other = await startPeer(encoded);
    const runner = createRunner([address, other.address]);
    const results = await Promise.all(
      Array.from({ length: 6 }, () => runner.run(context(), source, plan([]))),
    );
    expect(results.every(({ sizeBytes }) => sizeBytes === 2)).toBe(true);
  });

  it('waits for the only one to come back, within the deadline', async () => {
    const first = await startPeer(encoded);
    await first.server.close(0);
    const runner = createRunner([first.address]);
    const running = runner.run(context(), source, plan([]));
    await new Promise((resolve) => setTimeout(resolve, 120));
    await startPeer(encoded, first.server.port);
    expect((await running).sizeBytes).toBe(2);
  });

  it('tries another one, and then again, where there is no replica yet', async () => {
    const empty = await startPeer(async () => {
      throw new MeshError('NO_REPLICA', 'none');
    });
    const other = await startPeer(encoded);
    const both = createRunner([empty.address, other.address]);
    for (let count = 0; count < 4; count++)
      expect((await both.run(context(), source, plan([]))).sizeBytes).toBe(2);
    let calls = 0;
    const joining = await startPeer(async (call, wire) => {
      if (++calls < 3) throw new MeshError('NO_REPLICA', 'none');
      return encoded(call, wire);
    });
    expect((await createRunner([joining.address]).run(context(), source, plan([]))).sizeBytes).toBe(2);
    await expect(createRunner([empty.address]).run(context(), source, plan([]))).rejects.toMatchObject({
      reason: 'NO_REPLICA',
    });
  });

  it('gives up at the deadline, and says which', async () => {
    const first = await startPeer(encoded);
    await first.server.close(0);
    const deadline = deadlineIn(200);
    const running = createRunner([first.address]).run(context({ deadline }), source, plan([]));
    await expect(running).rejects.toMatchObject({
      reason: expect.stringMatching(/BALANCER_UNREACHABLE|DEADLINE_EXCEEDED/),
    });
  });
});
