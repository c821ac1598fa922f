/** BalancerService.WatchReplicas, merged over the balancers. */
import { create } from '@bufbuild/protobuf';
import {
  type WatchReplicasRequest,
  type WatchReplicasResponse,
  WatchReplicasResponseSchema,
} from '@imagemesh/api';
import type { ReplicaFeed } from '../replica-feed.ts';
import type { Watch } from './call-shapes.ts';

const defaultIntervalMs = 1000;

export function watchReplicas(feed: ReplicaFeed): Watch<WatchReplicasRequest, WatchReplicasResponse> {
  return async function* ({ minIntervalMs }, { signal }) {
    for await (const listing of feed.follow(minIntervalMs || defaultIntervalMs, signal)) {
      yield create(WatchReplicasResponseSchema, listing);
    }
  };
}
