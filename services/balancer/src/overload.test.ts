import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerWireCall } from '@imagemesh/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import { type SmallMesh, startSmallMesh, until } from './testing/small-mesh.ts';
import { echo } from './testing/small-replica.ts';

let mesh: SmallMesh;
afterEach(() => mesh.close());

const gate = () => {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
};

/** Answers as echo does, once that has happened. */
const echoAfter = (opened: Promise<void>) => async (call: ServerWireCall) => {
  await opened;
  await echo(call);
};

describe('overload', () => {
  it('answers QUEUE_FULL with a time to try again', async () => {
    mesh = await startSmallMesh({ maxQueuedCalls: 2 });
    const release = gate();
    await mesh.replica({ id: 'a', serve: echoAfter(release.opened) });
    const calls = Array.from({ length: 5 }, () => mesh.call());
    const settled = Promise.allSettled(calls);
    await sleep(100);
    release.open();
    const refused = (await settled).flatMap((result) =>
      result.status === 'rejected' ? [result.reason] : [],
    );
    expect(refused.map(({ reason, retryAfterMs }) => ({ reason, retryAfterMs }))).toEqual([
      { reason: 'QUEUE_FULL', retryAfterMs: 1000 },
      { reason: 'QUEUE_FULL', retryAfterMs: 1000 },
    ]);
  });

  it('refuses at once what would end after its deadline, and says when to try again', async () => {
    mesh = await startSmallMesh();
    const release = gate();
    const a = await mesh.replica({ id: 'a', serve: echoAfter(release.opened) });
    const metadata = { 'im-cost': '5000' };
    const first = mesh.call({ metadata });
    await until(() => a.begun === 1);
    const began = performance.now();
    await expect(mesh.call({ metadata, deadlineMs: 3000 })).rejects.toMatchObject({
      reason: 'OVERLOADED',
      code: 'resource_exhausted',
    });
    expect(performance.now() - began).toBeLessThan(1000);
    const patient = ['job', 'default'].map((callClass) =>
      mesh.call({
        metadata: { ...metadata, 'im-class': callClass },
        deadlineMs: callClass === 'job' ? 3000 : 30_000,
      }),
    );
    const later = mesh.call({ metadata: { ...metadata, 'im-age-ms': '10' }, deadlineMs: 3000 });
    await sleep(50);
    release.open();
    await Promise.all([first, ...patient, later]);
  });

  it('drops a sheddable call when the queue is full, before it refuses another', async () => {
    mesh = await startSmallMesh({ maxQueuedCalls: 1 });
    const release = gate();
    const a = await mesh.replica({ id: 'a', serve: echoAfter(release.opened) });
    const running = mesh.call();
    await until(() => a.begun === 1);
    const sheddable = mesh.call({ metadata: { 'im-class': 'sheddable' } });
    const dropped = expect(sheddable).rejects.toMatchObject({ reason: 'QUEUE_FULL' });
    await sleep(50);
    const kept = mesh.call();
    await dropped;
    await expect(mesh.call({ metadata: { 'im-class': 'job' } })).rejects.toMatchObject({
      reason: 'QUEUE_FULL',
    });
    release.open();
    await Promise.all([running, kept]);
  });

  it('answers QUEUE_FULL when the bodies held reach their bound', async () => {
    mesh = await startSmallMesh({ maxHeldBytes: 2_000_000 });
    const release = gate();
    const a = await mesh.replica({ id: 'a', serve: echoAfter(release.opened) });
    const running = mesh.call();
    await until(() => a.begun === 1);
    const waiting = mesh.call({ body: randomBytes(5_000_000) });
    await sleep(100);
    await expect(mesh.call()).rejects.toMatchObject({
      reason: 'QUEUE_FULL',
      metadata: { limit_bytes: '2000000' },
    });
    release.open();
    await Promise.all([running, waiting]);
  });
});
