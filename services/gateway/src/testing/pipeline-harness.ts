/** A pipeline runner, its store and the peers that it talks to, to be cleared after each test and closed at the end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@imagemesh/observe';
import { type Addresses, createAddresses, type RpcServer } from '@imagemesh/rpc';
import { openBlobStore } from '@imagemesh/store';
import { createMemoryBudget } from '../memory-budget.ts';
import { createPipelineRunner } from '../run-pipeline.ts';
import { createUpstream, type Upstream } from '../upstream.ts';
import { type Answer, startPeer } from './peer.ts';

export type PipelineHarness = Awaited<ReturnType<typeof createPipelineHarness>>;

export async function createPipelineHarness() {
  const log = createLogger({ name: 'test', level: 'silent' });
  const folder = await mkdtemp(join(tmpdir(), 'pipeline-test-'));
  const store = await openBlobStore(`file:${folder}/store`);
  const servers: RpcServer[] = [];
  const upstreams: Upstream[] = [];
  return {
    store,
    /** Those started since the last `clear`. */
    servers,
    async startPeer(answer: Answer, port = 0, host?: string) {
      const peer = await startPeer(answer, port, host);
      servers.push(peer.server);
      return peer;
    },
    createRunner(balancers: readonly string[] | Addresses, budget = createMemoryBudget(1e9)) {
      const addresses = 'follow' in balancers ? balancers : createAddresses(balancers);
      const upstream = createUpstream({ addresses, log });
      upstreams.push(upstream);
      return createPipelineRunner({ upstream, store, budget, log });
    },
    async clear() {
      await Promise.all(upstreams.splice(0).map((upstream) => upstream.close()));
      await Promise.all(servers.splice(0).map((server) => server.close(0)));
    },
    async close() {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}
