/** A real nats-server for tests: on a free port, with JetStream in a folder of its own, to be stopped and started at will. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface NatsServer {
  readonly url: string;
  /** On the same port; resolves when it answers. */
  start(): Promise<void>;
  /** Kills it (SIGKILL unless told otherwise) and waits for its end; what it stored stays. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Stops the process (SIGSTOP): its connections stay open and silent. */
  freeze(): void;
  thaw(): void;
  /** Deletes what it stored. */
  wipe(): Promise<void>;
  /** Kills it and deletes its folder. */
  close(): Promise<void>;
}

export interface NatsServerOptions {
  /** Default true. */
  readonly isStarted?: boolean;
}

const startTimeoutMs = 10_000;

/** The path of nats-server: NATS_SERVER_BIN, else on PATH, else in /usr/sbin; undefined if there is none. */
export function findNatsServer(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  const places = [env.NATS_SERVER_BIN ?? '', ...folders.map((folder) => join(folder, 'nats-server'))];
  return places.find((path) => path !== '' && isExecutable(path));
}

export async function startNatsServer({ isStarted = true }: NatsServerOptions = {}): Promise<NatsServer> {
  const binary = findNatsServer();
  if (binary === undefined)
    throw new Error('nats-server is needed: install it, or name it in NATS_SERVER_BIN');
  const folder = await mkdtemp(join(tmpdir(), 'imagemesh-nats-'));
  const data = join(folder, 'jetstream');
  const port = await freePort();
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    await mkdir(data, { recursive: true });
    const started = spawn(binary ?? '', ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', data], {
      stdio: 'ignore',
    });
    child = started;
    const until = Date.now() + startTimeoutMs;
    while (!(await answers(port))) {
      if (started.exitCode !== null) throw new Error(`nats-server ended with code ${started.exitCode}`);
      if (Date.now() > until) throw new Error('nats-server does not answer');
      await sleep(20);
    }
  }

  async function stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const ended = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill(signal);
    await ended;
  }

  if (isStarted) await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    start,
    stop,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    wipe: () => rm(data, { recursive: true, force: true }),
    async close() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Whether a server there greets with INFO. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.setTimeout(1000, () => end(false));
    socket.once('error', () => end(false));
    socket.once('data', (bytes) => end(bytes.toString().startsWith('INFO')));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(address),
      );
    });
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
