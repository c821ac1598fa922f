/** Presets and the keys that sign URLs, from real files that change while they are in use. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { createLogger, type RunningService } from '@imagemesh/observe';
import type { RpcServer } from '@imagemesh/rpc';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openPresets } from './presets.ts';
import { openSigningKeys, parseSigningKeys, signPath } from './rest/signing.ts';
import { encoded, startPeer } from './testing/peer.ts';
import { startTestGateway } from './testing/test-gateway.ts';

const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);
const line = (id: string, digit: string) => `${id} ${digit.repeat(64)}\n`;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'setting-file-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** As editors and secret mounts do it. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

function listen() {
  const lines: string[] = [];
  const destination = new PassThrough({ encoding: 'utf8' });
  destination.on('data', (text: string) => lines.push(...text.trim().split('\n')));
  const settings = { log: createLogger({ name: 'test', destination }), everyMs: 10 };
  return { settings, errors: () => lines.filter((text) => text.includes('"level":"error"')) };
}

describe('a file of settings that changes', () => {
  it('is read again, and where it is broken those before hold and one line says why', async () => {
    const path = join(folder, 'presets');
    await writeFile(path, 'thumb blur:5\n');
    const { settings, errors } = listen();
    const presets = await openPresets(path, settings);
    try {
      expect(presets.find('poster')).toBeUndefined();
      await replace(path, 'thumb blur:5\nposter grayscale\n');
      await vi.waitFor(() => expect(presets.find('poster')?.operations).toHaveLength(1));

      await replace(path, 'thumb blur:5\nposter grayscale\nodd blur:4\n');
      await vi.waitFor(() => expect(errors()).toHaveLength(1));
      expect(errors()[0]).toContain('presets:3: at character 6');
      expect(presets.find('poster')?.operations).toHaveLength(1);
      expect(presets.find('odd')).toBeUndefined();

      await rm(path);
      await vi.waitFor(() => expect(errors()).toHaveLength(2));
      expect(presets.find('thumb')?.operations).toHaveLength(1);

      await replace(path, 'odd blur:3\n');
      await vi.waitFor(() => expect(presets.find('odd')?.operations).toHaveLength(1));
      expect(presets.find('thumb')).toBeUndefined();
      expect(errors()).toHaveLength(2);
    } finally {
      presets.close();
    }
  });

  it('keeps the keys that sign URLs, and says no secret in the log', async () => {
    const path = join(folder, 'keys');
    await writeFile(path, line('old', 'a'));
    const { settings, errors } = listen();
    const keys = await openSigningKeys(path, settings);
    try {
      await replace(path, line('old', 'a') + line('young', 'b').replace('bb', 'bg'));
      await vi.waitFor(() => expect(errors()).toHaveLength(1));
      expect(errors()[0]).toContain('keys:2: the secret');
      expect(errors()[0]).not.toContain('bbbb');
      expect(keys.current.map(({ id }) => id)).toEqual(['old']);
      await replace(path, line('young', 'b'));
      await vi.waitFor(() => expect(keys.current.map(({ id }) => id)).toEqual(['young']));
    } finally {
      keys.close();
    }
  });
});

describe('a gateway', () => {
  let peer: RpcServer;
  let gateway: RunningService;
  const keysPath = () => join(folder, 'signing-keys');
  const presetsPath = () => join(folder, 'gateway-presets');
  beforeAll(async () => {
    await writeFile(keysPath(), line('old', 'a'));
    await writeFile(presetsPath(), 'plain grayscale\n');
    const { address, server } = await startPeer(encoded);
    peer = server;
    gateway = await startTestGateway(folder, {
      BALANCER_ADDRESSES: address,
      SIGNING_KEYS_FILE: keysPath(),
      PRESETS_FILE: presetsPath(),
    });
  });
  afterAll(async () => {
    await gateway.close(1000);
    await peer.close(0);
  });

  it('takes URLs by the keys and presets that hold now', async () => {
    const base = `http://${gateway.address}`;
    const upload = await fetch(`${base}/upload`, { method: 'POST', body: png });
    const { image_id: id } = (await upload.json()) as { image_id: string };
    const [old, young] = parseSigningKeys(line('old', 'a') + line('young', 'b'), 'keys');
    if (old === undefined || young === undefined) throw new Error('two keys were given');
    const status = async (key: typeof old, preset: string) => {
      const rest = `/preset:${preset}/${id}.png`;
      return (await fetch(`${base}/i/${signPath(key, rest)}${rest}`)).status;
    };
    expect(await Promise.all([status(old, 'plain'), status(young, 'plain'), status(old, 'thumb')])).toEqual([
      200, 403, 400,
    ]);
    await replace(keysPath(), line('young', 'b'));
    await replace(presetsPath(), 'thumb blur:5\n');
    await vi.waitFor(
      async () =>
        expect(
          await Promise.all([status(old, 'thumb'), status(young, 'thumb'), status(young, 'plain')]),
        ).toEqual([403, 200, 400]),
      { timeout: 10_000, interval: 50 },
    );
  });
});
