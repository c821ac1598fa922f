/**
 * From headers to a caller: the one place that does, whichever way a call came in. `rpc/index.ts` asks it for plain gRPC,
 * `server.ts` for Connect, `rest/index.ts` for HTTP.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { type KeyRecord, parseApiKey } from '@imagemesh/keys';
import { MeshError } from '@imagemesh/rpc';
import { type Caller, everybody, stranger } from './caller.ts';
import type { Keyring } from './keyring.ts';
import type { Access } from './method-access.ts';

/**
 * The caller, if it may. API_KEY_MISSING, API_KEY_INVALID and API_KEY_EXPIRED say that it is nobody known, SCOPE_MISSING that
 * its key is not for this.
 */
export type Identify = (headers: IncomingHttpHeaders, access: Access) => Caller;

/** Without a keyring everybody may do everything. */
export function createIdentify(
  keyring: Keyring | undefined,
  options: { readonly now: () => number; readonly onRefused?: (error: MeshError) => void },
): Identify {
  const { now, onRefused } = options;
  const refused = (error: MeshError): MeshError => {
    onRefused?.(error);
    return error;
  };
  if (keyring === undefined) return () => everybody;
  return (headers, access) => {
    if (access === 'open') return stranger;
    const key = keyOf(headers);
    if (key === undefined) throw refused(missing());
    const record = verify(key, keyring);
    if (record === undefined) throw refused(new MeshError('API_KEY_INVALID', 'the API key is not valid'));
    if (record.expiresAtMs !== undefined && record.expiresAtMs <= now())
      throw refused(new MeshError('API_KEY_EXPIRED', `the API key ${record.id} has expired`));
    if (access === 'closed' || !record.scopes.includes(access)) throw refused(scopeMissing(record, access));
    return keyring.callerOf(record);
  };
}

/** The key of `x-api-key`, or of `authorization: Bearer`. Two that differ are none. */
function keyOf(headers: IncomingHttpHeaders): string | undefined {
  const plain = headers['x-api-key'];
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  if (plain === undefined) return bearer;
  return bearer === undefined || bearer === plain ? String(plain) : '';
}

/** As long for an id that there is as for one that there is not. */
function verify(text: string, keyring: Keyring): KeyRecord | undefined {
  const key = parseApiKey(text);
  if (key === undefined) return undefined;
  const record = keyring.find(key.id);
  const isSame = timingSafeEqual(key.digest, Buffer.from(record?.sha256 ?? '0'.repeat(64), 'hex'));
  return isSame ? record : undefined;
}

function missing(): MeshError {
  return new MeshError(
    'API_KEY_MISSING',
    'an API key is needed: send it as "authorization: Bearer <key>" or "x-api-key: <key>"',
  );
}

function scopeMissing({ id, scopes }: KeyRecord, scope: string): MeshError {
  return new MeshError('SCOPE_MISSING', `the API key ${id} has not the scope ${scope}`, {
    metadata: { scope, scopes: scopes.join(',') },
  });
}
