/** The keys of the file, now. */
import { readFile } from 'node:fs/promises';
import { type KeyRecord, parseKeyFile } from '@imagemesh/keys';
import { ConfigError, type Logger } from '@imagemesh/observe';
import { openSettingFile } from '../setting-file.ts';
import type { Caller } from './caller.ts';
import { createUsage } from './usage.ts';

export interface KnownKey {
  readonly record: KeyRecord;
  readonly caller: Caller;
}

export interface Keyring {
  find(id: string): KnownKey | undefined;
  close(): void;
}

type Keys = ReadonlyMap<string, KnownKey>;

/** Throws ConfigError for a file that is missing or wrong. */
export async function openKeyring(path: string, { log }: { readonly log: Logger }): Promise<Keyring> {
  const file = await openSettingFile<Keys>(path, {
    load: async (_path, before = new Map()) => toKeys(parseKeyFile(await read(path), path), before),
    name: 'API keys',
    log,
  });
  if (file.current.size === 0) log.warn({ path }, 'the file of API keys has none: nobody can call');
  return { find: (id) => file.current.get(id), close: file.close };
}

/** A key whose limits are as before has taken what it had taken before. */
function toKeys(records: readonly KeyRecord[], before: Keys): Keys {
  return new Map(
    records.map((record) => {
      const { id, owner, scopes, limits } = record;
      const known = before.get(id);
      const isSame = JSON.stringify(known?.record.limits) === JSON.stringify(limits);
      const usage =
        known !== undefined && isSame ? known.caller.usage : createUsage(id, limits, () => performance.now());
      return [id, { record, caller: { owner, keyId: id, scopes: new Set(scopes), usage } }];
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
