/** What a launcher of meshes needs: also used by the test kit, whose meshes are real ones. */
export { type Child, type ChildSpec, type Exit, type Ready, type Stream, startChild } from './child.ts';
export { findNatsServer } from './find-nats.ts';
export { replicasReady } from './mesh-ready.ts';
export { freePort } from './preflight.ts';
export { WORKER_KINDS, type WorkerKind } from './replica-counts.ts';
export {
  balancerSpec,
  gatewaySpec,
  type Listen,
  type MeshSettings,
  natsSpec,
  type ProcessKind,
  replicaSpec,
  stopWithinMs,
} from './services.ts';
