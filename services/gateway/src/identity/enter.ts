/**
 * From headers to a caller: the one place that does, whichever way a call came in. `rpc/index.ts` asks it for plain gRPC,
 * `server.ts` for Connect, `rest/index.ts` for HTTP.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { parseApiKey } from '@imagemesh/keys';
import { MeshError } from '@imagemesh/rpc';
import { type Caller, everybody, stranger } from './caller.ts';
import type { Keyring, KnownKey } from './keyring.ts';
import type { Access } from './method-access.ts';

/** A call that was let in. */
export interface Entered {
  readonly caller: Caller;
  /** Call once, when the call is over. */
  readonly leave: () => void;
}

/**
 * Lets a call in, if its caller may make it: API_KEY_MISSING, API_KEY_INVALID and API_KEY_EXPIRED say that it is nobody known,
 * SCOPE_MISSING that its key is not for this, QUOTA_EXCEEDED that it has had its share.
 */
export type Enter = (headers: IncomingHttpHeaders, access: Access) => Entered;

/** Without a keyring everybody may do everything. */
export function createEnter(
  keyring: Keyring | undefined,
  { now, onRefused }: { readonly now: () => number; readonly onRefused?: (error: MeshError) => void },
): Enter {
  const enter: Enter = (headers, access) => {
    const caller = keyring === undefined ? everybody : identify(headers, access, keyring, now());
    return { caller, leave: caller.usage.begin() };
  };
  return (headers, access) => {
    try {
      return enter(headers, access);
    } catch (error) {
      if (error instanceof MeshError) onRefused?.(error);
      throw error;
    }
  };
}

function identify(headers: IncomingHttpHeaders, access: Access, keyring: Keyring, nowMs: number): Caller {
  if (access === 'open') return stranger;
  const text = keyOf(headers);
  if (text === undefined) {
    throw new MeshError(
      'API_KEY_MISSING',
      'an API key is needed: send it as "authorization: Bearer <key>" or "x-api-key: <key>"',
    );
  }
  const { record, caller } = verify(text, keyring);
  const { id, expiresAtMs, scopes } = record;
  if (expiresAtMs !== undefined && expiresAtMs <= nowMs)
    throw new MeshError('API_KEY_EXPIRED', `the API key ${id} has expired`);
  if (access === 'closed' || !caller.scopes.has(access)) {
    throw new MeshError('SCOPE_MISSING', `the API key ${id} has not the scope ${access}`, {
      metadata: { scope: access, scopes: scopes.join(',') },
    });
  }
  return caller;
}

/** The key of `x-api-key`, or of `authorization: Bearer`. Two that differ are none. */
function keyOf(headers: IncomingHttpHeaders): string | undefined {
  const plain = headers['x-api-key'];
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  if (plain === undefined) return bearer;
  return bearer === undefined || bearer === plain ? String(plain) : '';
}

/** Takes as long for an id that there is as for one that there is not. */
function verify(text: string, keyring: Keyring): KnownKey {
  const key = parseApiKey(text);
  const known = key === undefined ? undefined : keyring.find(key.id);
  const digest = key?.digest ?? Buffer.alloc(32);
  const isSame = timingSafeEqual(digest, Buffer.from(known?.record.sha256 ?? '0'.repeat(64), 'hex'));
  if (known === undefined || !isSame) throw new MeshError('API_KEY_INVALID', 'the API key is not valid');
  return known;
}
