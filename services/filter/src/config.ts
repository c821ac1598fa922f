/** The configuration of a filter replica, from the environment. */
import { type Env, type EnvDoc, envInt } from '@imagemesh/observe';
import { type ReplicaConfig, readReplicaConfig, replicaEnvDocs } from '@imagemesh/worker';

export interface Config {
  readonly replica: ReplicaConfig;
  /** The largest image that is filtered, in px. */
  readonly maxFilterPixels: number;
}

/** The largest image whose every filter was seen to fit a heap that other images have used before, in px. */
const safePixels = 40_000_000;

/** Throws ConfigError. */
export function readConfig(env: Env): Config {
  return {
    replica: readReplicaConfig(env, 'filter'),
    maxFilterPixels: envInt(env, 'MAX_FILTER_PIXELS', { default: safePixels, min: 1, max: safePixels }),
  };
}

/** For `--help`. */
export const envDocs: readonly EnvDoc[] = [
  ...replicaEnvDocs,
  {
    name: 'MAX_FILTER_PIXELS',
    default: String(safePixels),
    doc: 'Most pixels of an image that is filtered.',
  },
];
