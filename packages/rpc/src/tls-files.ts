/** A certificate and its key from files, read again when they change. */
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ConfigError, followFiles, type Logger } from '@imagemesh/observe';

/** Paths of PEM files. */
export interface TlsPaths {
  /** The certificate, and those between it and its authority. */
  readonly cert: string;
  readonly key: string;
  /** Who must have signed the certificates of the other side. */
  readonly ca?: string;
}

export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
}

export interface TlsFiles {
  readonly current: TlsPair;
  /** Is called with each pair that follows. */
  onChange(callback: (pair: TlsPair) => void): void;
  close(): void;
}

/** Throws ConfigError, which names the setting, for files that are missing or do not belong together. */
export async function openTlsFiles(
  paths: TlsPaths,
  { setting, log }: { readonly setting: string; readonly log: Logger },
): Promise<TlsFiles> {
  let current = await load(paths, setting);
  const callbacks = new Set<(pair: TlsPair) => void>();
  const followed = followFiles(Object.values(paths), {
    async onChange() {
      current = await load(paths, setting);
      for (const callback of callbacks) callback(current);
      log.info({ setting }, 'certificates read again');
    },
    onError: (error) => log.error({ err: error, setting }, 'certificates not read again; those before hold'),
  });
  return {
    get current() {
      return current;
    },
    onChange: (callback) => callbacks.add(callback),
    close: followed.close,
  };
}

async function load({ cert, key, ca }: TlsPaths, setting: string): Promise<TlsPair> {
  const read = (path: string) =>
    readFile(path).catch((cause: unknown) => {
      throw new ConfigError(`${setting}: ${path} cannot be read; expected a PEM file`, { cause });
    });
  const pair = {
    cert: await read(cert),
    key: await read(key),
    ...(ca !== undefined && { ca: await read(ca) }),
  };
  try {
    createSecureContext(pair);
  } catch (error) {
    const why = error instanceof Error && 'reason' in error ? String(error.reason) : 'they cannot be parsed';
    // Not the cause: it may quote the key.
    throw new ConfigError(`${setting}: ${cert} and ${key} are no certificate with its key in PEM: ${why}`);
  }
  return pair;
}
