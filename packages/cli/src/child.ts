/**
 * One service process: started with plain node in a process group of its own, so that Ctrl-C in the terminal reaches
 * only the launcher, and with an IPC channel: it says `ready` on it, and drains and exits when it closes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Env } from '@imagemesh/observe';

export interface ChildSpec {
  /** For people: resize-1. */
  readonly name: string;
  /** The script. */
  readonly file: string;
  readonly args?: readonly string[];
  /** The whole environment. */
  readonly env: Env;
}

/** What a service says on its IPC channel once it serves; see runService in @imagemesh/observe. */
export interface Ready {
  /** host:port. */
  readonly address: string;
  readonly adminAddress: string | undefined;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves once the service serves; undefined when it ended before. */
  readonly ready: Promise<Ready | undefined>;
  readonly exited: Promise<Exit>;
  /** To it and to whatever it started: nats-server and the process around it stop and go on together. */
  signal(signal: NodeJS.Signals): void;
  /** Asks it to drain (SIGTERM); after graceMs kills it and whatever it started. */
  stop(graceMs: number): Promise<Exit>;
}

export type Stream = 'stdout' | 'stderr';

/** Starts the process. `onLine` gets each line of its output. */
export function startChild(spec: ChildSpec, onLine: (line: string, stream: Stream) => void): Child {
  const process = spawn(globalThis.process.execPath, [spec.file, ...(spec.args ?? [])], {
    detached: true,
    env: { ...spec.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  for (const stream of ['stdout', 'stderr'] as const) {
    const source = process[stream];
    if (source !== null) createInterface({ input: source }).on('line', (line) => onLine(line, stream));
  }
  const exited = new Promise<Exit>((resolve) => {
    // On exit, not on close: what it started may hold its output open.
    process.once('exit', () => signalGroup(process, 'SIGKILL'));
    process.once('close', (code, signal) => resolve({ code, signal }));
    process.once('error', (error) => {
      onLine(`cannot start ${spec.file}: ${error.message}`, 'stderr');
      if (process.pid === undefined) resolve({ code: 1, signal: null });
    });
  });
  const ready = new Promise<Ready | undefined>((resolve) => {
    process.on('message', (message) => {
      const said = parseReady(message);
      if (said !== undefined) resolve(said);
    });
    void exited.then(() => resolve(undefined));
  });
  return {
    name: spec.name,
    pid: process.pid,
    ready,
    exited,
    signal(signal) {
      if (process.exitCode === null && process.signalCode === null) signalGroup(process, signal);
    },
    async stop(graceMs) {
      process.kill('SIGTERM');
      const timer = setTimeout(() => signalGroup(process, 'SIGKILL'), graceMs);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** The group outlives its leader: nats-server would survive the process around it. */
function signalGroup(process: ChildProcess, signal: NodeJS.Signals): void {
  if (process.pid === undefined) return;
  try {
    globalThis.process.kill(-process.pid, signal);
  } catch {
    // ESRCH: nobody is left.
  }
}

function parseReady(message: unknown): Ready | undefined {
  if (typeof message !== 'object' || message === null || !('type' in message)) return undefined;
  if (message.type !== 'ready' || !('address' in message) || typeof message.address !== 'string')
    return undefined;
  const adminAddress =
    'adminAddress' in message && typeof message.adminAddress === 'string' ? message.adminAddress : undefined;
  return { address: message.address, adminAddress };
}
