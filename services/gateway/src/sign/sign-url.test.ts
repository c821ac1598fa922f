/** URLs as `imagemesh sign` prints them, fetched from a gateway as a browser does. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunningService } from '@imagemesh/observe';
import type { RpcServer } from '@imagemesh/rpc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePresets } from '../presets.ts';
import { parseSigningKeys } from '../rest/signing.ts';
import { png, upload } from '../testing/gateways.ts';
import { encoded, type Seen, startPeer } from '../testing/peer.ts';
import { startTestGateway } from '../testing/test-gateway.ts';
import { readCommand } from './config.ts';
import { signUrl } from './sign-url.ts';

const keysText = `k1 ${'5a'.repeat(32)}\n`;
const presetsText = 'thumb grayscale\n';
const [key] = parseSigningKeys(keysText, 'keys');
const findPreset = parsePresets(presetsText, 'presets');
const nowMs = Date.now();

let folder: string;
let peer: RpcServer;
let seen: readonly Seen[];
let gateway: RunningService;
let id: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sign-url-'));
  await writeFile(join(folder, 'keys'), keysText);
  await writeFile(join(folder, 'presets'), presetsText);
  const started = await startPeer(encoded);
  peer = started.server;
  seen = started.seen;
  gateway = await startTestGateway(folder, {
    BALANCER_ADDRESSES: started.address,
    SIGNING_KEYS_FILE: join(folder, 'keys'),
    PRESETS_FILE: join(folder, 'presets'),
  });
  id = await upload(gateway.address, png);
});
afterAll(async () => {
  await gateway.close(1000);
  await peer.close(0);
  await rm(folder, { recursive: true });
});

/** By the arguments of a command line. */
function sign(...args: readonly string[]): string {
  const command = readCommand(['--base', `http://${gateway.address}`, ...args], {}, nowMs);
  if (command.kind !== 'sign' || key === undefined) throw new Error('no URL was asked for');
  return signUrl(command.request, key, findPreset);
}

describe('a signed URL', () => {
  it.each([
    ['without operations', '', []],
    ['with operations', 'resize:30x20,cover/rotate:90', ['resize', 'rotate']],
    ['with a preset', 'preset:thumb/flip:horizontal', ['grayscale', 'flip']],
    ['with a text that browsers encode', 'text:Why so "small"%3F é', ['text']],
    ['with a text that has a # and a ? in it', 'text:what?,color=ff0000/text:no. #1', ['text', 'text']],
  ])('%s is answered with what it says', async (_name, operations, names) => {
    const before = seen.length;
    const reply = await fetch(sign(id, operations, '--format', 'webp'));
    expect(reply.status, await reply.clone().text()).toBe(200);
    expect(reply.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    const run = seen
      .slice(before)
      .flatMap(({ spec }) => spec.operations.map(({ operation }) => operation.case));
    expect(run).toEqual(names);
  });

  it('is good until it expires', async () => {
    const reply = await fetch(sign(id, 'sepia', '--expires', '1h'));
    expect(reply.status).toBe(200);
    const [, seconds] = /max-age=(\d+)/.exec(reply.headers.get('cache-control') ?? '') ?? [];
    expect(Number(seconds)).toBeGreaterThan(3500);
    expect(Number(seconds)).toBeLessThan(3602);
    expect(sign(id, '', '--expires', '2100-01-01T00:00:00Z')).toContain('/i/k1.4102444800.');
  });

  it('begins with what it is told to', () => {
    expect(sign(id, '', '--base', '')).toMatch(/^\/i\/k1\./);
    expect(sign(id, '', '--base', 'https://img.example/')).toMatch(/^https:\/\/img\.example\/i\/k1\./);
  });
});

describe('what would not be answered is not signed', () => {
  it.each([
    [['abc'], 'ID: must be the id of an image'],
    [['ID', 'resize:0x'], 'ops: at character'],
    [['ID', 'blurr'], 'ops: at character 1, "blurr"'],
    [['ID', 'preset:none'], 'there is no preset "none"'],
    [['ID', '', '--format', 'bmp'], '--format: must be one of'],
    [['ID', '', '--expires', '2001-01-01'], '--expires 2001-01-01 is not valid'],
    [['ID', '', '--expires', 'soon'], '--expires soon is not valid'],
    [['ID', '', 'more'], 'unexpected argument "more"'],
    [[], 'needs the id of an image'],
    [['--nope'], "Unknown option '--nope'"],
  ])('%j', (args, message) => {
    expect(() => sign(...args.map((arg) => (arg === 'ID' ? id : arg)))).toThrow(message);
  });
});
