/** Gateways that each have one thing wrong with them, in front of one stand-in for the mesh. For tests. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageService, UploadService } from '@imagemesh/api';
import { addKey, type KeyLimits, type Scope } from '@imagemesh/keys';
import type { RunningService } from '@imagemesh/observe';
import { createGrpcClient, REQUEST_ID_HEADER } from '@imagemesh/rpc';
import { openStore } from '@imagemesh/store';
import type { Headers } from './error-replies.ts';
import { startFailingS3 } from './failing-s3.ts';
import { type Seen, startPeer } from './peer.ts';
import { meshSays } from './provoke.ts';
import { speaking } from './speaking-peer.ts';
import { startTestGateway } from './test-gateway.ts';

/** A whole PNG: 1x1 px, red. */
export const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);
/** Its secret in hexadecimal is 32 times 5a. */
export const signingKey = { id: 'k1', secret: Buffer.alloc(32, 0x5a), owner: 'alice' };

/** An image with other bytes, and so another id, each time. */
let images = 0;
export function newImage(): Buffer {
  images += 1;
  return Buffer.concat([png, Buffer.from(`image ${images}`)]);
}

export type TestGateways = Awaited<ReturnType<typeof startGateways>>;

export async function startGateways() {
  const folder = await mkdtemp(join(tmpdir(), 'imagemesh-errors-'));
  const closing: (() => Promise<unknown>)[] = [];
  const { address: mesh, server, seen } = await startPeer(speaking);
  closing.push(() => server.close(0));

  async function start(name: string, env: Readonly<Record<string, string>> = {}): Promise<RunningService> {
    const dataDir = join(folder, name);
    await mkdir(dataDir, { recursive: true });
    const gateway = await startTestGateway(dataDir, { BALANCER_ADDRESSES: mesh, ...env });
    closing.push(() => gateway.close(500));
    return gateway;
  }

  const keysPath = join(folder, 'keys.json');
  const newKey = (id: string, scopes: readonly Scope[], more: { expiresAtMs?: number; limits?: KeyLimits }) =>
    addKey(keysPath, { id, owner: id, scopes, limits: {}, ...more });
  const keys = {
    old: await newKey('old', ['read'], { expiresAtMs: Date.now() - 1 }),
    reader: await newKey('reader', ['read'], {}),
    spent: await newKey('spent', ['transform', 'upload'], { limits: { bytesPerMinute: 1 } }),
  };
  const signingPath = join(folder, 'signing-keys');
  await writeFile(signingPath, `k1 ${signingKey.secret.toString('hex')} alice\n`);

  const plain = await start('plain', { ALLOW_UNSAFE_URLS: 'true' });
  const keyed = await start('keyed', { API_KEYS_FILE: keysPath, SIGNING_KEYS_FILE: signingPath });
  await fetch(`http://${keyed.address}/upload`, {
    method: 'POST',
    body: png,
    headers: { 'x-api-key': keys.spent },
  });

  const tight = await start('tight', { MAX_CALLS: '1', MAX_UPLOADS: '1' });
  const uploads = createGrpcClient(UploadService, tight.address);
  await uploads.startUpload({ sizeBytes: 10n });
  uploads.close();
  const leaving = await occupy(tight.address, seen);
  closing.push(async () => leaving());

  // Bytes that were there before it starts are what its first sweep finds.
  const store = await openStore(`file:${join(folder, 'full')}/store`);
  await store.blobs.putImage(png, { maxBytes: 1000 });
  await store.close();
  const full = await start('full', { STORE_MAX_BYTES: '1' });

  const broken = await start('broken');
  await rm(join(folder, 'broken/store'), { recursive: true });
  await writeFile(join(folder, 'broken/store'), 'no folder');

  const s3 = await startFailingS3();
  closing.push(s3.close);
  const cut = await start('cut', { STORE_URL: s3.url });
  s3.fail();

  return {
    folder,
    keys,
    seen,
    start,
    plain: plain.address,
    keyed: keyed.address,
    tight: tight.address,
    full: full.address,
    broken: broken.address,
    cut: cut.address,
    /** Reads what replicas of another store cannot. */
    elsewhere: (await start('elsewhere')).address,
    /** No balancer is there. */
    alone: (await start('alone', { BALANCER_ADDRESSES: '127.0.0.1:1' })).address,
    async close() {
      for (const close of closing.reverse()) await close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Uses the one call that the gateway allows, until the function is called. */
async function occupy(address: string, seen: readonly Seen[]): Promise<() => void> {
  const client = createGrpcClient(ImageService, address);
  const leaving = new AbortController();
  const source = { source: { case: 'data', value: png } } as const;
  const metadata = meshSays('never-occupying');
  client.transform({ source }, { signal: leaving.signal, metadata }).catch(() => {});
  await hasCome(seen, metadata);
  return () => {
    leaving.abort();
    client.close();
  };
}

/** Until the call with these headers has come to the mesh. */
export async function hasCome(seen: readonly Seen[], headers: Headers): Promise<void> {
  const id = headers[REQUEST_ID_HEADER];
  while (!seen.some((call) => call.headers[REQUEST_ID_HEADER] === id)) await new Promise(setImmediate);
}

/** Stores an image and says its id. */
export async function upload(address: string, bytes: Uint8Array = newImage()): Promise<string> {
  const reply = await fetch(`http://${address}/upload`, { method: 'POST', body: bytes });
  // A parse boundary: the API says so.
  const { image_id: id } = (await reply.json()) as { image_id: string };
  return id;
}

/** Begins a resumable upload and says its id. */
export async function beginUpload(address: string, sizeBytes: number): Promise<string> {
  const { uploadId } = await callUploads(address, 'StartUpload', { sizeBytes });
  return String(uploadId);
}

/** A resumable upload of which all bytes have come. */
export async function fillUpload(address: string, bytes: Buffer): Promise<string> {
  const uploadId = await beginUpload(address, bytes.length);
  await callUploads(address, 'WriteChunk', { uploadId, data: bytes.toString('base64') });
  return uploadId;
}

async function callUploads(address: string, method: string, body: object): Promise<Record<string, unknown>> {
  const reply = await fetch(`http://${address}/imagemesh.v1.UploadService/${method}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  // A parse boundary: messages are objects.
  return (await reply.json()) as Record<string, unknown>;
}
