/** The fleet as it is now and was in the last minutes; one stream, for as long as the page is open. */
import type { QueueStatus, Replica, WatchReplicasResponse } from '@imagemesh/api';
import { batch, type ReadonlySignal, signal } from '@preact/signals';
import type { Clients } from '../mesh/clients.ts';
import { type Following, follow } from '../mesh/follow.ts';
import { createHistory, type History, SAMPLE_MS } from './history.ts';
import { type Notice, noticesOf } from './notices.ts';

export interface FleetState {
  readonly link: Following;
  /** Whether a list has come yet: before, that there are no replicas says nothing. */
  readonly isListed: ReadonlySignal<boolean>;
  readonly replicas: ReadonlySignal<readonly Replica[]>;
  readonly queues: ReadonlySignal<readonly QueueStatus[]>;
  readonly history: History;
  /** Grows with every sample of the history. */
  readonly samples: ReadonlySignal<number>;
  /** Newest first. */
  readonly notices: ReadonlySignal<readonly Notice[]>;
  stop(): void;
}

/** Least time between two lists, in ms. */
const intervalMs = 250;
const maxNotices = 200;

export function createFleet({ balancers }: Clients): FleetState {
  const replicas = signal<readonly Replica[]>([]);
  const queues = signal<readonly QueueStatus[]>([]);
  const notices = signal<readonly Notice[]>([]);
  const samples = signal(0);
  const history = createHistory();
  const isListed = signal(false);

  const link = follow<WatchReplicasResponse>({
    open: (stopping) => balancers.watchReplicas({ minIntervalMs: intervalMs }, { signal: stopping }),
    onMessage(listing) {
      // The first list is no news.
      if (isListed.value) {
        const news = noticesOf(replicas.value, listing.replicas, Date.now());
        if (news.length > 0) notices.value = [...news, ...notices.value].slice(0, maxNotices);
      }
      batch(() => {
        isListed.value = true;
        replicas.value = listing.replicas;
        queues.value = listing.queues;
      });
    },
  });
  const sampling = setInterval(() => {
    const isLive = link.state.value.kind === 'live';
    history.sample(Date.now(), isLive ? { replicas: replicas.value, queues: queues.value } : undefined);
    samples.value++;
  }, SAMPLE_MS);

  return {
    link,
    isListed,
    replicas,
    queues,
    history,
    samples,
    notices,
    stop() {
      clearInterval(sampling);
      link.stop();
    },
  };
}
