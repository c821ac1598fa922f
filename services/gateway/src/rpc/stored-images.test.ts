/** ListImages and DeleteImage, on a real store. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  DeleteImageRequestSchema,
  DeleteImageResponseSchema,
  ImageSchema,
  ListImagesRequestSchema,
} from '@imagemesh/api';
import type { EventPublisher } from '@imagemesh/events';
import { newTrace } from '@imagemesh/observe';
import { openBlobStore, openClaims } from '@imagemesh/store';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { IncomingCall } from '../call.ts';
import { createClaimsCache } from '../claims-cache.ts';
import { everybody } from '../identity/caller.ts';
import { createMemoryBudget } from '../memory-budget.ts';
import { deleteImage } from './delete-image.ts';
import { getImage } from './get-image.ts';
import { listImages } from './list-images.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-images-'));
});
afterAll(() => rm(folder, { recursive: true }));

function callOf(owner: string): IncomingCall {
  const { signal } = new AbortController();
  return {
    caller: everybody,
    budget: createMemoryBudget(1),
    owner,
    requestId: 'r',
    trace: newTrace(),
    signal,
    clientDeadline: undefined,
  };
}

async function openImages() {
  const url = `file:${folder}/${randomBytes(4).toString('hex')}`;
  const store = await openBlobStore(url);
  const claims = createClaimsCache(openClaims(url));
  const said: string[] = [];
  const events: EventPublisher = {
    publish: async () => {},
    offer: ({ type, subject }) => said.push(`${type} ${subject}`),
  };
  const parts = { store, claims, events };
  let createdMs = 1_700_000_000_000;
  return {
    said,
    get: getImage(claims),
    list: listImages(claims),
    remove: deleteImage(parts),
    pathOf: (id: string) => join(url.slice('file:'.length), 'images', id.slice(0, 2), id),
    async put(owner: string, text: string) {
      const { id } = await store.putImage(Buffer.from(text), { maxBytes: 100 });
      createdMs += 1000;
      return claims.add(
        owner,
        create(ImageSchema, { id, filename: text, createTime: timestampFromMs(createdMs) }),
      );
    },
  };
}

it('lists what the caller stored in pages, newest first, and 50 in a page unless asked otherwise', async () => {
  const { put, list } = await openImages();
  for (let at = 0; at < 60; at += 1) await put('a', `image ${at}`);
  await put('b', 'image 7');
  const first = await list(create(ListImagesRequestSchema), callOf('a'));
  expect(first.images.map(({ filename }) => filename)).toEqual(
    Array.from({ length: 50 }, (_, at) => `image ${59 - at}`),
  );
  const rest = await list(
    create(ListImagesRequestSchema, { pageToken: first.nextPageToken, pageSize: 1000 }),
    callOf('a'),
  );
  expect(rest.images.map(({ filename }) => filename)).toEqual(
    Array.from({ length: 10 }, (_, at) => `image ${9 - at}`),
  );
  expect(rest.nextPageToken).toBe('');
  expect((await list(create(ListImagesRequestSchema), callOf('b'))).images).toHaveLength(1);
  for (const pageToken of ['nonsense', Buffer.from('12345/67/../../x').toString('base64url')]) {
    await expect(list(create(ListImagesRequestSchema, { pageToken }), callOf('a'))).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
      violations: [{ field: 'page_token' }],
    });
  }
});

it('deletes for the caller alone, says so once, and answers the same again', async () => {
  const { put, get, list, remove, said, pathOf } = await openImages();
  const { id: imageId } = await put('a', 'shared');
  await put('b', 'shared');
  const longAgo = new Date(0);
  await utimes(pathOf(imageId), longAgo, longAgo);
  const request = create(DeleteImageRequestSchema, { imageId });
  for (let time = 0; time < 2; time += 1) {
    expect(await remove(request, callOf('a'))).toEqual(create(DeleteImageResponseSchema));
  }
  expect(said).toEqual([`imagemesh.image.deleted ${imageId}`]);
  await expect(get({ imageId } as never, callOf('a'))).rejects.toMatchObject({ reason: 'IMAGE_NOT_FOUND' });
  expect((await list(create(ListImagesRequestSchema), callOf('a'))).images).toEqual([]);
  expect((await get({ imageId } as never, callOf('b'))).image?.id).toBe(imageId);
  // Calls that have found it go on: the bytes count as just needed.
  expect((await stat(pathOf(imageId))).mtimeMs).toBeGreaterThan(Date.now() - 60_000);
  const unknown = createHash('sha256').update('unknown').digest('hex');
  await remove(create(DeleteImageRequestSchema, { imageId: unknown }), callOf('a'));
  expect(said).toHaveLength(1);
});
