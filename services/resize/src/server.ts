/** Puts the resize service together. */
import { WorkerKind } from '@imagemesh/api';
import { configureSharp } from '@imagemesh/image/codec';
import { type ReplicaOptions, type RunningReplica, startReplica } from '@imagemesh/worker';
import type { Config } from './config.ts';
import { format } from './format.ts';
import { type Picture, process } from './process.ts';
import { resizeOperations, validate } from './validate.ts';

/** `overrides`: what a test or a host process sets otherwise. */
export function startResize(
  { replica }: Config,
  overrides: Pick<ReplicaOptions<Picture>, 'log' | 'onDrained'> = {},
): Promise<RunningReplica> {
  configureSharp();
  return startReplica({
    name: 'resize',
    worker: WorkerKind.RESIZE,
    operations: resizeOperations,
    agents: { validate, process, format },
    config: replica,
    ...overrides,
  });
}
