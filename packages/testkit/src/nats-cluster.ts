/** A cluster of real nats-servers on loopback for a test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNatsServer, freePort } from '@imagemesh/cli';

export interface NatsCluster {
  /** All of them, comma-separated. */
  readonly url: string;
  /** SIGKILL. Servers are numbered from 0, and named "server-0". */
  kill(server: number): Promise<void>;
  restart(server: number): Promise<void>;
  /** Kills all and deletes their folder. */
  stop(): Promise<void>;
}

/** Starts it. It takes some seconds until it has a leader and answers. */
export async function startNatsCluster(size: number): Promise<NatsCluster> {
  const bin = await findNatsServer(process.env, () => {});
  if (bin === undefined) throw new Error('this test needs nats-server: install it, or set NATS_SERVER_BIN');
  const folder = await mkdtemp(join(tmpdir(), 'imagemesh-cluster-'));
  const numbers = Array.from({ length: size }, (_, at) => at);
  const ports = await Promise.all(numbers.map(() => freePort()));
  const routes = await Promise.all(numbers.map(() => freePort()));
  const servers = new Map<number, ChildProcess>();

  async function start(at: number): Promise<void> {
    const store = join(folder, String(at));
    await mkdir(store, { recursive: true });
    const config = join(store, 'nats.conf');
    const others = routes.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
    const lines = [
      `listen: "127.0.0.1:${ports[at]}"`,
      `server_name: "server-${at}"`,
      'jetstream {',
      `  store_dir: ${JSON.stringify(store)}`,
      '}',
      'cluster {',
      '  name: "imagemesh"',
      `  listen: "127.0.0.1:${routes[at]}"`,
      `  routes: [${others}]`,
      '}',
    ];
    await writeFile(config, lines.join('\n'));
    servers.set(at, spawn(bin ?? '', ['-c', config], { stdio: 'ignore' }));
  }

  async function kill(at: number): Promise<void> {
    const server = servers.get(at);
    servers.delete(at);
    if (server === undefined || server.exitCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }

  await Promise.all(numbers.map(start));
  return {
    url: ports.map((port) => `nats://127.0.0.1:${port}`).join(','),
    kill,
    restart: start,
    async stop() {
      await Promise.all(numbers.map(kill));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
