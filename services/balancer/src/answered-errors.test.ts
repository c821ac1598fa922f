import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BalancerService, type Replica, ReplicaState } from '@imagemesh/api';
import { createGrpcClient, type ServerWireCall } from '@imagemesh/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import { type SmallMesh, startSmallMesh, until } from './testing/small-mesh.ts';
import { echo } from './testing/small-replica.ts';

let mesh: SmallMesh;
afterEach(() => mesh.close());

const failing = async () => {
  await sleep(1);
  throw new Error('broken');
};

const slowEcho = async (call: ServerWireCall) => {
  await sleep(20);
  await echo(call);
};

/** Fails on a body of 666 bytes. */
const poisonedBySize = async (call: ServerWireCall) => {
  let bytes = 0;
  await call.reader.message();
  await call.reader.eachChunk((chunk) => {
    bytes += chunk.byteLength;
  }, 1e9);
  if (bytes === 666) await failing();
  await call.writer.message(Buffer.from('fine'));
};

/** The replicas as ListReplicas shows them, by id. */
async function conditions(): Promise<Readonly<Record<string, Replica>>> {
  const client = createGrpcClient(BalancerService, mesh.balancer.address);
  try {
    const { replicas } = await client.listReplicas({});
    return Object.fromEntries(replicas.map((replica) => [replica.replicaId, replica]));
  } finally {
    client.close();
  }
}

describe('answered errors', () => {
  it('runs a call elsewhere when its replica answers an error, and keeps that replica out', async () => {
    mesh = await startSmallMesh();
    const sinkhole = await mesh.replica({ id: 'sinkhole', slots: 4, serve: failing });
    const good = await Promise.all(
      ['a', 'b'].map((id) =>
        mesh.replica({
          id,
          slots: 4,
          serve: slowEcho,
        }),
      ),
    );
    for (let round = 0; round < 10; round++) {
      const results = await Promise.all(Array.from({ length: 8 }, () => mesh.call()));
      for (const { replica } of results) expect(replica).not.toBe('sinkhole');
    }
    // Three faults put it out; a few calls were there already, and one tries it now and then.
    expect(sinkhole.begun).toBeGreaterThanOrEqual(3);
    expect(sinkhole.begun).toBeLessThan(15);
    expect(good.every(({ begun }) => begun > 20)).toBe(true);
    expect((await conditions()).sinkhole).toMatchObject({ successRate: 0 });
  });

  it('takes an ejected replica back once it answers', async () => {
    mesh = await startSmallMesh();
    let isBroken = true;
    const moody = await mesh.replica({
      id: 'moody',
      serve: (call) => (isBroken ? failing() : echo(call)),
    });
    await mesh.replica({ id: 'steady', serve: slowEcho });
    for (let round = 0; round < 8; round++) await Promise.all([mesh.call(), mesh.call()]);
    await until(async () => (await conditions()).moody?.state === ReplicaState.EJECTED);
    isBroken = false;
    const before = moody.begun;
    await until(async () => {
      await Promise.all([mesh.call(), mesh.call()]);
      return (await conditions()).moody?.state === ReplicaState.READY;
    }, 10_000);
    expect(moody.begun).toBeGreaterThan(before);
  });

  it('blames nobody for a call that fails alike on two replicas, and asks no third', async () => {
    mesh = await startSmallMesh();
    const replicas = await Promise.all(
      ['a', 'b', 'c'].map((id) => mesh.replica({ id, serve: poisonedBySize })),
    );
    for (let round = 0; round < 12; round++) {
      const bad = mesh.call({ body: randomBytes(666) });
      await expect(bad).rejects.toMatchObject({ code: 'internal' });
    }
    expect(replicas.reduce((sum, { begun }) => sum + begun, 0)).toBe(24);
    for (const { state, failed } of Object.values(await conditions())) {
      expect(state).not.toBe(ReplicaState.EJECTED);
      expect(failed).toBe(0n);
    }
    await mesh.call();
  });
});
