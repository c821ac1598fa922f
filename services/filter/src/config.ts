/** The configuration of a filter replica, from the environment. */
import type { Env, EnvDoc } from '@imagemesh/observe';
import { type ReplicaConfig, readReplicaConfig, replicaEnvDocs } from '@imagemesh/worker';

export interface Config {
  readonly replica: ReplicaConfig;
}

/** Throws ConfigError. */
export function readConfig(env: Env): Config {
  return { replica: readReplicaConfig(env, 'filter') };
}

/** For `--help`. */
export const envDocs: readonly EnvDoc[] = replicaEnvDocs;
