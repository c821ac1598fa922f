import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { timestampMs } from '@bufbuild/protobuf/wkt';
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
    const shown = await conditions();
    // It answered nothing but faults, and each of its calls was sent elsewhere.
    expect(shown.sinkhole).toMatchObject({ successRate: 0, retried: BigInt(sinkhole.begun) });
    expect(shown.sinkhole?.ejections).toBeGreaterThanOrEqual(1);
    for (const id of ['a', 'b']) expect(shown[id]).toMatchObject({ retried: 0n, ejections: 0 });
    expect(shown.a?.lastEjectionTime).toBeUndefined();
  });

  it('counts as sent elsewhere what a replica lost, not what it had no slot for', async () => {
    mesh = await startSmallMesh();
    let isStuck = false;
    const serve = (call: ServerWireCall) => (isStuck ? sleep(5000) : slowEcho(call));
    // It announces more slots than it has.
    const doomed = await mesh.replica({ id: 'doomed', slots: 4, ownSlots: 1, serve });
    await mesh.call();
    await Promise.all(Array.from({ length: 4 }, () => mesh.call()));
    expect(doomed.busyAnswers).toBeGreaterThan(0);
    expect((await conditions()).doomed).toMatchObject({ retried: 0n });

    isStuck = true;
    const before = doomed.begun;
    const call = mesh.call();
    await until(() => doomed.begun > before);
    await mesh.replica({ id: 'other' });
    doomed.kill();
    await call;
    expect(await conditions()).toMatchObject({ doomed: { retried: 1n }, other: { retried: 0n } });
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
    const out = (await conditions()).moody;
    if (out?.lastEjectionTime === undefined || out.ejectedUntilTime === undefined)
      throw new Error('no times');
    const outMs = timestampMs(out.ejectedUntilTime) - timestampMs(out.lastEjectionTime);
    // 1 s the first time, doubled the second, spread by a fifth.
    expect(outMs / 2 ** (out.ejections - 1)).toBeGreaterThan(790);
    expect(outMs / 2 ** (out.ejections - 1)).toBeLessThan(1210);
    isBroken = false;
    const before = moody.begun;
    await until(async () => {
      await Promise.all([mesh.call(), mesh.call()]);
      return (await conditions()).moody?.state === ReplicaState.READY;
    }, 10_000);
    expect(moody.begun).toBeGreaterThan(before);
    const back = (await conditions()).moody;
    expect(back?.ejections).toBeGreaterThanOrEqual(out.ejections);
    expect(back?.lastEjectionTime).toBeDefined();
    expect(back?.ejectedUntilTime).toBeUndefined();
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
