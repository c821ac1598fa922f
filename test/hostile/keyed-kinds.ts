/** What strangers, and callers with the wrong key, may send a gateway that has keys. Longer than most: it is a list of kinds. */
import { createHmac } from 'node:crypto';
import type { ErrorReason } from '@imagemesh/rpc';
import type { KeyedTarget, UrlKey } from './keyed-target.ts';
import { below, type Kind, oneOf, pipelined, randomBytes, raw, streams } from './kind.ts';
import { operationKinds } from './operation-strings.ts';
import type { PipelinedRequest } from './pipelines.ts';

type Random = () => number;

/** A signature as docs/urls.md says, made without the gateway's code. */
function signatureOf({ id, secret }: UrlKey, rest: string, expiry?: number): string {
  const prefix = expiry === undefined ? id : `${id}.${expiry}`;
  return `${prefix}.${createHmac('sha256', secret).update(`${prefix}${rest}`).digest('base64url')}`;
}

const restOf = ({ imageId }: KeyedTarget) => `/resize:16x/${imageId}.png`;

function flipBit(random: Random, mac: string): string {
  const bytes = Buffer.from(mac, 'base64url');
  const at = below(random, bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << below(random, 8));
  return bytes.toString('base64url');
}

/** Each makes of a good signature, in its parts, one that is not. */
const forgeries: readonly ((random: Random, id: string, mac: string, target: KeyedTarget) => string)[] = [
  (random, id, mac) => `${id}.${flipBit(random, mac)}`,
  (random, id, mac) => `${id}.${mac.slice(0, below(random, mac.length))}`,
  (random, id, mac) => `${id}.${mac}${'A'.repeat(1 + below(random, 80))}`,
  (random, id) => `${id}.${randomBytes(random, 32).toString('base64url')}`,
  // The same bytes in other digits.
  (random, id, mac) => `${id}.${mac.slice(0, -1)}${nextDigit(mac, 1 + below(random, 3))}`,
  (_random, id, mac) => `${id}.${mac}=`,
  (_random, id, mac) => `${id}.${Buffer.from(mac, 'base64url').toString('hex')}`,
  (_random, id, mac) => `${id}.${mac.toUpperCase()}`,
  (_random, id, mac) => `${id}%2E${mac}`,
  (_random, id, mac) => `${id}.${[...mac].map((char) => `%${char.charCodeAt(0).toString(16)}`).join('')}`,
  (random, _id, mac) => `${oneOf(random, ['k3', 'k1', 'K2', 'k', '__proto__', 'constructor', ''])}.${mac}`,
  (random, id, mac) => `${id}.${below(random, 2) ? '' : '9'}99999999999.${mac}`,
  (_random, id, mac) => `${id}.${mac}.${mac}`,
  () => 'unsafe',
];

/** The last digit of base64url has two bits to spare. */
function nextDigit(mac: string, by: number): string {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return digits[digits.indexOf(mac.at(-1) ?? '') + by] ?? '';
}

/** What another path may make of the one that was signed. */
const otherPaths: readonly ((rest: string) => string)[] = [
  (rest) => rest.replace('16', '17'),
  (rest) => rest.replace('resize:16x/', ''),
  (rest) => rest.replace('/resize', '/blur/resize'),
  (rest) => rest.replace('resize', 'RESIZE'),
  (rest) => rest.replace('resize', '%72esize'),
  (rest) => rest.replace(':', '%3A'),
  (rest) => rest.replace('16x', '16x/'),
  (rest) => rest.replace('.png', '.jpg'),
  (rest) => rest.replace('.png', '.PNG'),
  (rest) => rest.replace('/resize', '//resize'),
  (rest) => rest.replace(/[0-9a-f]{4}\.png$/, 'ffff.png'),
  (rest) => rest.replace(/\w+\.png$/, (name) => name.toUpperCase()),
  (rest) => `${rest}/..`,
  (rest) => `${rest}.`,
  (rest) => `${rest}%00`,
  (rest) => rest.replace(/\//g, '%2f').replace('%2f', '/'),
];

const forgedReasons: readonly ErrorReason[] = ['SIGNATURE_INVALID', 'ROUTE_NOT_FOUND'];

const forged = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const rest = restOf(target);
  const { current } = target.urlKeys;
  const good = signatureOf(current, rest);
  if (random() < 0.3) return { path: `/i/${good}${oneOf(random, otherPaths)(rest)}`, reasons: forgedReasons };
  const [id = '', mac = ''] = good.split('.');
  return { path: `/i/${oneOf(random, forgeries)(random, id, mac, target)}${rest}`, reasons: forgedReasons };
};

