/** Readers of environment variables. Each error names the variable, the form expected and the default. */

/** The environment as an argument: `readConfig(env)` stays pure. */
export type Env = Readonly<Record<string, string | undefined>>;

/** A host that only this machine reaches. */
export const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i;

/** A setting that is wrong or missing. The message is one line, for the person who started the process. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

interface Range {
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
}

/** A whole number. Without a default the variable is required. */
export function envInt(env: Env, name: string, range: Range = {}): number {
  return numberIn(env, name, range, 'a whole number', /^[+-]?\d{1,15}$/);
}

/** A decimal number. */
export function envNumber(env: Env, name: string, range: Range = {}): number {
  return numberIn(env, name, range, 'a number', /^[+-]?\d{1,15}(\.\d{1,15})?$/);
}

/** Text; an empty variable counts as unset. */
export function envString(
  env: Env,
  name: string,
  options: { readonly default?: string; readonly pattern?: RegExp; readonly form?: string } = {},
): string {
  const form = options.form ?? 'text';
  const value = read(env, name) ?? options.default;
  if (value === undefined) throw missing(name, form);
  if (options.pattern !== undefined && value !== options.default && !options.pattern.test(value)) {
    throw wrong(name, value, form, options.default);
  }
  return value;
}

/** A comma-separated list; blanks around items and empty items are dropped. At most 1,000 items. */
export function envList(
  env: Env,
  name: string,
  options: { readonly default?: readonly string[]; readonly item?: RegExp; readonly form?: string } = {},
): readonly string[] {
  const form = options.form ?? 'a comma-separated list';
  const value = read(env, name);
  if (value === undefined) {
    if (options.default === undefined) throw missing(name, form);
    return options.default;
  }
  const items = value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const isFine = items.length <= 1000 && items.every((item) => options.item?.test(item) ?? true);
  if (!isFine) throw wrong(name, value, form, options.default?.join(','));
  return items;
}

/** One of a closed set. */
export function envChoice<const Choice extends string>(
  env: Env,
  name: string,
  options: { readonly choices: readonly Choice[]; readonly default?: NoInfer<Choice> },
): Choice {
  const form = `one of ${options.choices.join(', ')}`;
  const value = read(env, name) ?? options.default;
  if (value === undefined) throw missing(name, form);
  const choice = options.choices.find((candidate) => candidate === value);
  if (choice === undefined) throw wrong(name, value, form, options.default);
  return choice;
}

/** true or false (also 1, 0, yes, no). */
export function envBoolean(env: Env, name: string, options: { readonly default?: boolean } = {}): boolean {
  const form = 'true or false';
  const value = read(env, name)?.toLowerCase();
  if (value === undefined) {
    if (options.default === undefined) throw missing(name, form);
    return options.default;
  }
  if (value === 'true' || value === '1' || value === 'yes') return true;
  if (value === 'false' || value === '0' || value === 'no') return false;
  throw wrong(name, value, form, options.default === undefined ? undefined : String(options.default));
}

const unitBytes: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** A size in bytes, with an optional binary unit: 1048576, 512KiB, 64MiB, 2G. */
export function envBytes(env: Env, name: string, range: Range = {}): number {
  const form = withRange('a size in bytes, such as 1048576 or 64MiB', range);
  const value = read(env, name);
  if (value === undefined) {
    if (range.default === undefined) throw missing(name, form);
    return range.default;
  }
  const match = /^(\d{1,15})\s*([kmg]?)(?:ib|b)?$/i.exec(value);
  const bytes = Number(match?.[1]) * (unitBytes[match?.[2]?.toLowerCase() ?? ''] ?? 1);
  if (match === null || !isWithin(bytes, range)) throw wrong(name, value, form, defaultText(range));
  return bytes;
}

function numberIn(env: Env, name: string, range: Range, kind: string, pattern: RegExp): number {
  const form = withRange(kind, range);
  const value = read(env, name);
  if (value === undefined) {
    if (range.default === undefined) throw missing(name, form);
    return range.default;
  }
  const number = Number(value);
  if (!pattern.test(value) || !isWithin(number, range)) throw wrong(name, value, form, defaultText(range));
  return number;
}

function read(env: Env, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === '' ? undefined : value;
}

function isWithin(value: number, { min, max }: Range): boolean {
  return value >= (min ?? Number.NEGATIVE_INFINITY) && value <= (max ?? Number.POSITIVE_INFINITY);
}

function withRange(kind: string, { min, max }: Range): string {
  if (min !== undefined && max !== undefined) return `${kind} from ${min} to ${max}`;
  if (min !== undefined) return `${kind} of at least ${min}`;
  return max === undefined ? kind : `${kind} of at most ${max}`;
}

function defaultText(range: Range): string | undefined {
  return range.default === undefined ? undefined : String(range.default);
}

function missing(name: string, form: string): ConfigError {
  return new ConfigError(`${name} is not set; expected ${form}`);
}

function wrong(name: string, value: string, form: string, fallback: string | undefined): ConfigError {
  const shown = JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  return new ConfigError(
    `${name}=${shown} is not valid; expected ${form}${fallback === undefined ? '' : ` (default ${fallback})`}`,
  );
}
