/**
 * One mesh per DATA_DIR: the file DATA_DIR/lock says which process holds it and where its mesh is. A lock whose process
 * is gone (also after a reboot, when its number may belong to somebody else) is taken over.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '@imagemesh/observe';

/** What the lock tells a second terminal. */
export interface MeshPlace {
  readonly pid: number;
  /** When that process started, in clock ticks since boot, plus the boot's id; "" where the system does not say. */
  readonly startedAt: string;
  /** http://host:port of the gateway, https:// with TLS. */
  readonly url: string;
  /** host:port of the balancer. */
  readonly balancer: string;
  /** Empty where the mesh runs without NATS. */
  readonly natsUrl: string;
}

export interface Lock {
  /** Whether a mesh that did not end properly had left its lock. */
  readonly wasStale: boolean;
  /** Tells where the mesh is. */
  update(place: Pick<MeshPlace, 'url' | 'balancer' | 'natsUrl'>): void;
  release(): void;
}

/** Takes the lock. Throws ConfigError when a living mesh holds it. */
export function takeLock(dataDir: string): Lock {
  const path = join(dataDir, 'lock');
  const self = { pid: process.pid, startedAt: startedAt(process.pid), url: '', balancer: '', natsUrl: '' };
  let wasStale = false;
  // Each turn either takes the lock, finds it held, or clears one stale file.
  for (let turn = 0; turn < 5; turn += 1) {
    try {
      writeFileSync(path, serialise(self), { flag: 'wx', mode: 0o600 });
      return {
        wasStale,
        update: (place) => replace(path, serialise({ ...self, ...place })),
        release: () => rmSync(path, { force: true }),
      };
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
    const holder = readPlace(path);
    if (holder !== undefined && isAlive(holder)) throw heldBy(dataDir, holder);
    clearStale(path);
    wasStale = true;
  }
  throw new ConfigError(`${path} is being taken by another mesh; try again or choose another DATA_DIR`);
}

/** Where the mesh of this folder is, if one runs. */
export function findMesh(dataDir: string): MeshPlace | undefined {
  const place = readPlace(join(dataDir, 'lock'));
  return place !== undefined && isAlive(place) ? place : undefined;
}

function heldBy(dataDir: string, holder: MeshPlace): ConfigError {
  const where = holder.url === '' ? '' : ` at ${holder.url}`;
  return new ConfigError(
    `DATA_DIR=${dataDir} belongs to a mesh that runs${where} (pid ${holder.pid}); stop it or choose another folder`,
  );
}

/** Moves the stale file aside before deleting it, so that two processes cannot both delete a fresh lock. */
function clearStale(path: string): void {
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    throw error;
  }
  const moved = readPlace(aside);
  if (moved !== undefined && isAlive(moved)) renameSync(aside, path);
  else rmSync(aside, { force: true });
}

function replace(path: string, text: string): void {
  const fresh = `${path}.${process.pid}.new`;
  writeFileSync(fresh, text, { mode: 0o600 });
  renameSync(fresh, path);
}

function serialise(place: MeshPlace): string {
  return `${JSON.stringify(place)}\n`;
}

function readPlace(path: string): MeshPlace | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value) || typeof value.pid !== 'number') {
      return undefined;
    }
    const text = (key: string) => {
      const field: unknown = Reflect.get(value, key);
      return typeof field === 'string' ? field : '';
    };
    return {
      pid: value.pid,
      startedAt: text('startedAt'),
      url: text('url'),
      balancer: text('balancer'),
      natsUrl: text('natsUrl'),
    };
  } catch {
    return undefined;
  }
}

function isAlive({ pid, startedAt: recorded }: MeshPlace): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return isCode(error, 'EPERM');
  }
  const now = startedAt(pid);
  return recorded === '' || now === '' || recorded === now;
}

/** Tells a process from a later one with the same number. Linux only; "" elsewhere. */
function startedAt(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 22, counted behind the command name, which may hold blanks and brackets: proc(5).
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot}:${ticks}`;
  } catch {
    return '';
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
