/** The gateway's settings: the only reader of its environment. Longer than most: each is read, typed and documented here. */
import { fileURLToPath } from 'node:url';
import type { NatsAuth } from '@imagemesh/events';
import { type ImageLimits, limitsEnvDocs, limitsFromEnv } from '@imagemesh/image';
import {
  ConfigError,
  type Env,
  type EnvDoc,
  envBoolean,
  envBytes,
  envChoice,
  envInt,
  envList,
  envString,
  LOG_LEVELS,
  LOOPBACK,
  type LogLevel,
} from '@imagemesh/observe';
import { meshTlsDoc } from '@imagemesh/rpc';
import { checkStoreUrl, type UploadLimits } from '@imagemesh/store';
import { natsAuthDocs, readNatsAuth } from './nats-config.ts';
import type { PublicTlsPaths } from './public-tls.ts';
import { type Retention, readRetention, retentionEnvDocs } from './retention.ts';
import { readWebhooks, type WebhookSettings, webhookEnvDocs } from './webhooks/webhook-config.ts';

export interface Config {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly adminPort: number;
  readonly logLevel: LogLevel;
  /** host:port of each. */
  readonly balancerAddresses: readonly string[];
  readonly storeUrl: string;
  readonly retention: Retention;
  /** Empty: no jobs, no events. */
  readonly natsUrl: string;
  /** Copies of streams and buckets that a NATS cluster keeps. */
  readonly natsReplicas: number;
  /** Folder of the built page. */
  readonly webDir: string;
  /** Origins whose pages may call the API; "*" for all. */
  readonly corsOrigins: readonly string[];
  /** Undefined: the public port is in clear. */
  readonly publicTls: PublicTlsPaths | undefined;
  /** Folder of ca.pem, cert.pem, key.pem; empty: connections to balancers are in clear. */
  readonly meshTlsDir: string;
  readonly natsAuth: NatsAuth;
  readonly webhooks: WebhookSettings;
  /** The file of API keys; empty: callers need none. */
  readonly apiKeysFile: string;
  /** Limits on bytes, pixels, sides and operations. */
  readonly imageLimits: ImageLimits;
  readonly uploads: UploadLimits;
  readonly urls: UrlSettings;
  readonly calls: CallLimits;
  readonly connections: ConnectionLimits;
}

export interface UrlSettings {
  /** The file of keys that sign URLs; empty: none. */
  readonly signingKeysFile: string;
  /** Whether URLs need no signature. */
  readonly allowsUnsafe: boolean;
  /** The file of named presets; empty: none. */
  readonly presetsFile: string;
  /** Memory for results of URLs. */
  readonly resultCacheBytes: number;
}

export interface CallLimits {
  /** Time for the work of a call whose client names none. */
  readonly defaultDeadlineMs: number;
  /** The longest time that a client can ask for. */
  readonly maxDeadlineMs: number;
  /** Time for a whole request body to arrive, and for a whole reply to be read. */
  readonly bodyTimeoutMs: number;
  /** What of a body is held in memory; more becomes a temporary blob. */
  readonly heldInMemoryBytes: number;
  /** Memory for bodies and replies of all calls together. */
  readonly heldBytesMax: number;
  /** Of it, for the bodies of one connection. */
  readonly connectionBytesMax: number;
  /** What the images of all running calls may take decoded, as their headers tell. */
  readonly decodedBytesMax: number;
  /** Calls at once. */
  readonly maxCalls: number;
  /** The largest result of a unary Transform. */
  readonly maxUnaryResultBytes: number;
  /** Clients that follow the replicas at once. */
  readonly maxWatchers: number;
  /** Most jobs that this gateway runs at once; within it, the capacity of the mesh decides. */
  readonly jobConcurrency: number;
}

export interface ConnectionLimits {
  readonly maxConnections: number;
  /** Time for the first bytes, and for the headers of an HTTP/1 request. */
  readonly headersTimeoutMs: number;
  /** Time that a connection may be open without a request. */
  readonly idleTimeoutMs: number;
  /** Time that bytes of a reply may wait without any of them being read. */
  readonly stallTimeoutMs: number;
}

