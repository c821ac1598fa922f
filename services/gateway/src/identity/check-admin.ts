/** What only an admin may ask of a method that others may call too. */
import { MeshError } from '@imagemesh/rpc';
import type { Caller } from './caller.ts';

/** SCOPE_MISSING for anybody else; `what` completes "only a key with the scope admin …". */
export function checkAdmin(caller: Caller | undefined, what: string): void {
  if (caller?.scopes.has('admin') === true) return;
  throw new MeshError('SCOPE_MISSING', `only a key with the scope admin ${what}`, {
    metadata: { scope: 'admin', scopes: [...(caller?.scopes ?? [])].join(',') },
  });
}
