/** A mesh whose gateway has API keys and keys of signed URLs, and one image of one caller. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addKey, removeKey, type Scope } from '@imagemesh/keys';
import { quadrants, startMesh, type TestMesh } from '@imagemesh/testkit';
import type { Target } from './target.ts';

/** A key of signed URLs. */
export interface UrlKey {
  readonly id: string;
  readonly secret: Buffer;
}

export interface KeyedTarget extends Target {
  /** Of `keys.owner`. */
  readonly imageId: string;
  readonly urlKeys: { readonly current: UrlKey; readonly second: UrlKey; readonly retired: UrlKey };
  /** Good ones: `owner` may do everything but administer, `reader` only read, `sender` only upload. Bad ones: the rest. */
  readonly keys: Readonly<Record<'owner' | 'reader' | 'sender' | 'expired' | 'revoked', string>>;
}

export interface KeyedMesh {
  readonly mesh: TestMesh;
  readonly target: KeyedTarget;
  stop(): Promise<void>;
}

const urlKey = (id: string, digit: string): UrlKey => ({ id, secret: Buffer.from(digit.repeat(64), 'hex') });

const scopes: Readonly<Record<keyof KeyedTarget['keys'], readonly Scope[]>> = {
  owner: ['transform', 'upload', 'read', 'jobs'],
  reader: ['read'],
  sender: ['upload'],
  expired: ['transform', 'upload', 'read', 'jobs'],
  revoked: ['transform', 'upload', 'read', 'jobs', 'admin'],
};

/** With the limits in time of `env`. Call `stop` in afterAll. */
export async function startKeyedMesh(env: Readonly<Record<string, string>>): Promise<KeyedMesh> {
  const folder = await mkdtemp(join(tmpdir(), 'imagemesh-hostile-'));
  const keyFile = join(folder, 'keys.json');
  const add = (id: keyof KeyedTarget['keys'], more: { expiresAtMs?: number } = {}) =>
    addKey(keyFile, { id, owner: id, scopes: scopes[id], limits: {}, ...more });
  const keys = {
    owner: await add('owner'),
    reader: await add('reader'),
    sender: await add('sender'),
    expired: await add('expired', { expiresAtMs: Date.now() - 1000 }),
    revoked: await add('revoked'),
  };
  const urlKeys = { current: urlKey('k2', 'a'), second: urlKey('k3', 'b'), retired: urlKey('k1', 'c') };
  const lines = [urlKeys.current, urlKeys.second].map(
    ({ id, secret }) => `${id} ${secret.toString('hex')} owner\n`,
  );
  await writeFile(join(folder, 'signing-keys'), lines.join(''));
  const mesh = await startMesh({
    replicas: { resize: 1, filter: 0 },
    env: { ...env, API_KEYS_FILE: keyFile, SIGNING_KEYS_FILE: join(folder, 'signing-keys') },
  });
  const ask = (path: string, key: string, init: RequestInit = {}) =>
    fetch(`${mesh.gatewayUrl}${path}`, { ...init, headers: { 'x-api-key': key, connection: 'close' } });
  const body = Buffer.from(await quadrants({ width: 32, height: 32 }));
  const uploaded = await ask('/upload', keys.owner, { method: 'POST', body });
  // A parse boundary: what POST /upload answers.
  const { image_id: imageId } = (await uploaded.json()) as { image_id: string };
  await removeKey(keyFile, 'revoked');
  // The file is followed: wait until the gateway has read it again.
  while ((await ask(`/images/${imageId}`, keys.revoked)).status !== 401);
  const { hostname: host, port } = new URL(mesh.gatewayUrl);
  return {
    mesh,
    target: { host, port: Number(port), imageId, urlKeys, keys },
    async stop() {
      await mesh.stop();
      await rm(folder, { recursive: true });
    },
  };
}
