/** The launcher as a process, in a folder of its own for each test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach } from 'vitest';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface Launcher {
  readonly pid: number;
  readonly output: () => string;
  readonly exited: Promise<{ readonly code: number | null; readonly ms: number }>;
  signal(signal: NodeJS.Signals): void;
}

let dataDir: string;
let launchers: ChildProcess[];

/** Each test gets a folder; what it launched ends with it. The folder of the test that runs. */
export function useLaunchers(): () => string {
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'imagemesh-up-'));
    launchers = [];
  });
  afterEach(async () => {
    for (const launcher of launchers) launcher.kill('SIGTERM');
    await Promise.all(launchers.map(ended));
    rmSync(dataDir, { recursive: true, force: true });
  });
  return () => dataDir;
}

export function launch(args: readonly string[], env: Readonly<Record<string, string>> = {}): Launcher {
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

export async function until<Value>(
  find: () => Value | undefined | false,
  what: () => string,
  withinMs = 30_000,
) {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = find();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms: ${what()}`);
    await sleep(25);
  }
}

export function seen({ output }: Launcher, pattern: RegExp): Promise<RegExpExecArray> {
  return until(
    () => pattern.exec(output()) ?? undefined,
    () => `no ${pattern} in\n${output()}`,
  );
}

export const readyLine =
  /imagemesh ready at (http:\/\/127\.0\.0\.1:\d+) \(admin (http:\/\/\S+); jobs (on|off)\)\n/;

/** Every process below one, as /proc has it. */
export function descendants(pid: number): readonly number[] {
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

export function alive(pids: readonly number[]): readonly number[] {
  return pids.filter((pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(status(pid)));
}

function status(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 'State:\tZ';
  }
}

/** Replicas that take work, or soon will. */
export async function listIds(url: string): Promise<readonly string[]> {
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
