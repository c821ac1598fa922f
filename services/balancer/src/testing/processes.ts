/** A balancer and small replicas as processes. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Order } from './small-replica-process.ts';

export interface Started {
  readonly child: ChildProcess;
  readonly address: string;
}

export interface StartedReplica extends Started {
  /** How it behaves from now on. */
  order(order: Order): void;
}

export interface Processes {
  balancer(env?: Readonly<Record<string, string>>): Promise<Started>;
  replica(balancer: string, id: string, workMs?: number, build?: string): Promise<StartedReplica>;
  /** Kills all that run. */
  stop(): Promise<void>;
}

export function createProcesses(): Processes {
  const children: ChildProcess[] = [];

  async function start(file: string, args: readonly string[], env = {}): Promise<Started> {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
      execArgv: ['--conditions=source', '--import', 'tsx'],
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    children.push(child);
    const [message] = await once(child, 'message');
    // The service's own ready message.
    return { child, address: (message as { address: string }).address };
  }

  return {
    balancer: (env = {}) =>
      start('../main.ts', [], { PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'info', ...env }),
    replica: async (balancer, id, workMs = 20, build = 'test') => {
      const started = await start('./small-replica-process.ts', [balancer, id, String(workMs), build]);
      return { ...started, order: (order) => void started.child.send(order) };
    },
    stop: async () => {
      for (const child of children.splice(0)) {
        child.kill('SIGKILL');
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      }
    },
  };
}
