/** What the bench and its replicas say to each other. */
import type { ReplicaSpec } from '../balancer-sim/sim-replica.ts';

export const path = '/imagemesh.v1.ResizeService/Resize';
/** Header: the true work in reference-ms. */
export const trueWork = 'x-work-ms';

export type Order =
  | { readonly order: 'begin'; readonly spec: ReplicaSpec }
  | { readonly order: 'join'; readonly balancer: string }
  | { readonly order: 'leave' };
