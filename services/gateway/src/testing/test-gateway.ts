/** A gateway of its own for a test: on a free port, silent, with its data in the folder and no page. */
import type { Env, RunningService } from '@imagemesh/observe';
import { readConfig } from '../config.ts';
import { startGateway } from '../server.ts';

/** `env` comes over the settings that every test has. */
export function startTestGateway(folder: string, env: Env = {}): Promise<RunningService> {
  const base = { PORT: '0', DATA_DIR: folder, WEB_DIR: folder, LOG_LEVEL: 'silent' };
  return startGateway(readConfig({ ...base, ...env }));
}
