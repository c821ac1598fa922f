import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Format, ImageSchema } from '@imagemesh/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ANONYMOUS, openClaims } from './claims.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'imagemesh-claims-'));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const image = (filename: string) =>
  create(ImageSchema, {
    id: 'ab'.repeat(32),
    info: { format: Format.PNG, width: 3, height: 2, sizeBytes: 70n },
    filename,
    createTime: { seconds: 1_700_000_000n, nanos: 0 },
  });

test('the first claim stands, whoever else comes, and each owner has its own', async () => {
  const claims = openClaims(`file:${root}`);
  expect(await claims.get(ANONYMOUS, image('').id)).toBeUndefined();
  const added = await Promise.all(['a', 'b', 'c'].map((name) => claims.add(ANONYMOUS, image(name))));
  const first = await claims.get(ANONYMOUS, image('').id);
  expect(new Set([...added, first].map((claim) => claim?.filename)).size).toBe(1);
  expect(first).toEqual(image(first?.filename ?? ''));
  expect(await claims.get('somebody', image('').id)).toBeUndefined();
  expect((await claims.add('somebody', image('mine'))).filename).toBe('mine');
  expect(await readdir(join(root, 'incoming'))).toEqual([]);
});

test('what can be no claim is none', async () => {
  const claims = openClaims(`file:${root}`);
  expect(await claims.get('../x', image('').id)).toBeUndefined();
  expect(await claims.get(ANONYMOUS, '../../store-id')).toBeUndefined();
  await expect(claims.add('../x', image(''))).rejects.toMatchObject({ reason: 'INTERNAL' });
});
