/** The keys of the file, now. Read again when the file changes; one that cannot be read changes nothing. */
import { readFile } from 'node:fs/promises';
import { type KeyRecord, parseKeyFile } from '@imagemesh/keys';
import { ConfigError, followFiles, type Logger } from '@imagemesh/observe';
import type { Caller } from './caller.ts';

export interface Keyring {
  find(id: string): KeyRecord | undefined;
  callerOf(record: KeyRecord): Caller;
  close(): void;
}

/** Throws ConfigError for a file that is missing or wrong. */
export async function openKeyring(path: string, { log }: { readonly log: Logger }): Promise<Keyring> {
  let callers = await load(path);
  if (callers.size === 0) log.warn({ path }, 'the file of API keys has none: nobody can call');
  const followed = followFiles([path], {
    async onChange() {
      callers = await load(path);
      log.info({ path, keys: callers.size }, 'API keys read again');
    },
    onError: (error) => log.error({ err: error, path }, 'API keys not read again; those before hold'),
  });
  return {
    find: (id) => callers.get(id)?.record,
    callerOf: ({ id, owner, scopes, limits }) =>
      callers.get(id)?.caller ?? { owner, keyId: id, scopes: new Set(scopes), limits },
    close: followed.close,
  };
}

interface Known {
  readonly record: KeyRecord;
  readonly caller: Caller;
}

async function load(path: string): Promise<ReadonlyMap<string, Known>> {
  const records = parseKeyFile(await read(path), path);
  return new Map(
    records.map((record) => {
      const { id, owner, scopes, limits } = record;
      return [id, { record, caller: { owner, keyId: id, scopes: new Set(scopes), limits } }];
    }),
  );
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new ConfigError(
      `API_KEYS_FILE=${path} cannot be read; expected a file that imagemesh keys add made (default: none)`,
      { cause },
    );
  }
}
