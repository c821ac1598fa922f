import { createAddresses, deadlineIn, MeshError } from '@imagemesh/rpc';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { context, encoded, plan, source } from './testing/peer.ts';
import { createPipelineHarness, type PipelineHarness } from './testing/pipeline-harness.ts';

let harness: PipelineHarness;

beforeAll(async () => {
  harness = await createPipelineHarness();
});
afterEach(() => harness.clear());
afterAll(() => harness.close());

describe('balancers that come and go', () => {
  it('sends to those that the name stands for now, and lets running calls of one that left finish', async () => {
    let isHeld = true;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = await harness.startPeer(async (call, wire) => {
      if (isHeld) await held;
      return encoded(call, wire);
    });
    let calls = 0;
    await harness.startPeer(
      async (call, wire) => {
        calls++;
        return encoded(call, wire);
      },
      first.server.port,
      '127.0.0.2',
    );
    let hosts = ['127.0.0.1'];
    const addresses = createAddresses([`balancers:${first.server.port}`], {
      everyMs: 1,
      lookup: async () => hosts.map((address) => ({ address, family: 4 })),
    });
    await expect.poll(() => addresses.current.size).toBe(1);
    const runner = harness.createRunner(addresses);
    const running = runner.run(context(), source, plan([]));
    hosts = ['127.0.0.2'];
    await expect.poll(() => [...addresses.current]).toEqual([`127.0.0.2:${first.server.port}`]);
    isHeld = false;
    for (let count = 0; count < 3; count++) await runner.run(context(), source, plan([]));
    expect(calls).toBe(3);
    release();
    expect((await running).sizeBytes).toBe(2);
    hosts = [];
    await expect.poll(() => addresses.current.size).toBe(0);
    const ending = runner.run({ ...context(), deadline: deadlineIn(100) }, source, plan([]));
    await expect(ending).rejects.toMatchObject({ reason: 'BALANCER_UNREACHABLE' });
    addresses.close();
  });
});

describe('balancers that are lost', () => {
  it('sends the stage to another one at once', async () => {
    const { address } = await harness.startPeer(encoded);
    const gone = await harness.startPeer(encoded);
    await gone.server.close(0);
    const runner = harness.createRunner([gone.address, address]);
    for (let count = 0; count < 5; count++) {
      expect((await runner.run(context(), source, plan([]))).sizeBytes).toBe(2);
    }
  });

  it('sends it again when the connection breaks in the middle of the work, or of the reply', async () => {
    let calls = 0;
    const { address } = await harness.startPeer(async (call, wire) => {
      calls++;
      if (calls === 1) harness.servers[0]?.close(0);
      return encoded(call, wire);
    });
    const other = await harness.startPeer(encoded);
    const runner = harness.createRunner([address, other.address]);
    const results = await Promise.all(
      Array.from({ length: 6 }, () => runner.run(context(), source, plan([]))),
    );
    expect(results.every(({ sizeBytes }) => sizeBytes === 2)).toBe(true);
  });

  it('waits for the only one to come back, within the deadline', async () => {
    const first = await harness.startPeer(encoded);
    await first.server.close(0);
    const runner = harness.createRunner([first.address]);
    const running = runner.run(context(), source, plan([]));
    await new Promise((resolve) => setTimeout(resolve, 120));
    await harness.startPeer(encoded, first.server.port);
    expect((await running).sizeBytes).toBe(2);
  });

  it('tries another one, and then again, where there is no replica yet', async () => {
    const empty = await harness.startPeer(async () => {
      throw new MeshError('NO_REPLICA', 'none');
    });
    const other = await harness.startPeer(encoded);
    const both = harness.createRunner([empty.address, other.address]);
    for (let count = 0; count < 4; count++)
      expect((await both.run(context(), source, plan([]))).sizeBytes).toBe(2);
    let calls = 0;
    const joining = await harness.startPeer(async (call, wire) => {
      if (++calls < 3) throw new MeshError('NO_REPLICA', 'none');
      return encoded(call, wire);
    });
    expect((await harness.createRunner([joining.address]).run(context(), source, plan([]))).sizeBytes).toBe(
      2,
    );
    await expect(
      harness.createRunner([empty.address]).run(context(), source, plan([])),
    ).rejects.toMatchObject({
      reason: 'NO_REPLICA',
    });
  });

  it('gives up at the deadline, and says which', async () => {
    const first = await harness.startPeer(encoded);
    await first.server.close(0);
    const deadline = deadlineIn(200);
    const running = harness.createRunner([first.address]).run(context({ deadline }), source, plan([]));
    await expect(running).rejects.toMatchObject({
      reason: expect.stringMatching(/BALANCER_UNREACHABLE|DEADLINE_EXCEEDED/),
    });
  });
});
