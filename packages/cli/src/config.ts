/** The launcher's settings, from the environment (and from options, which args.ts puts over it). */
import { resolve } from 'node:path';
import {
  ConfigError,
  type Env,
  envChoice,
  envInt,
  envString,
  LOG_LEVELS,
  type LogLevel,
} from '@imagemesh/observe';
import { DEFAULT_REPLICAS, parseReplicaCounts, type ReplicaCounts } from './replica-counts.ts';

export type LogFormat = 'pretty' | 'json';

export interface UpConfig {
  readonly host: string;
  readonly port: number;
  readonly balancerPort: number;
  readonly dataDir: string;
  /** Undefined: the launcher runs a nats-server of its own. */
  readonly natsUrl: string | undefined;
  readonly natsServerBin: string | undefined;
  readonly replicas: ReplicaCounts;
  readonly logFormat: LogFormat;
  readonly logLevel: LogLevel;
}

/** A setting of the launcher: variable, option, default, what it does. */
export interface Setting {
  readonly variable: string;
  readonly option: string;
  readonly default: string;
  readonly doc: string;
}

export const SETTINGS: readonly Setting[] = [
  { variable: 'PORT', option: '--port', default: '8080', doc: 'Port of the gateway; 0 picks a free one.' },
  {
    variable: 'HOST',
    option: '--host',
    default: '127.0.0.1',
    doc: 'Address of the gateway; other than loopback only with API_KEYS_FILE.',
  },
  {
    variable: 'BALANCER_PORT',
    option: '--balancer-port',
    default: '9100',
    doc: 'Port of the balancer on loopback; 0 picks a free one.',
  },
  {
    variable: 'DATA_DIR',
    option: '--data-dir',
    default: '.data',
    doc: 'Folder for images, jobs and the lock.',
  },
  {
    variable: 'NATS_URL',
    option: '--nats-url',
    default: '',
    doc: 'A running NATS with JetStream, nats://host:port. Unset: the launcher runs its own.',
  },
  {
    variable: 'NATS_SERVER_BIN',
    option: '--nats-server-bin',
    default: '',
    doc: 'The nats-server program. Unset: PATH, /usr/sbin, the cache, Debian’s package.',
  },
  {
    variable: 'REPLICAS',
    option: '--replicas',
    default: DEFAULT_REPLICAS,
    doc: 'How many replicas of each kind, one slot each.',
  },
  {
    variable: 'LOG_FORMAT',
    option: '--log-format',
    default: 'pretty on a terminal, else json',
    doc: 'pretty: one readable line; json: as the services write it.',
  },
  { variable: 'LOG_LEVEL', option: '--log-level', default: 'info', doc: `${LOG_LEVELS.join(', ')}.` },
];

/** Reads the launcher's settings. Throws ConfigError. */
export function readConfig(env: Env, isTerminal: boolean): UpConfig {
  const port = envInt(env, 'PORT', { default: 8080, min: 0, max: 65535 });
  const balancerPort = envInt(env, 'BALANCER_PORT', { default: 9100, min: 0, max: 65535 });
  if (port !== 0 && port === balancerPort) {
    throw new ConfigError(
      `PORT and BALANCER_PORT are both ${port}; expected two ports (default 8080 and 9100)`,
    );
  }
  return {
    host: envString(env, 'HOST', { default: '127.0.0.1' }),
    port,
    balancerPort,
    dataDir: readDataDir(env),
    natsUrl: readNatsUrl(env),
    natsServerBin: envString(env, 'NATS_SERVER_BIN', { default: '' }) || undefined,
    replicas: parseReplicaCounts(envString(env, 'REPLICAS', { default: DEFAULT_REPLICAS })),
    logFormat: envChoice(env, 'LOG_FORMAT', {
      choices: ['pretty', 'json'],
      default: isTerminal ? 'pretty' : 'json',
    }),
    logLevel: envChoice(env, 'LOG_LEVEL', { choices: LOG_LEVELS, default: 'info' }),
  };
}

export function readDataDir(env: Env): string {
  return resolve(envString(env, 'DATA_DIR', { default: '.data' }));
}

/** The environment of this process: the one place of the launcher that reads it. */
export function processEnv(): Env {
  return process.env;
}

function readNatsUrl(env: Env): string | undefined {
  const url = envString(env, 'NATS_URL', {
    default: '',
    pattern: /^((nats|tls):\/\/)?[^\s/]+(:\d{1,5})?\/?$/,
    form: 'nats://host:port',
  });
  return url === '' ? undefined : url;
}
