import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import { JobService, WatchEventsResponseSchema } from '@imagemesh/api';
import { signal } from '@preact/signals';
import { afterEach, expect, it, vi } from 'vitest';
import type { Clients } from '../mesh/clients.ts';
import type { LinkState } from '../mesh/follow.ts';
import { followEvents } from './events.ts';
import type { Notice } from './notices.ts';

afterEach(() => vi.unstubAllGlobals());

function event(sequence: bigint, id = `e${sequence}`) {
  return create(WatchEventsResponseSchema, {
    id,
    sequence,
    type: 'imagemesh.job.completed',
    data: { case: 'job', value: { jobId: `job-${sequence}`, labels: { file: `${sequence}.jpg` } } },
  });
}

it('goes on after the last event that it has heard when its stream breaks, signs of life among them', async () => {
  const page = new EventTarget();
  vi.stubGlobal('window', page);
  const asked: bigint[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(JobService, {
      async *watchEvents({ afterSequence }) {
        asked.push(afterSequence);
        yield create(WatchEventsResponseSchema, {});
        if (asked.length === 1) {
          yield event(7n);
          // A sign of life has no id, and says how far the feed is.
          yield event(9n, '');
          throw new ConnectError('gone', Code.Unavailable);
        }
        yield event(10n);
        await new Promise(() => {});
      },
    });
  });
  // Of the clients it takes one.
  const clients = { jobs: createClient(JobService, transport) } as unknown as Clients;
  const events = signal<readonly Notice[]>([]);
  const link = signal<LinkState>({ kind: 'connecting' });
  const stop = followEvents(clients, events, link);
  try {
    await expect.poll(() => link.value.kind, { interval: 1 }).toBe('lost');
    page.dispatchEvent(new Event('online'));
    await expect.poll(() => events.value.length, { interval: 1 }).toBe(2);
    expect(link.value.kind).toBe('live');
    expect(asked).toEqual([0n, 9n]);
    expect(events.value.map(({ subject }) => subject)).toEqual(['10.jpg', '7.jpg']);
  } finally {
    stop();
  }
});
