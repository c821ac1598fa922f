/** BalancerService.ListReplicas, merged over the balancers. */
import { create } from '@bufbuild/protobuf';
import {
  type ListReplicasRequest,
  type ListReplicasResponse,
  ListReplicasResponseSchema,
} from '@imagemesh/api';
import type { Balancers } from '../balancers.ts';
import { mergeListings } from '../merge-replicas.ts';
import type { Unary } from './call-shapes.ts';

export function listReplicas(balancers: Balancers): Unary<ListReplicasRequest, ListReplicasResponse> {
  return async ({ worker }, call) =>
    create(ListReplicasResponseSchema, mergeListings(await balancers.list(call), worker));
}