const host = /^(?:[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:]+\]?)$/;
const address = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}$/;
const origin = /^(?:\*|https?:\/\/[^/\s]+)$/;

const mebibyte = 1024 ** 2;
const defaultWebDir = fileURLToPath(new URL('../../../web/dist', import.meta.url));

/** Reads and checks every setting. Throws ConfigError. */
export function readConfig(env: Env): Config {
  const dataDir = envString(env, 'DATA_DIR', { default: '.imagemesh' });
  const config: Config = {
    host: envString(env, 'HOST', { default: '127.0.0.1', pattern: host, form: 'a host name or address' }),
    port: envInt(env, 'PORT', { default: 8080, min: 0, max: 65_535 }),
    adminPort: envInt(env, 'ADMIN_PORT', { default: 0, min: 0, max: 65_535 }),
    logLevel: envChoice(env, 'LOG_LEVEL', { choices: LOG_LEVELS, default: 'info' }),
    balancerAddresses: envList(env, 'BALANCER_ADDRESSES', {
      default: ['127.0.0.1:9100'],
      item: address,
      form: 'a comma-separated list of host:port',
    }),
    storeUrl: envString(env, 'STORE_URL', { default: `file:${dataDir}/store` }),
    retention: readRetention(env),
    natsUrl: envString(env, 'NATS_URL', { default: '' }),
    natsReplicas: envInt(env, 'NATS_REPLICAS', { default: 1, min: 1, max: 5 }),
    webDir: envString(env, 'WEB_DIR', { default: defaultWebDir }),
    corsOrigins: envList(env, 'CORS_ORIGINS', {
      default: [],
      item: origin,
      form: 'a comma-separated list of origins such as https://example.org, or *',
    }),
    publicTls: readPublicTls(env),
    meshTlsDir: envString(env, 'MESH_TLS_DIR', { default: '' }),
    natsAuth: readNatsAuth(env),
    webhooks: readWebhooks(env),
    apiKeysFile: envString(env, 'API_KEYS_FILE', { default: '' }),
    imageLimits: limitsFromEnv(env),
    uploads: {
      maxOpen: envInt(env, 'MAX_UPLOADS', { default: 64, min: 1, max: 10_000 }),
      maxBytes: envBytes(env, 'MAX_UPLOAD_BYTES', { default: 1024 * mebibyte, min: mebibyte }),
      ttlMs: envInt(env, 'UPLOAD_TTL_MS', { default: 6 * 3_600_000, min: 1000, max: 7 * 24 * 3_600_000 }),
    },
    urls: {
      signingKeysFile: envString(env, 'SIGNING_KEYS_FILE', { default: '' }),
      allowsUnsafe: envBoolean(env, 'ALLOW_UNSAFE_URLS', { default: false }),
      presetsFile: envString(env, 'PRESETS_FILE', { default: '' }),
      resultCacheBytes: envBytes(env, 'RESULT_CACHE_BYTES', { default: 64 * mebibyte, min: 0 }),
    },
    calls: {
      defaultDeadlineMs: envInt(env, 'DEFAULT_DEADLINE_MS', { default: 30_000, min: 100, max: 3_600_000 }),
      maxDeadlineMs: envInt(env, 'MAX_DEADLINE_MS', { default: 300_000, min: 100, max: 3_600_000 }),
      bodyTimeoutMs: envInt(env, 'BODY_TIMEOUT_MS', { default: 300_000, min: 100, max: 3_600_000 }),
      heldInMemoryBytes: 8 * mebibyte,
      heldBytesMax: envBytes(env, 'HELD_BYTES_MAX', { default: 512 * mebibyte, min: 16 * mebibyte }),
      connectionBytesMax: envBytes(env, 'CONNECTION_BYTES_MAX', {
        default: 256 * mebibyte,
        min: 16 * mebibyte,
      }),
      decodedBytesMax: envBytes(env, 'DECODED_BYTES_MAX', { default: 16 * 1024 * mebibyte, min: mebibyte }),
      maxCalls: envInt(env, 'MAX_CALLS', { default: 1024, min: 1, max: 100_000 }),
      maxUnaryResultBytes: 4_000_000,
      maxWatchers: envInt(env, 'MAX_WATCHERS', { default: 256, min: 1, max: 10_000 }),
      jobConcurrency: envInt(env, 'JOB_CONCURRENCY', { default: 64, min: 1, max: 256 }),
    },
    connections: {
      maxConnections: envInt(env, 'MAX_CONNECTIONS', { default: 4096, min: 1, max: 1_000_000 }),
      headersTimeoutMs: envInt(env, 'HEADERS_TIMEOUT_MS', { default: 10_000, min: 100, max: 600_000 }),
      idleTimeoutMs: envInt(env, 'IDLE_TIMEOUT_MS', { default: 65_000, min: 1000, max: 3_600_000 }),
      stallTimeoutMs: envInt(env, 'STALL_TIMEOUT_MS', { default: 60_000, min: 100, max: 3_600_000 }),
    },
  };
  checkStoreUrl(config.storeUrl);
  if (config.balancerAddresses.length === 0) {
    throw new ConfigError(
      'BALANCER_ADDRESSES names no balancer; expected a comma-separated list of host:port',
    );
  }
  const isOpen = envBoolean(env, 'ALLOW_UNAUTHENTICATED', { default: false });
  if (!LOOPBACK.test(config.host) && config.apiKeysFile === '' && !isOpen) {
    throw new ConfigError(
      `HOST=${config.host} can be reached from elsewhere and there are no API keys; make one with "npm run -s keys -- add NAME" (imagemesh keys add NAME) and set API_KEYS_FILE=keys.json, or set ALLOW_UNAUTHENTICATED=true where something in front of the gateway decides who may call (default HOST 127.0.0.1)`,
    );
  }
  return config;
}

