/** The replica skeleton: join, slots, the pipeline of the sub-agents, drain. */
export type { Agents, Formatted, Work, WorkCall, WorkResult } from './agents.ts';
export { type ReplicaOptions, type RunningReplica, startReplica } from './replica.ts';
export { type ReplicaConfig, readReplicaConfig, replicaEnvDocs } from './replica-config.ts';
