import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

interface Launcher {
  readonly pid: number;
  readonly output: () => string;
  readonly exited: Promise<{ readonly code: number | null; readonly ms: number }>;
  signal(signal: NodeJS.Signals): void;
}

let dataDir: string;
let launchers: ChildProcess[];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'imagemesh-up-'));
  launchers = [];
});
afterEach(async () => {
  for (const launcher of launchers) launcher.kill('SIGTERM');
  await Promise.all(launchers.map(ended));
  rmSync(dataDir, { recursive: true, force: true });
});

function launch(args: readonly string[], env: Readonly<Record<string, string>> = {}): Launcher {
  const child = spawn(process.execPath, [main, ...args], {
    env: {
      ...process.env,
      PORT: '0',
      BALANCER_PORT: '0',
      DATA_DIR: dataDir,
      REPLICAS: 'resize=1,filter=1',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  launchers.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  const beganMs = performance.now();
  const exited = ended(child).then((code) => ({ code, ms: performance.now() - beganMs }));
  return {
    pid: child.pid ?? -1,
    output: () => text,
    exited,
    signal: (signal) => child.kill(signal),
  };
}

function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('close', (code) => resolve(code)));
}

async function until<Value>(find: () => Value | undefined | false, what: () => string, withinMs = 30_000) {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = find();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms: ${what()}`);
    await sleep(25);
  }
}

function seen({ output }: Launcher, pattern: RegExp): Promise<RegExpExecArray> {
  return until(
    () => pattern.exec(output()) ?? undefined,
    () => `no ${pattern} in\n${output()}`,
  );
}

const readyLine = /imagemesh ready at (http:\/\/127\.0\.0\.1:\d+) \(admin (http:\/\/\S+); jobs (on|off)\)\n/;

/** Every process below one, as /proc has it. */
function descendants(pid: number): readonly number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return [[Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])] as const];
      } catch {
        return [];
      }
    });
  const below = (top: number): number[] =>
    parents.filter(([, parent]) => parent === top).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

function alive(pids: readonly number[]): readonly number[] {
  return pids.filter((pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(status(pid)));
}

function status(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 'State:\tZ';
  }
}

describe('imagemesh up', () => {
  it('says where the mesh is, serves, and leaves nothing behind on Ctrl-C', async () => {
    const launcher = launch(['up']);
    const [, url, admin, jobs] = await seen(launcher, readyLine);
    expect(jobs).toBe('on');
    expect(launcher.output().trimEnd().split('\n').at(-1)).toMatch(/imagemesh ready at/);
    expect((await fetch(`${url}/`)).status).toBe(200);
    expect((await fetch(`${admin}/readyz`)).status).toBe(200);
    const processes = descendants(launcher.pid);
    // Gateway, balancer, two replicas, NATS and the process around it.
    expect(processes.length).toBe(6);

    const askedMs = performance.now();
    launcher.signal('SIGINT');
    // The terminal and npm both pass Ctrl-C on: twice at once is one request.
    launcher.signal('SIGINT');
    expect((await launcher.exited).code).toBe(0);
    expect(performance.now() - askedMs).toBeLessThan(10_000);
    expect(launcher.output()).toContain('"msg":"stopped"');
    expect(alive(processes)).toEqual([]);
    expect(existsSync(join(dataDir, 'lock'))).toBe(false);
  });

  it('takes everything with it when it is killed, and its folder can be used again', async () => {
    const first = launch(['up']);
    await seen(first, readyLine);
    const processes = descendants(first.pid);
    first.signal('SIGKILL');
    await until(
      () => alive(processes).length === 0,
      () => `still alive: ${alive(processes)}`,
      15_000,
    );
    const second = launch(['up']);
    await seen(second, readyLine);
  });

  it('starts a crashed replica again', async () => {
    const launcher = launch(['up']);
    const [, url = ''] = await seen(launcher, readyLine);
    const [, pid] = await seen(launcher, /resize-1 +\| \{[^\n]*"pid":(\d+)[^\n]*"msg":"ready"/);
    process.kill(Number(pid), 'SIGKILL');
    await seen(launcher, /resize-1 ended \(SIGKILL\); starting it again in \d+ ms/);
    await expect.poll(() => listIds(url), { timeout: 10_000 }).toContain('resize-1.2');
  });

  it('lets a second terminal add a replica, and keeps a second mesh out of its folder', async () => {
    const launcher = launch(['up']);
    const [, url = ''] = await seen(launcher, readyLine);
    const replica = launch(['replica', 'resize']);
    await expect.poll(async () => (await listIds(url)).length, { timeout: 10_000 }).toBe(3);
    replica.signal('SIGINT');
    expect((await replica.exited).code).toBe(0);

    const intruder = launch(['up']);
    expect((await intruder.exited).code).toBe(1);
    expect(intruder.output()).toMatch(
      /^imagemesh: DATA_DIR=.* belongs to a mesh that runs at http:\S+ .*\n$/,
    );
  });

  it('comes up without jobs when nats-server does not start', async () => {
    const launcher = launch(['up'], { NATS_SERVER_BIN: '/bin/false' });
    const [, , , jobs] = await seen(launcher, readyLine);
    expect(jobs).toBe('off');
    expect(launcher.output()).toContain('warning: /bin/false did not start, so there are no jobs');
  });

  it('says in one line that a port is in use', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const address = holder.address();
    const port = typeof address === 'object' ? String(address?.port) : '';
    try {
      const launcher = launch(['up'], { PORT: port });
      expect((await launcher.exited).code).toBe(1);
      expect(launcher.output()).toBe(
        `imagemesh: PORT=${port}: 127.0.0.1:${port} is already in use; choose another port\n`,
      );
      expect(readdirSync(dataDir)).toEqual([]);
    } finally {
      holder.close();
    }
  });

  it.each([
    [{ REPLICAS: 'resize=many' }, /^imagemesh: REPLICAS="resize=many" is not valid; .*\n$/],
    [{ DATA_DIR: '/proc/nowhere' }, /^imagemesh: DATA_DIR=\/proc\/nowhere cannot be written .*\n$/],
    [{ NATS_SERVER_BIN: '/nowhere' }, /^imagemesh: NATS_SERVER_BIN=\/nowhere is not a program; .*\n$/],
  ])('says in one line what is wrong with %j', async (env, line) => {
    const launcher = launch(['up'], env);
    expect((await launcher.exited).code).toBe(1);
    expect(launcher.output()).toMatch(line);
  });
});

async function listIds(url: string): Promise<readonly string[]> {
  const reply = await fetch(`${url}/imagemesh.v1.BalancerService/ListReplicas`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  // The service's own JSON.
  const { replicas = [] } = (await reply.json()) as { replicas?: { replicaId: string; state: string }[] };
  return replicas
    .filter(({ state }) => state === 'REPLICA_STATE_READY' || state === 'REPLICA_STATE_WARMING')
    .map(({ replicaId }) => replicaId);
}
