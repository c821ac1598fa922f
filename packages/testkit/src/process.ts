/** A real process of a mesh, with its output kept. */
import { type Child, type ChildSpec, startChild } from '@imagemesh/cli';

/** Most lines kept of one process; the oldest go first. */
const maxLines = 20_000;

export interface TestProcess {
  readonly name: string;
  readonly pid: number;
  /** host:port that it serves on. */
  readonly address: string;
  /** http://host:port of its admin port, "" without one. */
  readonly adminUrl: string;
  /** Every line it has written, oldest first. */
  readonly lines: readonly string[];
  readonly exited: Child['exited'];
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL after graceMs. */
  stop(graceMs?: number): Promise<void>;
}

/** Starts the process and waits until it is ready. Throws with its output when it ends before. */
export async function startProcess(spec: ChildSpec): Promise<TestProcess> {
  const lines: string[] = [];
  const child = startChild(spec, (line) => {
    if (lines.length >= maxLines) lines.shift();
    lines.push(line);
  });
  const ready = await child.ready;
  if (ready === undefined || child.pid === undefined) {
    await child.exited;
    throw new Error(`${spec.name} did not start:\n${lines.slice(-30).join('\n')}`);
  }
  return {
    name: spec.name,
    pid: child.pid,
    address: ready.address,
    adminUrl: ready.adminAddress === undefined ? '' : `http://${ready.adminAddress}`,
    lines,
    exited: child.exited,
    signal: child.signal,
    async stop(graceMs = 5000) {
      await child.stop(graceMs);
    },
  };
}
