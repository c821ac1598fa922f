/** The balancer's settings, from the environment. */
import {
  ConfigError,
  type Env,
  type EnvDoc,
  envBoolean,
  envBytes,
  envChoice,
  envInt,
  envString,
  LOG_LEVELS,
  LOOPBACK,
  type LogLevel,
} from '@imagemesh/observe';
import { meshTlsDoc } from '@imagemesh/rpc';

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly adminPort: number;
  readonly logLevel: LogLevel;
  /** Empty: a random one. */
  readonly balancerId: string;
  /** Empty: replicas need none. */
  readonly joinToken: string;
  /** Folder of ca.pem, cert.pem, key.pem; empty: connections in clear. */
  readonly meshTlsDir: string;
  readonly maxReplicas: number;
  readonly reportIntervalMs: number;
  readonly suspectAfterMs: number;
  readonly deadAfterMs: number;
  readonly deadListedMs: number;
  readonly maxQueuedCalls: number;
  readonly maxHeldBytes: number;
  readonly maxHeldBytesPerCall: number;
  readonly maxHeldReplyBytes: number;
  readonly noReplicaGraceMs: number;
  readonly maxAttempts: number;
  readonly defaultDeadlineMs: number;
}

const MiB = 1024 * 1024;

export function readConfig(env: Env): Config {
  const config: Config = {
    host: envString(env, 'HOST', { default: '127.0.0.1' }),
    port: envInt(env, 'PORT', { default: 9100, min: 0, max: 65_535 }),
    adminPort: envInt(env, 'ADMIN_PORT', { default: 0, min: 0, max: 65_535 }),
    logLevel: envChoice(env, 'LOG_LEVEL', { choices: LOG_LEVELS, default: 'info' }),
    balancerId: envString(env, 'BALANCER_ID', {
      default: '',
      pattern: /^[A-Za-z0-9._-]{1,64}$/,
      form: '1 to 64 of A-Z a-z 0-9 . _ -',
    }),
    joinToken: envString(env, 'JOIN_TOKEN', {
      default: '',
      pattern: /^.{1,4096}$/,
      form: 'at most 4096 characters',
    }),
    meshTlsDir: envString(env, 'MESH_TLS_DIR', { default: '' }),
    maxReplicas: envInt(env, 'MAX_REPLICAS', { default: 256, min: 1, max: 10_000 }),
    reportIntervalMs: envInt(env, 'REPORT_INTERVAL_MS', { default: 250, min: 10, max: 60_000 }),
    suspectAfterMs: envInt(env, 'SUSPECT_AFTER_MS', { default: 750, min: 10, max: 600_000 }),
    deadAfterMs: envInt(env, 'DEAD_AFTER_MS', { default: 1500, min: 10, max: 600_000 }),
    deadListedMs: envInt(env, 'DEAD_LISTED_MS', { default: 60_000, min: 0, max: 3_600_000 }),
    maxQueuedCalls: envInt(env, 'MAX_QUEUED_CALLS', { default: 1024, min: 0, max: 100_000 }),
    maxHeldBytes: envBytes(env, 'MAX_HELD_BYTES', { default: 256 * MiB, min: MiB }),
    maxHeldBytesPerCall: envBytes(env, 'MAX_HELD_BYTES_PER_CALL', { default: 16 * MiB, min: 0 }),
    maxHeldReplyBytes: envBytes(env, 'MAX_HELD_REPLY_BYTES', { default: 4 * MiB, min: 0 }),
    noReplicaGraceMs: envInt(env, 'NO_REPLICA_GRACE_MS', { default: 2000, min: 0, max: 600_000 }),
    maxAttempts: envInt(env, 'MAX_ATTEMPTS', { default: 3, min: 1, max: 10 }),
    defaultDeadlineMs: envInt(env, 'DEFAULT_DEADLINE_MS', { default: 30_000, min: 1, max: 86_400_000 }),
  };
  const isGuarded = config.joinToken !== '' || config.meshTlsDir !== '';
  const isOpen = envBoolean(env, 'ALLOW_UNAUTHENTICATED', { default: false });
  if (!LOOPBACK.test(config.host) && !isGuarded && !isOpen) {
    throw new ConfigError(
      `HOST=${config.host} can be reached from elsewhere, and anybody there could join and be sent images; set JOIN_TOKEN here and for the replicas, or MESH_TLS_DIR for all, or ALLOW_UNAUTHENTICATED=true on a network of its own (default HOST 127.0.0.1)`,
    );
  }
  return config;
}

export const envDocs: readonly EnvDoc[] = [
  { name: 'HOST', default: '127.0.0.1', doc: 'Address to listen on.' },
  { name: 'PORT', default: '9100', doc: 'Port to listen on; 0 for any free one.' },
  { name: 'ADMIN_PORT', default: '0', doc: 'Port of /metrics, /healthz and /readyz; 0 for any free one.' },
  { name: 'LOG_LEVEL', default: 'info', doc: `One of ${LOG_LEVELS.join(', ')}.` },
  { name: 'BALANCER_ID', default: '', doc: 'Its id in lists and logs; a random one if unset.' },
  { name: 'JOIN_TOKEN', default: '', doc: 'What replicas must say to join; nothing if unset.' },
  meshTlsDoc,
  {
    name: 'ALLOW_UNAUTHENTICATED',
    default: 'false',
    doc: 'Allows a HOST that is not loopback without either.',
  },
  { name: 'MAX_REPLICAS', default: '256', doc: 'Replicas at once.' },
  { name: 'REPORT_INTERVAL_MS', default: '250', doc: 'How often replicas are to report.' },
  { name: 'SUSPECT_AFTER_MS', default: '750', doc: 'No new work for a replica whose last report is older.' },
  { name: 'DEAD_AFTER_MS', default: '1500', doc: 'A replica whose last report is older is gone.' },
  { name: 'DEAD_LISTED_MS', default: '60000', doc: 'How long a dead replica is listed.' },
  { name: 'MAX_QUEUED_CALLS', default: '1024', doc: 'Calls waiting; more are refused.' },
  {
    name: 'MAX_HELD_BYTES',
    default: '256MiB',
    doc: 'Request bodies and replies held by all calls; at the limit none may queue.',
  },
  { name: 'MAX_HELD_BYTES_PER_CALL', default: '16MiB', doc: 'Longer request bodies are not sent twice.' },
  {
    name: 'MAX_HELD_REPLY_BYTES',
    default: '4MiB',
    doc: 'Replies up to it are passed on whole, so that a call can go elsewhere until then.',
  },
  {
    name: 'NO_REPLICA_GRACE_MS',
    default: '2000',
    doc: 'How long a call waits for a replica that can run it.',
  },
  { name: 'MAX_ATTEMPTS', default: '3', doc: 'Replicas that a call is tried on.' },
  { name: 'DEFAULT_DEADLINE_MS', default: '30000', doc: 'For calls that set none.' },
];
