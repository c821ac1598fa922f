/** Who calls. */
import { SCOPES, type Scope } from '@imagemesh/keys';
import { ANONYMOUS } from '@imagemesh/store';
import { type Usage, unlimited } from './usage.ts';

export interface Caller {
  /** Whose images and jobs it sees. */
  readonly owner: string;
  /** The key that it came with; undefined without one. */
  readonly keyId: string | undefined;
  readonly scopes: ReadonlySet<Scope>;
  readonly usage: Usage;
}

/** Everybody, where the gateway has no keys. */
export const everybody: Caller = {
  owner: ANONYMOUS,
  keyId: undefined,
  scopes: new Set(SCOPES),
  usage: unlimited,
};

/** Somebody without a key, where one is not asked for. */
export const stranger: Caller = { ...everybody, scopes: new Set() };
