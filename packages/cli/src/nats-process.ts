/**
 * The process around nats-server: `node nats-process.js BIN PORT FOLDER`. It lives as every service does (runService):
 * when the launcher's IPC channel closes, however the launcher ended, nats-server is told to stop.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, createLogger, runService } from '@imagemesh/observe';

/** Most JetStream may keep: records, events and the queue hold references, never images. */
const maxStoreBytes = 1024 ** 3;
const maxMemoryBytes = 64 * 1024 ** 2;
const startTimeoutMs = 10_000;

const [bin, port, folder] = process.argv.slice(2);

await runService({
  name: 'nats',
  async start({ signal }) {
    if (bin === undefined || port === undefined || folder === undefined) {
      throw new ConfigError('expected the arguments BIN PORT FOLDER');
    }
    await mkdir(folder, { recursive: true });
    const config = join(folder, 'nats.conf');
    await writeFile(config, natsConfig(Number(port), folder));
    // The same process group: who kills the group kills both.
    const server = spawn(bin, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    createInterface({ input: server.stderr }).on('line', (line) => {
      if (!line.includes(' [INF] ')) process.stderr.write(`${line}\n`);
    });
    let isStopping = false;
    process.once('exit', () => server.kill('SIGKILL'));
    server.once('error', (error) => failed(`cannot start ${bin}: ${error.message}`));
    server.once('exit', (code, killedBy) => {
      if (!isStopping) failed(`nats-server ended (${killedBy ?? `exit code ${code}`})`);
    });
    await greeted(Number(port), AbortSignal.any([signal, AbortSignal.timeout(startTimeoutMs)]));
    return {
      address: `127.0.0.1:${port}`,
      log: createLogger({ name: 'nats', level: 'warn' }),
      async close() {
        isStopping = true;
        if (server.exitCode !== null || server.signalCode !== null) return;
        const ended = once(server, 'exit');
        server.kill('SIGTERM');
        await ended;
      },
    };
  },
});

function failed(line: string): never {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}

/** Options that have no flag are why there is a file. Quoted as the format's strings are, which are JSON's. */
function natsConfig(listenPort: number, storeDir: string): string {
  return [
    `listen: "127.0.0.1:${listenPort}"`,
    'server_name: "imagemesh"',
    'max_payload: 1MB',
    'max_connections: 1024',
    'jetstream {',
    `  store_dir: ${JSON.stringify(storeDir)}`,
    `  max_file_store: ${maxStoreBytes}`,
    `  max_memory_store: ${maxMemoryBytes}`,
    '}',
    '',
  ].join('\n');
}

/** Resolves once the server greets a connection with its INFO line. */
async function greeted(listenPort: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const socket = connect(listenPort, '127.0.0.1');
    try {
      await once(socket, 'data', { signal });
      return;
    } catch {
      await sleep(20, undefined, { signal });
    } finally {
      socket.destroy();
    }
  }
}