const expired = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const nowSeconds = Math.floor(Date.now() / 1000);
  const expiry = oneOf(random, [0, 1, below(random, nowSeconds), nowSeconds - 1, nowSeconds]);
  const rest = restOf(target);
  return {
    path: `/i/${signatureOf(target.urlKeys.current, rest, expiry)}${rest}`,
    reasons: ['SIGNATURE_EXPIRED'],
  };
};

const rotatedAway = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const { current, second, retired } = target.urlKeys;
  const rest = restOf(target);
  const expiry = random() < 0.5 ? undefined : 4_000_000_000 + below(random, 1e6);
  const key = oneOf(random, [
    retired,
    { id: current.id, secret: retired.secret },
    { id: retired.id, secret: current.secret },
    { id: current.id, secret: second.secret },
    { id: second.id, secret: current.secret },
    { id: current.id, secret: Buffer.alloc(0) },
  ]);
  return { path: `/i/${signatureOf(key, rest, expiry)}${rest}`, reasons: ['SIGNATURE_INVALID'] };
};

const json = 'content-type: application/json';
const rpc = (method: string, body: string) => ({
  method: 'POST',
  path: `/imagemesh.v1.${method}`,
  headers: [json],
  body,
});

/** One of each way in that asks for a key, and the scope that it asks for. */
const doors = ({ imageId }: KeyedTarget) =>
  [
    { scope: 'read', method: 'GET', path: `/images/${imageId}`, headers: [] },
    { scope: 'read', ...rpc('ImageService/GetImage', JSON.stringify({ imageId })) },
    { scope: 'read', ...rpc('BalancerService/ListReplicas', '{}') },
    { scope: 'jobs', method: 'GET', path: '/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV', headers: [] },
    {
      scope: 'jobs',
      method: 'POST',
      path: '/crop',
      headers: [json],
      body: JSON.stringify({ image: imageId }),
    },
    { scope: 'jobs', ...rpc('JobService/CreateJob', '{}') },
    { scope: 'transform', method: 'POST', path: '/transform?ops=flip', headers: [], body: 'GIF89a' },
    { scope: 'transform', ...rpc('ImageService/Transform', '{}') },
    { scope: 'upload', method: 'POST', path: '/upload', headers: [], body: 'GIF89a' },
    { scope: 'upload', ...rpc('UploadService/StartUpload', '{}') },
    { scope: 'admin', ...rpc('BalancerService/DrainReplica', '{"replicaId":"resize-1"}') },
  ] as const;

const inHeader = (random: Random, key: string) =>
  random() < 0.5
    ? `authorization: ${oneOf(random, ['Bearer', 'bearer', 'BEARER '])} ${key}`
    : `x-api-key: ${key}`;

function withHeaders(
  random: Random,
  target: KeyedTarget,
  headers: readonly string[],
  reasons: readonly ErrorReason[],
): PipelinedRequest {
  const { scope: _, ...request } = oneOf(random, doors(target));
  return { ...request, headers: [...request.headers, ...headers], reasons };
}

const printable = (random: Random, length: number) =>
  Array.from({ length }, () => String.fromCharCode(33 + below(random, 94))).join('');

/** Malformed, of nobody, or none. */
const unknownKey = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const { owner } = target.keys;
  const secret = randomBytes(random, 32).toString('base64url');
  const key = oneOf(random, [
    `im_nobody_${secret}`,
    `im_${oneOf(random, ['__proto__', 'constructor', 'tostring', '..', 'owner'])}_${secret}`,
    owner.slice(0, 1 + below(random, owner.length - 1)),
    `${owner}${printable(random, 1)}`,
    owner.toUpperCase(),
    owner.replace('owner', 'owner%00'),
    encodeURIComponent(`${owner}\n`),
    Buffer.from(owner).toString('base64'),
    printable(random, 1 + below(random, 100)),
  ]);
  return withHeaders(random, target, [inHeader(random, key)], ['API_KEY_INVALID']);
};

