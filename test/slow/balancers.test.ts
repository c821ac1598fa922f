import { BalancerService, ImageService } from '@imagemesh/api';
import { createGrpcClient } from '@imagemesh/rpc';
import { noisePng, startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let mesh: TestMesh;
let images: ReturnType<typeof createGrpcClient<typeof ImageService>>;
let fleet: ReturnType<typeof createGrpcClient<typeof BalancerService>>;
let picture: Uint8Array;

beforeAll(async () => {
  mesh = await startMesh({ balancers: 2, replicas: { resize: 2, filter: 1 } });
  images = createGrpcClient(ImageService, mesh.gatewayAddress);
  fleet = createGrpcClient(BalancerService, mesh.gatewayAddress);
  picture = await noisePng(100_000);
}, 60_000);

afterAll(async () => {
  images.close();
  fleet.close();
  await mesh.stop();
});

interface Load {
  /** Resolves once so many more were answered. */
  more(calls: number): Promise<void>;
  /** Rejects with the first failure. */
  end(): Promise<void>;
}

/** Six callers, each with one call after the other. */
function load(): Load {
  let isOver = false;
  let answered = 0;
  const callers = Array.from({ length: 6 }, async () => {
    while (!isOver) {
      const { info } = await images.transform({
        source: { source: { case: 'data', value: picture } },
        operations: [
          { operation: { case: 'resize', value: { width: 64 } } },
          { operation: { case: 'blur', value: {} } },
        ],
      });
      expect(info?.width).toBe(64);
      answered++;
    }
  });
  const all = Promise.all(callers);
  all.catch(() => {});
  return {
    more: (calls) => {
      const enough = answered + calls;
      return Promise.race([all, expect.poll(() => answered >= enough, { timeout: 30_000 }).toBe(true)]).then(
        () => {},
      );
    },
    end: async () => {
      isOver = true;
      await all;
    },
  };
}

/** How many calls each balancer has been given, by its own log. */
const callsOf = (name: string) => mesh.logs(name).filter((line) => line.includes('"msg":"call"')).length;

describe('two balancers', () => {
  it('both get work, and every replica joins both', async () => {
    const { more, end } = load();
    await more(20);
    await end();
    expect(callsOf('balancer-1')).toBeGreaterThan(5);
    expect(callsOf('balancer-2')).toBeGreaterThan(5);
    const { replicas } = await fleet.listReplicas({});
    expect(replicas.map(({ balancerIds }) => balancerIds.length)).toEqual([2, 2, 2]);
  });

  it('fail no call when one is killed -9 under load, and it gets work again once it is back', async () => {
    const { more, end } = load();
    await more(10);
    await mesh.kill('balancer-1');
    await more(10);
    await mesh.restart('balancer-1');
    await expect.poll(() => callsOf('balancer-1')).toBeGreaterThan(5);
    await end();
  });

  it('fail no call when every replica is restarted in turn under load', async () => {
    const { more, end } = load();
    for (const name of ['resize-1', 'resize-2']) {
      await mesh.kill(name, 'SIGTERM');
      await mesh.restart(name);
      await mesh.allJoined();
    }
    await mesh.addReplica('filter');
    await mesh.allJoined();
    await mesh.kill('filter-1', 'SIGTERM');
    await more(10);
    await end();
  });
});
