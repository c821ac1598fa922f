/** BalancerService.DrainReplica, at every balancer that knows the replica. */
import { create } from '@bufbuild/protobuf';
import {
  type DrainReplicaRequest,
  type DrainReplicaResponse,
  DrainReplicaResponseSchema,
} from '@imagemesh/api';
import type { Balancers } from '../balancers.ts';
import { mergeListings } from '../merge-replicas.ts';
import type { Unary } from './call-shapes.ts';

export function drainReplica(balancers: Balancers): Unary<DrainReplicaRequest, DrainReplicaResponse> {
  return async ({ replicaId, reason }, call) => {
    const views = await balancers.drain(call, replicaId, reason);
    const [replica] = mergeListings([{ replicas: views, queues: [] }]).replicas;
    return create(DrainReplicaResponseSchema, { ...(replica !== undefined && { replica }) });
  };
}
