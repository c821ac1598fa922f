/** What can be known before anything is started: the folder takes files, the ports are free. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { ConfigError } from '@imagemesh/observe';

/** Creates the folder where missing and writes a file in it. Throws ConfigError. */
export async function checkDataDir(dataDir: string): Promise<void> {
  const probe = join(dataDir, `.probe-${randomBytes(4).toString('hex')}`);
  try {
    await makeFolder(dataDir);
    await writeFile(probe, '');
    await rm(probe);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(
      `DATA_DIR=${dataDir} cannot be written (${why}); choose another folder (default .data)`,
    );
  }
}

/** mkdir's own `recursive` never returns where a parent is there and takes no folders, such as /proc (Node 20). */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (isCode(error, 'EEXIST')) return;
    if (!isCode(error, 'ENOENT') || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path);
  }
}

/** The port, or a free one for 0. Throws ConfigError naming the variable. */
export async function claimPort(variable: string, host: string, port: number): Promise<number> {
  try {
    return await listenOnce(host, port);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    switch (code) {
      case 'EADDRINUSE':
        throw new ConfigError(`${variable}=${port}: ${host}:${port} is already in use; choose another port`);
      case 'EACCES':
        throw new ConfigError(
          `${variable}=${port}: no permission to listen on it; choose a port from 1024 up`,
        );
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        throw new ConfigError(`HOST=${host} is not an address of this machine (default 127.0.0.1)`);
      default:
        throw error;
    }
  }
}

/** A free port of loopback. */
export function freePort(): Promise<number> {
  return listenOnce('127.0.0.1', 0);
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function listenOnce(host: string, port: number): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const found = typeof address === 'object' && address !== null ? address.port : port;
      server.close(() => resolve(found));
    });
  });
}
