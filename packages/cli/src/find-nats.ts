/**
 * Finds nats-server, in this order: NATS_SERVER_BIN; PATH; /usr/sbin, which is not on every PATH; the cache folder;
 * and where all fail, Debian's package, unpacked into the cache folder, which needs no root.
 */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { ConfigError, type Env } from '@imagemesh/observe';

const run = promisify(execFile);

/** apt-get download of 3 MB; the private package lists, where the machine has none, are some 10 MB. */
const downloadTimeoutMs = 60_000;

/** The program, or undefined where it can neither be found nor fetched. `say` gets a line before a download. */
export async function findNatsServer(env: Env, say: (line: string) => void): Promise<string | undefined> {
  const named = env.NATS_SERVER_BIN;
  if (named !== undefined && named !== '') {
    if (await isProgram(named)) return named;
    throw new ConfigError(`NATS_SERVER_BIN=${named} is not a program; expected the path of nats-server`);
  }
  const cached = join(cacheDir(env), 'nats-server');
  const folders = [...(env.PATH ?? '').split(delimiter).filter((folder) => folder !== ''), '/usr/sbin'];
  for (const candidate of [...folders.map((folder) => join(folder, 'nats-server')), cached]) {
    if (await isProgram(candidate)) return candidate;
  }
  if (!(await isProgram('/usr/bin/apt-get')) || !(await isProgram('/usr/bin/dpkg-deb'))) return undefined;
  say(`nats-server is not installed; fetching Debian's package into ${cacheDir(env)}`);
  return (await fetchPackage(cacheDir(env))) ? cached : undefined;
}

function cacheDir(env: Env): string {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'imagemesh');
}

async function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Puts nats-server into the folder; whole or not at all. */
async function fetchPackage(folder: string): Promise<boolean> {
  let scratch: string | undefined;
  try {
    await mkdir(folder, { recursive: true });
    scratch = await mkdtemp(join(folder, 'fetch-'));
    await download(scratch);
    const file = (await readdir(scratch)).find((name) => name.endsWith('.deb'));
    if (file === undefined) return false;
    await run('dpkg-deb', ['-x', join(scratch, file), join(scratch, 'unpacked')]);
    await rename(join(scratch, 'unpacked/usr/sbin/nats-server'), join(folder, 'nats-server'));
    return true;
  } catch {
    return false;
  } finally {
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
  }
}

/** With the machine's package lists, or with lists of our own where it has none. apt-get checks the signatures. */
async function download(folder: string): Promise<void> {
  const signal = AbortSignal.timeout(downloadTimeoutMs);
  const options = { cwd: folder, signal };
  try {
    await run('apt-get', ['download', 'nats-server'], options);
  } catch {
    const own = [
      ...['-o', `Dir::State::Lists=${join(folder, 'lists')}`],
      ...['-o', `Dir::Cache=${join(folder, 'cache')}`],
      ...['-o', 'APT::Sandbox::User='],
    ];
    await mkdir(join(folder, 'lists/partial'), { recursive: true });
    await mkdir(join(folder, 'cache/archives/partial'), { recursive: true });
    await run('apt-get', [...own, '-q', 'update'], options);
    await run('apt-get', [...own, 'download', 'nats-server'], options);
  }
}