const noKey = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const { owner } = target.keys;
  const header = oneOf(random, [
    'x-other: 1',
    'authorization: Bearer',
    `authorization: Basic ${Buffer.from(`owner:${owner}`).toString('base64')}`,
    `authorization: ${owner}`,
    `authorization: Bearer${owner}`,
    `proxy-authorization: Bearer ${owner}`,
    `cookie: x-api-key=${owner}`,
    `x_api_key: ${owner}`,
  ]);
  const request = withHeaders(random, target, [header], ['API_KEY_MISSING']);
  // Nor does the address hold one.
  const mark = request.path.includes('?') ? '&' : '?';
  return request.method === 'GET'
    ? { ...request, path: `${request.path}${mark}x-api-key=${owner}` }
    : request;
};

const endedKey = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const { expired: old, revoked } = target.keys;
  return random() < 0.5
    ? withHeaders(random, target, [inHeader(random, old)], ['API_KEY_EXPIRED'])
    : withHeaders(random, target, [inHeader(random, revoked)], ['API_KEY_INVALID']);
};

const swappedKey = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const [id, other] = twoOf(random, ['owner', 'reader', 'sender', 'expired', 'revoked'] as const);
  // im_<id>_<secret>, where the secret has 43 characters.
  const key = `im_${id}_${target.keys[other].slice(-43)}`;
  return withHeaders(random, target, [inHeader(random, key)], ['API_KEY_INVALID']);
};

function twoOf<Item>(random: Random, items: readonly Item[]): readonly [Item, Item] {
  const first = oneOf(random, items);
  const second = oneOf(
    random,
    items.filter((item) => item !== first),
  );
  return [first, second];
}

const wrongScope = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const { owner, reader, sender } = target.keys;
  const { scope, ...request } = oneOf(random, doors(target));
  const keys = scope === 'read' ? [sender] : scope === 'upload' ? [reader] : [reader, sender];
  const key = oneOf(random, scope === 'admin' ? [owner, ...keys] : keys);
  return { ...request, headers: [...request.headers, inHeader(random, key)], reasons: ['SCOPE_MISSING'] };
};

const hugeKey = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const { owner } = target.keys;
  const length = oneOf(random, [200, 2000, 10_000]) + below(random, 1000);
  const key = oneOf(random, [
    `${owner}${'A'.repeat(length)}`,
    `im_${'a'.repeat(length)}_${owner.slice(-43)}`,
    `im_owner_${'_'.repeat(length)}`,
    `${'im_'.repeat(length / 3)}owner`,
  ]);
  return withHeaders(random, target, [inHeader(random, key)], ['API_KEY_INVALID']);
};

const twoKeys = (random: Random, target: KeyedTarget): PipelinedRequest => {
  const [first, second] = twoOf(random, Object.values(target.keys));
  const headers = oneOf(random, [
    [`authorization: Bearer ${first}`, `x-api-key: ${second}`],
    [`x-api-key: ${second}`, `authorization: Bearer ${first}`],
    [`x-api-key: ${first}`, `x-api-key: ${second}`],
    [`x-api-key: ${first}, ${second}`],
    [`x-api-key: ${first}`, `x-api-key: ${first}`],
  ]);
  return withHeaders(random, target, headers, ['API_KEY_INVALID']);
};

const grpcMethods = [
  'ImageService/Transform',
  'ImageService/TransformStream',
  'ImageService/UploadImage',
  'ImageService/DownloadImage',
  'JobService/WatchJobs',
  'BalancerService/WatchReplicas',
  'BalancerService/Join',
];

