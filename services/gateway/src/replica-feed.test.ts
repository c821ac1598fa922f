import { create } from '@bufbuild/protobuf';
import { ReplicaSchema, type WatchReplicasResponse, WatchReplicasResponseSchema } from '@imagemesh/api';
import { createAddresses, MeshError } from '@imagemesh/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import { createHandOff, type HandOff } from './hand-off.ts';
import { createReplicaFeed, type ReplicaFeed } from './replica-feed.ts';

const feeds: ReplicaFeed[] = [];
afterEach(() => {
  for (const feed of feeds.splice(0)) feed.close();
});

/** Balancers whose lists the test speaks. */
function fakeBalancers(addresses: string[]) {
  const streams = new Map<string, HandOff<WatchReplicasResponse>>();
  let opened = 0;
  let closed = 0;
  const watch = (
    address: string,
    _minIntervalMs: number,
    signal: AbortSignal,
  ): AsyncIterable<WatchReplicasResponse> => {
    const stream = createHandOff<WatchReplicasResponse>();
    streams.set(address, stream);
    opened++;
    signal.addEventListener('abort', () => {
      closed++;
      stream.end(signal.reason);
    });
    return stream.items;
  };
  const say = (address: string, ...ids: string[]) => {
    const replicas = ids.map((replicaId) => create(ReplicaSchema, { replicaId, balancerIds: [address] }));
    void streams
      .get(address)
      ?.put(create(WatchReplicasResponseSchema, { replicas }))
      .catch(() => {});
  };
  const lose = (address: string) => streams.get(address)?.end(new MeshError('BALANCER_UNREACHABLE', 'lost'));
  return { addresses: createAddresses(addresses), watch, say, lose, count: () => ({ opened, closed }) };
}

function start(
  balancers: ReturnType<typeof fakeBalancers>,
  options: { maxFollowers?: number; firstWaitMs?: number } = {},
) {
  const feed = createReplicaFeed({ balancers, maxFollowers: 2, retryMs: 1, firstWaitMs: 1000, ...options });
  feeds.push(feed);
  return feed;
}

function follow(feed: ReplicaFeed, minIntervalMs = 0) {
  const leaving = new AbortController();
  const iterator = feed.follow(minIntervalMs, leaving.signal)[Symbol.asyncIterator]();
  const next = async () =>
    (await iterator.next()).value?.replicas.map(({ replicaId }: { replicaId: string }) => replicaId);
  return { next, leave: () => leaving.abort(), iterator };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('createReplicaFeed', () => {
  it('waits for all balancers, then gives one merged list', async () => {
    const balancers = fakeBalancers(['10.0.0.1:1', '10.0.0.2:1']);
    const client = follow(start(balancers));
    const first = client.next();
    await settled();
    balancers.say('10.0.0.1:1', 'r1', 'r2');
    await settled();
    balancers.say('10.0.0.2:1', 'r2', 'r3');
    expect(await first).toEqual(['r1', 'r2', 'r3']);
  });

  it('does not wait for ever for a balancer that says nothing', async () => {
    const balancers = fakeBalancers(['10.0.0.1:1', '10.0.0.2:1']);
    const client = follow(start(balancers, { firstWaitMs: 20 }));
    const first = client.next();
    await settled();
    balancers.say('10.0.0.1:1', 'r1');
    expect(await first).toEqual(['r1']);
  });

  it('drops what a lost balancer said, goes on, and asks it again', async () => {
    const balancers = fakeBalancers(['10.0.0.1:1', '10.0.0.2:1']);
    const client = follow(start(balancers));
    const first = client.next();
    await settled();
    balancers.say('10.0.0.1:1', 'r1');
    balancers.say('10.0.0.2:1', 'r2');
    expect(await first).toEqual(['r1', 'r2']);
    const second = client.next();
    balancers.lose('10.0.0.1:1');
    expect(await second).toEqual(['r2']);
    const third = client.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    balancers.say('10.0.0.1:1', 'r1');
    expect(await third).toEqual(['r1', 'r2']);
  });

  it('shares the streams between clients and ends them with the last', async () => {
    const balancers = fakeBalancers(['10.0.0.1:1']);
    const feed = start(balancers);
    const [one, two] = [follow(feed), follow(feed)];
    const lists = Promise.all([one.next(), two.next()]);
    await settled();
    balancers.say('10.0.0.1:1', 'r1');
    expect(await lists).toEqual([['r1'], ['r1']]);
    expect(balancers.count()).toEqual({ opened: 1, closed: 0 });
    await expect(follow(feed).next()).rejects.toMatchObject({ reason: 'OVERLOADED' });
    one.leave();
    await one.iterator.next();
    expect(balancers.count().closed).toBe(0);
    two.leave();
    await two.iterator.next();
    expect(balancers.count().closed).toBe(1);
  });

  it('keeps the interval and sends only the newest list after it', async () => {
    const balancers = fakeBalancers(['10.0.0.1:1']);
    const client = follow(start(balancers), 60);
    const first = client.next();
    await settled();
    balancers.say('10.0.0.1:1', 'r1');
    await first;
    const startMs = performance.now();
    const second = client.next();
    balancers.say('10.0.0.1:1', 'r1', 'r2');
    await settled();
    balancers.say('10.0.0.1:1', 'r1', 'r2', 'r3');
    expect(await second).toEqual(['r1', 'r2', 'r3']);
    expect(performance.now() - startMs).toBeGreaterThan(50);
  });

  it('tells its clients when it stops', async () => {
    const balancers = fakeBalancers(['10.0.0.1:1']);
    const feed = start(balancers);
    const client = follow(feed);
    const first = client.next();
    await settled();
    balancers.say('10.0.0.1:1', 'r1');
    await first;
    const second = client.next();
    feed.close();
    await expect(second).rejects.toMatchObject({ reason: 'SHUTTING_DOWN' });
  });
});
