/** A real nats-server with JetStream for a test. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNatsServer, freePort, natsSpec } from '@imagemesh/cli';
import { startProcess, type TestProcess } from './process.ts';

export interface TestNats {
  readonly url: string;
  readonly pid: number;
  /** Stops it at once; what JetStream has stored stays. */
  kill(): Promise<void>;
  /** Deletes what JetStream has stored; call it between `kill` and `restart`. */
  wipe(): Promise<void>;
  /** Starts it again on the same port with the same store. */
  restart(): Promise<void>;
  /** Stops it and deletes its folder. */
  stop(): Promise<void>;
}

export async function startNats(): Promise<TestNats> {
  const bin = await findNatsServer(process.env, () => {});
  if (bin === undefined) throw new Error('this test needs nats-server: install it, or set NATS_SERVER_BIN');
  const dataDir = await mkdtemp(join(tmpdir(), 'imagemesh-nats-'));
  const port = await freePort();
  const spec = natsSpec(bin, port, { dataDir, balancers: [], natsUrl: '', env: process.env });
  let server: TestProcess = await startProcess(spec);
  return {
    url: `nats://127.0.0.1:${port}`,
    get pid() {
      return server.pid;
    },
    async kill() {
      server.signal('SIGKILL');
      await server.exited;
    },
    async wipe() {
      await rm(dataDir, { recursive: true, force: true });
      await mkdir(dataDir, { recursive: true });
    },
    async restart() {
      await server.stop();
      server = await startProcess(spec);
    },
    async stop() {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