/** All of the above, as gRPC has it. */
const overGrpc = (random: Random, target: KeyedTarget) => {
  const makers = [unknownKey, noKey, endedKey, swappedKey, twoKeys, hugeKey];
  const { headers = [] } = oneOf(random, makers)(random, target);
  const credentials: Record<string, string[]> = {};
  for (const line of headers.filter((header) => header !== json)) {
    const [name = '', value = ''] = line.split(': ', 2);
    credentials[name] = [...(credentials[name] ?? []), value];
  }
  return {
    headers: {
      ':path': `/imagemesh.v1.${oneOf(random, grpcMethods)}`,
      'content-type': oneOf(random, [
        'application/grpc',
        'application/grpc+proto',
        'application/grpc-web+proto',
      ]),
      te: 'trailers',
      ...credentials,
    },
    body: Buffer.alloc(5),
  };
};

const climbs = [
  '..',
  '%2e%2e',
  '%252e%252e',
  '.%2e',
  '..%2f..',
  '..%252f..',
  '..%5c..',
  '..%255c..',
  '..\\..',
  '%c0%ae%c0%ae',
  '%u002e%u002e',
  '....//',
  '..;',
  '..%00',
  '%00..',
  '%ff',
  '~',
  'C:',
];
const ends = [
  'etc/passwd',
  'package.json',
  'keys.json%00',
  'proc/self/environ',
  'windows%5cwin.ini',
  '%00',
  'a%0d%0ax:%201',
];
const starts = ({ imageId, urlKeys }: KeyedTarget) => [
  '/images/',
  `/images/${imageId}/`,
  `/images/${imageId}`,
  '/jobs/',
  '/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/',
  `/i/${signatureOf(urlKeys.current, `/resize:16x/${imageId}.png`)}/`,
  `/i/unsafe/resize:16x/${imageId}`,
  '/assets/',
  '/upload/',
  '/transform/',
  '/openapi.json/',
  '/imagemesh.v1.ImageService/',
  '/imagemesh.v1.ImageService/GetImage/',
  '//',
  '/',
];

const pathReasons: readonly ErrorReason[] = ['ROUTE_NOT_FOUND', 'SIGNATURE_INVALID'];

function climbing(random: Random, target: KeyedTarget): string {
  const up = Array.from({ length: 1 + below(random, 8) }, () => oneOf(random, climbs)).join(
    oneOf(random, ['/', '%2f', '\\']),
  );
  return `${oneOf(random, starts(target))}${up}/${oneOf(random, ends)}`;
}

const traversal = (random: Random, target: KeyedTarget): PipelinedRequest => ({
  path: climbing(random, target),
  headers: [`x-api-key: ${target.keys.owner}`],
  reasons: pathReasons,
});

/** What is no proper HTTP costs the connection. */
const rawTraversal = (random: Random, target: KeyedTarget) => {
  const at = below(random, 2);
  const path = climbing(random, target).replaceAll(/%00|%5c|%0d%0a|%ff/g, (text) =>
    String.fromCharCode(Number.parseInt(text.slice(1, 3), 16)),
  );
  const head = `host: x\r\nx-api-key: ${target.keys.owner}\r\nconnection: close\r\n\r\n`;
  return Buffer.from(
    at === 0 ? `GET ${path} HTTP/1.1\r\n${head}` : `GET ${path}\0 HTTP/1.1\r\n${head}`,
    'latin1',
  );
};

export const keyedKinds: readonly Kind<KeyedTarget>[] = [
  pipelined('forged signatures', forged),
  pipelined('signatures that have expired', expired),
  pipelined('signatures of keys that were rotated away, or are swapped', rotatedAway),
  pipelined('API keys that nobody has', unknownKey),
  pipelined('no API key, or one in the wrong place', noKey),
  pipelined('API keys that have expired, or were revoked', endedKey),
  pipelined('API keys with the secret of another', swappedKey),
  pipelined('API keys without the scope', wrongScope),
  pipelined('huge API keys', hugeKey),
  pipelined('two API keys at once', twoKeys),
  streams('wrong API keys over gRPC', overGrpc),
  pipelined('path traversal in every route', traversal),
  raw('path traversal in raw bytes', rawTraversal, { ends: false, endings: ['refused'] }),
  ...operationKinds((key, rest) => signatureOf(key, rest)),
];
