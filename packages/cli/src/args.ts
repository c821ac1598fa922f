/** The command line, parsed into what to do. Options override the environment variable of the same meaning. */
import { parseArgs } from 'node:util';
import { ConfigError, type Env } from '@imagemesh/observe';
import { type KeysCommand, keysOptions, readKeysCommand } from './keys-args.ts';
import { isWorkerKind, type WorkerKind } from './replica-counts.ts';

export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'up'; readonly env: Env; readonly isPrintConfig: boolean }
  | KeysCommand
  | { readonly kind: 'sign'; readonly args: readonly string[]; readonly env: Env }
  | { readonly kind: 'replica'; readonly env: Env; readonly worker: WorkerKind };

const options = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  'print-config': { type: 'boolean' },
  port: { type: 'string' },
  host: { type: 'string' },
  'balancer-port': { type: 'string' },
  'data-dir': { type: 'string' },
  'nats-url': { type: 'string' },
  'nats-server-bin': { type: 'string' },
  replicas: { type: 'string' },
  'log-format': { type: 'string' },
  'log-level': { type: 'string' },
  'api-keys-file': { type: 'string' },
  ...keysOptions,
} as const;

/** Reads the arguments after the script's name. Throws ConfigError, one line. */
export function readCommand(args: readonly string[], env: Env): Command {
  // It reads its arguments itself, --help among them.
  if (args[0] === 'sign') return { kind: 'sign', args: args.slice(1), env };
  const { values, positionals } = parse(args);
  if (values.help) return { kind: 'help' };
  if (values.version) return { kind: 'version' };
  const merged: Record<string, string | undefined> = { ...env };
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'string' && !Object.hasOwn(keysOptions, name))
      merged[name.toUpperCase().replaceAll('-', '_')] = value;
  }
  const [command = 'up', ...rest] = positionals;
  switch (command) {
    case 'up':
      refuseMore(rest);
      return { kind: 'up', env: merged, isPrintConfig: values['print-config'] ?? false };
    case 'replica': {
      const [worker, ...more] = rest;
      if (worker === undefined || !isWorkerKind(worker)) {
        throw new ConfigError('imagemesh replica needs a kind: resize or filter');
      }
      refuseMore(more);
      return { kind: 'replica', env: merged, worker };
    }
    case 'keys':
      return readKeysCommand(rest, values, merged);
    case 'help':
      return { kind: 'help' };
    case 'version':
      return { kind: 'version' };
    default:
      throw new ConfigError(`there is no command ${JSON.stringify(command)}; see imagemesh --help`);
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // util.parseArgs explains itself in its first sentence.
    const message = error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error);
    throw new ConfigError(`${message}; see imagemesh --help`);
  }
}

function refuseMore(rest: readonly string[]): void {
  if (rest.length > 0)
    throw new ConfigError(`unexpected argument ${JSON.stringify(rest[0])}; see imagemesh --help`);
}