function readPublicTls(env: Env): PublicTlsPaths | undefined {
  const certFile = envString(env, 'TLS_CERT_FILE', { default: '' });
  const keyFile = envString(env, 'TLS_KEY_FILE', { default: '' });
  const clientCaFile = envString(env, 'TLS_CLIENT_CA_FILE', { default: '' });
  if (certFile !== '' && keyFile !== '') return { certFile, keyFile, clientCaFile };
  if (certFile === '' && keyFile === '' && clientCaFile === '') return undefined;
  throw new ConfigError(
    'TLS_CERT_FILE and TLS_KEY_FILE belong together, and TLS_CLIENT_CA_FILE to them; expected PEM files (default: none)',
  );
}

/** For --help. */
export const envDocs: readonly EnvDoc[] = [
  { name: 'HOST', default: '127.0.0.1', doc: 'Address to listen on.' },
  { name: 'PORT', default: '8080', doc: 'Port for gRPC, gRPC-Web, Connect and HTTP; 0 takes a free one.' },
  { name: 'ADMIN_PORT', default: '0', doc: 'Port for /metrics, /healthz and /readyz; 0 takes a free one.' },
  { name: 'LOG_LEVEL', default: 'info', doc: `One of ${LOG_LEVELS.join(', ')}.` },
  {
    name: 'BALANCER_ADDRESSES',
    default: '127.0.0.1:9100',
    doc: 'The balancers, host:port, comma-separated; a DNS name stands for every host it resolves to, asked anew every 5 s.',
  },
  { name: 'DATA_DIR', default: '.imagemesh', doc: 'Folder for data, where STORE_URL names none.' },
  {
    name: 'STORE_URL',
    default: 'file:<DATA_DIR>/store',
    doc: 'Where images are stored: file:<folder>, or s3://<bucket>/<prefix>?endpoint=<url>&region=<region>.',
  },
  ...retentionEnvDocs,
  { name: 'NATS_URL', default: '', doc: 'The NATS server; without one there are no jobs and no events.' },
  {
    name: 'NATS_REPLICAS',
    default: '1',
    doc: 'Copies of jobs and events that a NATS cluster keeps, 1 to 5; 3 survive the loss of one server.',
  },
  { name: 'WEB_DIR', default: '<web>/dist', doc: 'Folder of the built page.' },
  {
    name: 'CORS_ORIGINS',
    default: '',
    doc: 'Origins whose pages may call, comma-separated, or *; none but its own.',
  },
  ...natsAuthDocs,
  ...webhookEnvDocs,
  {
    name: 'TLS_CERT_FILE',
    default: '',
    doc: 'Certificate of the public port, PEM, read again when it changes; in clear without.',
  },
  { name: 'TLS_KEY_FILE', default: '', doc: 'Its key.' },
  {
    name: 'TLS_CLIENT_CA_FILE',
    default: '',
    doc: 'Who must have signed the certificate of a client; clients need none without.',
  },
  meshTlsDoc,
  {
    name: 'API_KEYS_FILE',
    default: '',
    doc: 'The API keys, as imagemesh keys add writes them, read again when they change; callers need none without.',
  },
  {
    name: 'ALLOW_UNAUTHENTICATED',
    default: 'false',
    doc: 'Allows a HOST that is not loopback without API keys.',
  },
  {
    name: 'DEFAULT_DEADLINE_MS',
    default: '30000',
    doc: 'Time for the work of a call whose client names none.',
  },
  { name: 'MAX_DEADLINE_MS', default: '300000', doc: 'The longest time that a client can ask for.' },
  {
    name: 'BODY_TIMEOUT_MS',
    default: '300000',
    doc: 'Time for a request body to arrive and for a reply to be read.',
  },
  ...limitsEnvDocs,
  { name: 'HELD_BYTES_MAX', default: '512MiB', doc: 'Memory for bodies and replies of all calls together.' },
  { name: 'CONNECTION_BYTES_MAX', default: '256MiB', doc: 'Of it, for the bodies of one connection.' },
  {
    name: 'DECODED_BYTES_MAX',
    default: '16GiB',
    doc: 'What the images of all running calls may take decoded, as their headers tell.',
  },
  { name: 'MAX_CALLS', default: '1024', doc: 'Calls at once.' },
  {
    name: 'SIGNING_KEYS_FILE',
    default: '',
    doc: 'The keys that sign URLs of results, one a line: id, secret in hexadecimal, owner; read again when it changes.',
  },
  {
    name: 'ALLOW_UNSAFE_URLS',
    default: 'false',
    doc: 'Allows URLs of results with "unsafe" for a signature.',
  },
  {
    name: 'PRESETS_FILE',
    default: '',
    doc: 'Named presets, one a line: name, operations; read again when it changes.',
  },
  { name: 'RESULT_CACHE_BYTES', default: '64MiB', doc: 'Memory for results of URLs.' },
  { name: 'MAX_UPLOADS', default: '64', doc: 'Unfinished resumable uploads of each owner.' },
  { name: 'MAX_UPLOAD_BYTES', default: '1GiB', doc: 'Bytes that those may have together.' },
  { name: 'UPLOAD_TTL_MS', default: '21600000', doc: 'Time for a resumable upload, from its start.' },
  {
    name: 'MAX_WATCHERS',
    default: '256',
    doc: 'Clients that follow replicas, and events, at once; of each.',
  },
  {
    name: 'JOB_CONCURRENCY',
    default: '64',
    doc: 'Most jobs that this gateway runs at once; within it, three for each slot of a replica.',
  },
  { name: 'MAX_CONNECTIONS', default: '4096', doc: 'Connections at once.' },
  {
    name: 'HEADERS_TIMEOUT_MS',
    default: '10000',
    doc: "Time for a connection's first bytes and for HTTP/1 headers.",
  },
  { name: 'IDLE_TIMEOUT_MS', default: '65000', doc: 'Time that a connection may be open without a request.' },
  { name: 'STALL_TIMEOUT_MS', default: '60000', doc: 'Time that a reply may wait without being read.' },
];
