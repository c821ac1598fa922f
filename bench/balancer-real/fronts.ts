/** What stands before the replicas: a process each, and how a call goes through it. */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { createSessionPool, deadlineIn, openWireCall } from '@imagemesh/rpc';
import { path } from './protocol.ts';

export interface Front {
  /** Process that forwards; undefined where the client itself chooses. */
  readonly pid: number | undefined;
  /** Where replicas join, if they do. */
  readonly joinAddress?: string;
  /** Resolves when the whole reply is there, rejects when the call fails. */
  call(body: Buffer, headers: Readonly<Record<string, string>>, timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface FrontKind {
  readonly name: string;
  /** Why it cannot run here; undefined if it can. */
  missing(): string | undefined;
  start(replicas: readonly string[], slots: number, folder: string): Promise<Front>;
}

export const fronts: readonly FrontKind[] = [
  { name: 'imagemesh', missing: () => undefined, start: startImagemesh },
  { name: 'haproxy leastconn, maxconn', missing: () => missingProgram('haproxy', '-v'), start: startHaproxy },
  { name: 'nginx least_conn', missing: () => missingProgram('nginx', '-v'), start: startNginx },
  { name: 'grpc-js round_robin', missing: () => undefined, start: startGrpcJs },
];

function missingProgram(program: string, flag: string): string | undefined {
  const { error } = spawnSync(program, [flag]);
  return error === undefined ? undefined : `${program} is not installed`;
}

async function startImagemesh(): Promise<Front> {
  const file = fileURLToPath(new URL('../../services/balancer/dist/main.js', import.meta.url));
  const env = { ...process.env, PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'info', MAX_QUEUED_CALLS: '100000' };
  const child = fork(file, [], { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [ready] = await once(child, 'message');
  const { address } = ready as { address: string };
  return { ...throughPool(address, child), joinAddress: address };
}

async function startHaproxy(replicas: readonly string[], slots: number, folder: string): Promise<Front> {
  const port = await freePort();
  const servers = replicas.map((address, at) => `  server r${at} ${address} proto h2 maxconn ${slots}`);
  const config = `global
  nbthread 1
  tune.h2.max-concurrent-streams 1000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout queue 300s
frontend front
  bind 127.0.0.1:${port} proto h2
  default_backend replicas
backend replicas
  balance leastconn
${servers.join('\n')}
`;
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, config);
  return await startProgram('haproxy', ['-db', '-f', file], port);
}

async function startNginx(replicas: readonly string[], _slots: number, folder: string): Promise<Front> {
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const config = `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
${temporary.map((kind) => `  ${kind}_temp_path ${folder}/${kind};`).join('\n')}
  client_max_body_size 0;
  keepalive_requests 1000000;
  http2_max_concurrent_streams 1024;
  upstream replicas {
    least_conn;
${replicas.map((address) => `    server ${address};`).join('\n')}
    keepalive 256;
    keepalive_requests 1000000;
  }
  server {
    listen 127.0.0.1:${port} http2;
    location / {
      grpc_pass grpc://replicas;
      grpc_read_timeout 300s;
      grpc_send_timeout 300s;
      grpc_next_upstream_tries 3;
    }
  }
}
`;
  const file = join(folder, 'nginx.conf');
  await mkdir(folder, { recursive: true });
  await writeFile(file, config);
  return await startProgram('nginx', ['-p', folder, '-c', file], port);
}

async function startGrpcJs(replicas: readonly string[]): Promise<Front> {
  const client = new Client(`ipv4:${replicas.join(',')}`, credentials.createInsecure(), {
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.enable_retries': 0,
  });
  const same = (bytes: Buffer) => bytes;
  return {
    pid: undefined,
    call: (body, headers, timeoutMs) =>
      new Promise((resolve, reject) => {
        const metadata = new Metadata();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        const deadline = Date.now() + timeoutMs;
        client.makeUnaryRequest(path, same, same, body, metadata, { deadline }, (error) =>
          error === null ? resolve() : reject(error),
        );
      }),
    stop: async () => client.close(),
  };
}

async function startProgram(program: string, args: readonly string[], port: number): Promise<Front> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  for (let tries = 0; !(await isOpen(port)); tries++) {
    if (tries > 100 || child.exitCode !== null) throw new Error(`${program} did not start`);
    await sleep(50);
  }
  return throughPool(`127.0.0.1:${port}`, child);
}

function throughPool(address: string, child: ChildProcess): Front {
  const pool = createSessionPool(address, { maxSessions: 32 });
  return {
    pid: child.pid,
    call: async (body, headers, timeoutMs) => {
      const wire = openWireCall(pool, { path, metadata: headers, deadline: deadlineIn(timeoutMs) });
      // The reader says what went wrong.
      wire.status.catch(() => {});
      await wire.writer.message(body);
      wire.end();
      await wire.reader.message(1e6);
      await wire.status;
    },
    stop: async () => {
      await pool.close();
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

async function isOpen(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
