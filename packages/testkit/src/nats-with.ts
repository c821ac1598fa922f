/** A nats-server with settings of the test's own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNatsServer, freePort } from '@imagemesh/cli';

/** `lines` of its configuration beside the port and JetStream. It may take a moment until it answers. */
export async function startNatsWith(
  lines: readonly string[],
): Promise<{ readonly address: string; stop(): Promise<void> }> {
  const bin = await findNatsServer(process.env, () => {});
  if (bin === undefined) throw new Error('this test needs nats-server: install it, or set NATS_SERVER_BIN');
  const folder = await mkdtemp(join(tmpdir(), 'imagemesh-nats-'));
  const address = `127.0.0.1:${await freePort()}`;
  const config = join(folder, 'nats.conf');
  const own = [`listen: "${address}"`, 'jetstream {', `  store_dir: ${JSON.stringify(folder)}`, '}'];
  await writeFile(config, [...own, ...lines].join('\n'));
  const server = spawn(bin, ['-c', config], { stdio: 'ignore' });
  return {
    address,
    async stop() {
      if (server.exitCode === null && server.signalCode === null) {
        const ended = once(server, 'exit');
        server.kill('SIGKILL');
        await ended;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}
