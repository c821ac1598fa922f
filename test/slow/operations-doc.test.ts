/**
 * docs/operations.md and its pictures are fresh: the text is what the API says of itself, each picture is what a mesh makes of
 * the example. `npm run docs:operations` writes them anew.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { JsonObject } from '@bufbuild/protobuf';
import { fromJson } from '@bufbuild/protobuf';
import { ListOperationsResponseSchema } from '@imagemesh/api';
import { portrait, startMesh, type TestMesh } from '@imagemesh/testkit';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { onPortrait, operationExamples, preparations } from '../docs/examples.ts';
import { operationsPage } from '../docs/operations-page.ts';
import { paintScene, sceneSize } from '../docs/scene.ts';

const isUpdate = process.env.UPDATE_DOCS === '1';
const docs = new URL('../../docs/', import.meta.url);
const output = { format: 'FORMAT_WEBP', quality: 82, effort: 9 };

let mesh: TestMesh;
let scene: Buffer;
let face: Buffer;
/** Stands in the page in place of the id, which is a digest of bytes that another encoder writes otherwise. */
const shownId = '<image id>';

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: false });
  scene = await paintScene();
  face = await portrait(sceneSize);
}, 60_000);

afterAll(() => mesh?.stop());

it('the text is what the API says', async () => {
  const response = fromJson(ListOperationsResponseSchema, await call('ListOperations', {}));
  const examples = operationExamples(shownId);
  expect(Object.keys(examples).sort()).toEqual(response.operations.map(({ name }) => name).sort());
  const page = operationsPage(response, examples);
  if (isUpdate) await writeFile(new URL('operations.md', docs), page);
  expect(await readFile(new URL('operations.md', docs), 'utf8')).toBe(page);
});

it('every picture is what the mesh makes of its example', async () => {
  const examples = operationExamples(await storeWatermark());
  await mkdir(new URL('operations/', docs), { recursive: true });
  await check('before', [], scene);
  await check('before-portrait', [], face);
  for (const [name, example] of Object.entries(examples)) {
    const operations = [...(preparations[name] ?? []), { [name]: example }];
    await check(name, operations, onPortrait.has(name) ? face : scene);
  }
}, 60_000);

async function check(name: string, operations: readonly JsonObject[], before: Buffer): Promise<void> {
  const source = { data: before.toString('base64') };
  const made = await call('Transform', { source, operations: [...operations], output });
  const bytes = Buffer.from(String(made.data), 'base64');
  const file = new URL(`operations/${name}.webp`, docs);
  if (isUpdate) await writeFile(file, bytes);
  const [now, then] = await Promise.all([bytes, await readFile(file)].map(pixelsOf));
  expect(then?.info, name).toMatchObject({ width: now?.info.width, height: now?.info.height });
  // Encoders and processors differ a little; another picture differs a lot.
  expect(meanDifference(now?.data, then?.data), name).toBeLessThan(4);
}

function pixelsOf(bytes: Buffer) {
  return sharp(bytes).flatten({ background: '#FFFFFF' }).raw().toBuffer({ resolveWithObject: true });
}

function meanDifference(a = Buffer.alloc(0), b = Buffer.alloc(0)): number {
  let sum = 0;
  for (const [at, level] of a.entries()) sum += Math.abs(level - (b[at] ?? 0));
  return sum / a.length;
}

async function storeWatermark(): Promise<string> {
  const ring = Buffer.alloc(48 * 48 * 4);
  for (let at = 0; at < 48 * 48; at++) {
    const distance = Math.hypot((at % 48) - 23.5, Math.floor(at / 48) - 23.5);
    ring.set([255, 255, 255, distance > 12 && distance < 18 ? 255 : 0], at * 4);
  }
  const png = await sharp(ring, { raw: { width: 48, height: 48, channels: 4 } })
    .png()
    .toBuffer();
  const reply = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body: new Uint8Array(png) });
  return String(JSON.parse(await reply.text()).image_id);
}

async function call(method: string, body: JsonObject): Promise<JsonObject> {
  const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.ImageService/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${method}: ${text}`);
  return JSON.parse(text);
}
