/**
 * The life of a service process: start, say so, drain on request, exit.
 *
 * Ends on SIGTERM, SIGINT, or when the parent's IPC channel closes (the launcher died, however it died): close with a
 * grace period, exit 0, and exit hard one second after the grace. What was set wrong is one line on stderr and exit 1.
 */
import { setFlagsFromString } from 'node:v8';
import { ConfigError, type Env, envInt } from './env.ts';
import type { Logger } from './logger.ts';

export interface RunContext {
  /** Aborted when the process is asked to end, before `close` is called. */
  readonly signal: AbortSignal;
  /** The environment, to hand to readConfig. */
  readonly env: Env;
}

export interface RunningService {
  /** host:port that the service listens on. */
  readonly address: string;
  readonly adminAddress?: string;
  /** Used for the lines `ready`, `stopping`, `stopped` and `fatal`. */
  readonly log?: Logger;
  /** Stops taking calls, lets running ones finish for up to graceMs, then ends them. */
  close(graceMs: number): Promise<void>;
}

/** One line of `--help`: a variable, its default ("" for none), what it does. */
export interface EnvDoc {
  readonly name: string;
  readonly default: string;
  readonly doc: string;
}

export interface ServiceDefinition {
  readonly name: string;
  readonly start: (context: RunContext) => Promise<RunningService>;
  /** For `--help`. */
  readonly envDocs?: readonly EnvDoc[];
  /** For `--print-config`: the effective config; values under secret-looking keys are masked. */
  readonly readConfig?: (env: Env) => unknown;
}

const defaultDrainMs = 8000;
const hardExitMs = 1000;

/** Runs the service until it is asked to end; never returns in between. Call it last in main.ts. */
export async function runService(definition: ServiceDefinition): Promise<void> {
  // Bodies of images lie outside V8's heap but count against its limit, which for a heap of 20 MB is 8 MB above what
  // survived the last collection: without this a balancer collects all of it once every twenty calls, which doubles
  // its CPU (bench/README.md).
  setFlagsFromString('--heap-growing-percent=300');
  const { name, start, envDocs = [], readConfig } = definition;
  const env: Env = process.env;
  if (process.argv.includes('--help')) {
    process.stdout.write(helpText(name, envDocs));
    return;
  }
  let graceMs = defaultDrainMs;
  try {
    graceMs = envInt(env, 'DRAIN_TIMEOUT_MS', { default: defaultDrainMs, min: 0, max: 600_000 });
    if (process.argv.includes('--print-config')) {
      process.stdout.write(`${JSON.stringify(maskSecrets(readConfig?.(env) ?? {}), null, 2)}\n`);
      return;
    }
  } catch (error) {
    exitWithReason(name, error);
    return;
  }

  const ending = new AbortController();
  let running: RunningService | undefined;
  let isEnding = false;
  const end = async (why: string) => {
    if (isEnding) return;
    isEnding = true;
    setTimeout(() => process.exit(1), graceMs + hardExitMs).unref();
    ending.abort(new Error(why));
    if (running === undefined) process.exit(0);
    running.log?.info({ why, graceMs }, 'stopping');
    try {
      await running.close(graceMs);
      running.log?.info('stopped');
      process.exit(0);
    } catch (error) {
      fatal(name, running.log, error, 'stopping failed');
    }
  };
  process.on('SIGTERM', () => void end('SIGTERM'));
  process.on('SIGINT', () => void end('SIGINT'));
  process.on('disconnect', () => void end('parent gone'));
  process.on('uncaughtException', (error) => fatal(name, running?.log, error, 'uncaught exception'));
  process.on('unhandledRejection', (error) => fatal(name, running?.log, error, 'unhandled rejection'));
  // A reader of our logs that went away is no reason to drop calls.
  process.stdout.on('error', () => {});

  try {
    running = await start({ signal: ending.signal, env });
  } catch (error) {
    if (isEnding) process.exit(0);
    exitWithReason(name, error);
    return;
  }
  const { address, adminAddress } = running;
  running.log?.info({ address, adminAddress }, 'ready');
  // The parent may be gone by now; its `disconnect` ends us.
  process.send?.({ type: 'ready', address, adminAddress }, undefined, undefined, () => {});
}

function fatal(name: string, log: Logger | undefined, error: unknown, what: string): never {
  if (log === undefined) process.stderr.write(`${name}: ${what}: ${describe(error)}\n`);
  else log.fatal({ err: error }, what);
  process.exit(1);
}

/** One line for what the person who started us can mend; a stack for what only we can. */
function exitWithReason(name: string, error: unknown): void {
  process.stderr.write(`${name}: ${startFailure(error) ?? describe(error)}\n`);
  process.exit(1);
}

function startFailure(error: unknown): string | undefined {
  if (error instanceof ConfigError) return error.message;
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  const place =
    'port' in error && 'address' in error
      ? `${error.address}:${error.port}`
      : 'path' in error
        ? String(error.path)
        : 'address' in error
          ? String(error.address)
          : '';
  switch (error.code) {
    case 'EADDRINUSE':
      return `${place} is already in use by another process; choose another PORT or stop that process`;
    case 'EADDRNOTAVAIL':
      return `${place} is not an address of this machine; set HOST to one that is`;
    case 'EACCES':
    case 'EPERM':
      return `no permission to use ${place}; choose another port or folder`;
    case 'EROFS':
      return `${place} is on a read-only file system; choose another folder`;
    case 'ENOTDIR':
      return `${place} is not a folder`;
    default:
      return undefined;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function helpText(name: string, envDocs: readonly EnvDoc[]): string {
  const all: readonly EnvDoc[] = [
    ...envDocs.filter((doc) => doc.name !== 'DRAIN_TIMEOUT_MS'),
    {
      name: 'DRAIN_TIMEOUT_MS',
      default: String(defaultDrainMs),
      doc: 'How long running calls may take to finish on SIGTERM.',
    },
  ];
  const width = Math.max(...all.map((doc) => doc.name.length));
  const lines = all.map(
    (doc) => `  ${doc.name.padEnd(width)}  ${doc.doc}${doc.default === '' ? '' : ` Default ${doc.default}.`}`,
  );
  return [
    `${name}: a service of imagemesh, set up by environment variables.`,
    '',
    ...lines,
    '',
    'Options: --help prints this, --print-config prints the effective configuration as JSON.',
    '',
  ].join('\n');
}

const secretKey = /token|secret|password|authorization|api_?key|credential/i;

function maskSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskSecrets);
  if (value === null || typeof value !== 'object') return maskUrl(value);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      secretKey.test(key) && inner !== undefined && inner !== '' ? '***' : maskSecrets(inner),
    ]),
  );
}

/** user:password in a URL is a secret too. */
function maskUrl(value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/^([a-z]+:\/\/)[^@/]*@/i, '$1***@') : value;
}
