/** The arguments of `imagemesh keys`. */
import { type KeyLimits, SCOPES, type Scope } from '@imagemesh/keys';
import { ConfigError, type Env, envString } from '@imagemesh/observe';

export type KeysCommand = { readonly kind: 'keys'; readonly path: string } & (
  | { readonly action: 'list' }
  | { readonly action: 'remove'; readonly id: string }
  | { readonly action: 'add'; readonly id: string; readonly fields: KeyFields }
);

export interface KeyFields {
  readonly owner: string;
  readonly scopes: readonly Scope[];
  readonly limits: KeyLimits;
  readonly expiresAtMs?: number;
}

export const keysOptions = {
  scopes: { type: 'string' },
  owner: { type: 'string' },
  expires: { type: 'string' },
  'calls-per-second': { type: 'string' },
  'concurrent-calls': { type: 'string' },
  'bytes-per-minute': { type: 'string' },
  'pixels-per-minute': { type: 'string' },
} as const;

type Values = Readonly<Partial<Record<keyof typeof keysOptions, string | undefined>>>;

/** What stands after `keys`. Throws ConfigError, one line. */
export function readKeysCommand(rest: readonly string[], values: Values, env: Env): KeysCommand {
  const path = envString(env, 'API_KEYS_FILE', { default: 'keys.json' });
  const [action, id, ...more] = rest;
  const extra = action === 'list' ? [id, ...more].filter((word) => word !== undefined) : more;
  if (extra.length > 0)
    throw new ConfigError(`unexpected argument ${JSON.stringify(extra[0])}; see imagemesh --help`);
  switch (action) {
    case 'list':
      return { kind: 'keys', path, action };
    case 'add':
    case 'remove':
      if (id === undefined) throw new ConfigError(`imagemesh keys ${action} needs the name of a key`);
      return action === 'remove'
        ? { kind: 'keys', path, action, id }
        : { kind: 'keys', path, action, id, fields: readFields(id, values) };
    default:
      throw new ConfigError('imagemesh keys needs one of: add, list, remove');
  }
}

function readFields(id: string, values: Values): KeyFields {
  const scopes =
    values.scopes?.split(',').map((scope) => scope.trim()) ?? SCOPES.filter((each) => each !== 'admin');
  if (!scopes.every(isScope))
    throw new ConfigError(`--scopes ${values.scopes} is not valid; expected some of ${SCOPES.join(', ')}`);
  const expiresAtMs = values.expires === undefined ? undefined : Date.parse(values.expires);
  if (Number.isNaN(expiresAtMs))
    throw new ConfigError('--expires is not valid; expected a time such as 2030-01-31T00:00:00Z');
  const limits = {
    callsPerSecond: limitOf(values, 'calls-per-second'),
    concurrentCalls: limitOf(values, 'concurrent-calls'),
    bytesPerMinute: limitOf(values, 'bytes-per-minute'),
    pixelsPerMinute: limitOf(values, 'pixels-per-minute'),
  };
  return {
    owner: values.owner ?? id,
    scopes,
    limits: Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined)),
    ...(expiresAtMs !== undefined && { expiresAtMs }),
  };
}

function limitOf(values: Values, name: keyof typeof keysOptions): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new ConfigError(`--${name} ${text} is not valid; expected a whole number of at least 1`);
  return Number(text);
}

function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text);
}
