/** A certificate and its key from files, read again when they change. */
import { X509Certificate } from 'node:crypto';
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

interface TlsFilesOptions {
  /** What the paths come from, for errors. */
  readonly setting: string;
  /** What that of the authorities comes from; default the same. */
  readonly caSetting?: string;
  readonly log: Logger;
}

/** Throws ConfigError, which names the setting, for files that are missing or do not belong together. */
export async function openTlsFiles(
  paths: TlsPaths,
  { setting, caSetting = setting, log }: TlsFilesOptions,
): Promise<TlsFiles> {
  let current = await load(paths, setting, caSetting);
  const callbacks = new Set<(pair: TlsPair) => void>();
  const followed = followFiles(Object.values(paths), {
    async onChange() {
      current = await load(paths, setting, caSetting);
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

async function load({ cert, key, ca }: TlsPaths, setting: string, caSetting: string): Promise<TlsPair> {
  const read = (path: string, from: string) =>
    readFile(path).catch((cause: unknown) => {
      throw new ConfigError(`${from}: ${path} cannot be read; expected a PEM file`, { cause });
    });
  const pair = {
    cert: await read(cert, setting),
    key: await read(key, setting),
    ...(ca !== undefined && { ca: await read(ca, caSetting) }),
  };
  if (ca !== undefined && pair.ca !== undefined && !hasCertificates(pair.ca))
    throw new ConfigError(`${caSetting}: ${ca} has no certificates of authorities in PEM, or damaged ones`);
  try {
    createSecureContext(pair);
  } catch (error) {
    const why = error instanceof Error && 'reason' in error ? String(error.reason) : 'they cannot be parsed';
    // Not the cause: it may quote the key.
    throw new ConfigError(`${setting}: ${cert} and ${key} are no certificate with its key in PEM: ${why}`);
  }
  return pair;
}

const pemCertificate = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs;

/** OpenSSL skips what it cannot read of a file of authorities, all of it too, and then nobody is let in. */
function hasCertificates(pem: Buffer): boolean {
  const text = pem.toString('latin1');
  const found = text.match(pemCertificate) ?? [];
  if (found.length === 0 || found.length !== text.split('-----BEGIN CERTIFICATE-----').length - 1)
    return false;
  try {
    for (const each of found) new X509Certificate(each);
    return true;
  } catch {
    return false;
  }
}
