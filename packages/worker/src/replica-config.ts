/** The configuration that every kind of replica has. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type ImageLimits, limitsEnvDocs, limitsFromEnv } from '@imagemesh/image';
import {
  type Env,
  type EnvDoc,
  envChoice,
  envInt,
  envList,
  envString,
  LOG_LEVELS,
  type LogLevel,
} from '@imagemesh/observe';
import { meshTlsDoc } from '@imagemesh/rpc';
import { checkStoreUrl } from '@imagemesh/store';

export interface ReplicaConfig {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly adminPort: number;
  /** host:port as seen from the balancers; undefined: host and the real port. */
  readonly advertiseAddress: string | undefined;
  readonly balancerAddresses: readonly string[];
  /** Undefined: no blobs, only bytes in the call. */
  readonly storeUrl: string | undefined;
  /** Calls at once. */
  readonly slots: number;
  /** Bytes of replies that wait for their readers; with so many, no new call. */
  readonly maxUnreadReplyBytes: number;
  readonly replicaId: string;
  readonly hostId: string;
  readonly joinToken: string;
  /** Folder of ca.pem, cert.pem, key.pem; empty: connections in clear. */
  readonly meshTlsDir: string;
  /** For calls that come without a deadline. */
  readonly defaultDeadlineMs: number;
  readonly logLevel: LogLevel;
  readonly limits: ImageLimits;
}

const hostPort = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/;

/** Throws ConfigError. The default id is random, so call it once a process. */
export function readReplicaConfig(env: Env, kind: 'resize' | 'filter'): ReplicaConfig {
  const advertise = envString(env, 'ADVERTISE_ADDRESS', {
    default: '',
    pattern: hostPort,
    form: 'host:port',
  });
  const storeUrl = envString(env, 'STORE_URL', { default: '' });
  if (storeUrl !== '') checkStoreUrl(storeUrl);
  return {
    host: envString(env, 'HOST', { default: '127.0.0.1' }),
    port: envInt(env, 'PORT', { default: 0, min: 0, max: 65535 }),
    adminPort: envInt(env, 'ADMIN_PORT', { default: 0, min: 0, max: 65535 }),
    advertiseAddress: advertise === '' ? undefined : advertise,
    balancerAddresses: envList(env, 'BALANCER_ADDRESSES', {
      default: ['127.0.0.1:9100'],
      item: hostPort,
      form: 'host:port, comma-separated',
    }),
    storeUrl: storeUrl === '' ? undefined : storeUrl,
    slots: envInt(env, 'SLOTS', { default: 1, min: 1, max: 256 }),
    maxUnreadReplyBytes: envInt(env, 'MAX_UNREAD_REPLY_BYTES', {
      default: 512 * 1024 ** 2,
      min: 1,
      max: 64 * 1024 ** 3,
    }),
    replicaId: envString(env, 'REPLICA_ID', {
      default: `${kind}-${randomBytes(4).toString('hex')}`,
      pattern: /^[A-Za-z0-9._-]{1,64}$/,
      form: '1 to 64 of A-Z a-z 0-9 . _ -',
    }),
    hostId: envString(env, 'HOST_ID', { default: hostname() }),
    joinToken: envString(env, 'JOIN_TOKEN', { default: '' }),
    meshTlsDir: envString(env, 'MESH_TLS_DIR', { default: '' }),
    defaultDeadlineMs: envInt(env, 'DEFAULT_DEADLINE_MS', { default: 30_000, min: 1, max: 3_600_000 }),
    logLevel: envChoice(env, 'LOG_LEVEL', { choices: LOG_LEVELS, default: 'info' }),
    limits: limitsFromEnv(env),
  };
}

/** For `--help`. */
export const replicaEnvDocs: readonly EnvDoc[] = [
  {
    name: 'BALANCER_ADDRESSES',
    default: '127.0.0.1:9100',
    doc: 'The balancers to join, host:port, comma-separated; a DNS name stands for every host it resolves to, asked anew every 5 s.',
  },
  { name: 'HOST', default: '127.0.0.1', doc: 'Address to listen on.' },
  { name: 'PORT', default: '0', doc: 'Port to listen on; 0 for any free one.' },
  {
    name: 'ADVERTISE_ADDRESS',
    default: '',
    doc: 'host:port for the balancers to connect to, if not the listening one.',
  },
  { name: 'ADMIN_PORT', default: '0', doc: 'Port of /metrics, /healthz and /readyz; 0 for any free one.' },
  {
    name: 'STORE_URL',
    default: '',
    doc: 'The store shared with the gateway, file:<folder> or s3://<bucket>/<prefix>; without it only bytes in the call.',
  },
  {
    name: 'SLOTS',
    default: '1',
    doc: 'Calls to run at once, 1 to 256; over 2, UV_THREADPOOL_SIZE should be at least SLOTS + 2.',
  },
  {
    name: 'MAX_UNREAD_REPLY_BYTES',
    default: String(512 * 1024 ** 2),
    doc: 'Bytes of replies that wait for their readers; with so many, new calls are refused as if no slot were free.',
  },
  { name: 'REPLICA_ID', default: '<kind>-<random>', doc: 'Id, unique among running replicas.' },
  { name: 'HOST_ID', default: '<host name>', doc: 'Replicas with the same one share a machine.' },
  { name: 'JOIN_TOKEN', default: '', doc: 'Proves to the balancers that the replica may join.' },
  meshTlsDoc,
  { name: 'DEFAULT_DEADLINE_MS', default: '30000', doc: 'Longest a call without a deadline may take.' },
  ...limitsEnvDocs,
  { name: 'LOG_LEVEL', default: 'info', doc: `One of ${LOG_LEVELS.join(', ')}.` },
];
