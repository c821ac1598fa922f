/** Puts the filter service together: the threads, the agents, the skeleton around them. */
import { WorkerKind } from '@imagemesh/api';
import { createLogger } from '@imagemesh/observe';
import { type ReplicaOptions, type RunningReplica, startReplica } from '@imagemesh/worker';
import type { Config } from './config.ts';
import { format } from './format.ts';
import { filterOperations } from './kernels/index.ts';
import { type Picture, process } from './process.ts';
import { createThreadPool } from './thread-pool.ts';
import { validate } from './validate.ts';

/**
 * Joins its balancers once its threads are warm, so that no call waits for a compiler. `overrides`: what a test or a
 * host process sets otherwise.
 */
export async function startFilter(
  { replica: config }: Config,
  overrides: Pick<ReplicaOptions<Picture>, 'log' | 'onDrained'> = {},
): Promise<RunningReplica> {
  const log = overrides.log ?? createLogger({ name: 'filter', level: config.logLevel });
  const pool = createThreadPool({
    threads: config.slots,
    onReplaced: (why, error) => log.warn({ why, err: error }, 'a filter thread is replaced'),
  });
  try {
    await pool.ready();
    return await startReplica({
      name: 'filter',
      worker: WorkerKind.FILTER,
      operations: filterOperations,
      agents: {
        validate: (work) => validate(work, config.limits),
        process: (work, call) => process(pool, work, call),
        format,
      },
      config,
      log,
      close: () => pool.close(),
      ...overrides,
    });
  } catch (error) {
    await pool.close();
    throw error;
  }
}
