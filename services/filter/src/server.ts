/** Builds a filter replica: the threads, the agents, the skeleton around them. */
import { WorkerKind } from '@imagemesh/api';
import { createLogger, type RunContext, type RunningService } from '@imagemesh/observe';
import { type Agents, startReplica } from '@imagemesh/worker';
import { readConfig } from './config.ts';
import { format } from './format.ts';
import { filterOperations } from './kernels.ts';
import { type Picture, process } from './process.ts';
import { createThreadPool } from './thread-pool.ts';
import { validate } from './validate.ts';

/** Joins its balancers once its threads are warm, so that no call waits for a compiler. */
export async function startFilter({ env, signal }: RunContext): Promise<RunningService> {
  const { replica: config, maxFilterPixels } = readConfig(env);
  const log = createLogger({ name: 'filter', level: config.logLevel });
  const pool = createThreadPool({
    threads: config.slots,
    onReplaced: (why, error) => log.warn({ why, err: error }, 'a filter thread is replaced'),
  });
  const agents: Agents<Picture> = {
    validate: (work) => validate(work, maxFilterPixels),
    process: (work, call) => process(pool, work, call),
    format,
  };
  try {
    await pool.ready(signal);
    return await startReplica({
      name: 'filter',
      worker: WorkerKind.FILTER,
      operations: filterOperations,
      agents,
      config,
      log,
      close: () => pool.close(),
    });
  } catch (error) {
    await pool.close();
    throw error;
  }
}
