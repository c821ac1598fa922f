/** `imagemesh keys`: the file of API keys, by hand or by script. */
import { addKey, type KeyRecord, listKeys, removeKey } from '@imagemesh/keys';
import type { KeysCommand } from './keys-args.ts';

export interface KeysOutput {
  /** For scripts; returns the exit code 0. */
  readonly print: (text: string) => number;
  readonly tell: (line: string) => void;
}

export async function runKeys(command: KeysCommand, { print, tell }: KeysOutput): Promise<number> {
  const { path } = command;
  switch (command.action) {
    case 'add': {
      const { id, fields } = command;
      const key = await addKey(path, { id, ...fields });
      tell(`key ${id} added to ${path}; this is the only time it is shown`);
      tell(`gateways take it with API_KEYS_FILE=${path}, callers send it as "authorization: Bearer <key>"`);
      return print(`${key}\n`);
    }
    case 'remove':
      await removeKey(path, command.id);
      tell(`key ${command.id} removed from ${path}`);
      return 0;
    case 'list':
      return print((await listKeys(path)).map(describe).join(''));
  }
}

function describe({ id, owner, scopes, limits, expiresAtMs }: KeyRecord): string {
  const parts = [
    id,
    ...(owner === id ? [] : [`owner=${owner}`]),
    `scopes=${scopes.join(',')}`,
    ...Object.entries(limits).map(([name, limit]) => `${name}=${limit}`),
    ...(expiresAtMs === undefined ? [] : [`expires=${new Date(expiresAtMs).toISOString()}`]),
  ];
  return `${parts.join(' ')}\n`;
}
