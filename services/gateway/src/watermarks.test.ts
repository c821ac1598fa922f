import { create } from '@bufbuild/protobuf';
import { Format, ImageInfoSchema, type Operation, OperationSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { expect, it } from 'vitest';
import { imageNotFound } from './inner-errors.ts';
import { checkWatermarks } from './watermarks.ts';

const [still, moving, foreign] = ['a', 'b', 'c'].map((digit) => digit.repeat(64));

const sources = {
  async find({ owner }: { readonly owner: string }, imageId: string) {
    if (owner !== 'me' || (imageId !== still && imageId !== moving)) throw imageNotFound(imageId);
    const info = create(ImageInfoSchema, { format: Format.GIF, frames: imageId === moving ? 2 : 1 });
    return { info, sizeBytes: 1, bytes: new Uint8Array(1) };
  },
};

const watermark = (imageId: string | undefined): Operation =>
  create(OperationSchema, { operation: { case: 'watermark', value: { imageId } } });
const blur = create(OperationSchema, { operation: { case: 'blur', value: {} } });

async function refusal(owner: string, ...operations: Operation[]) {
  const error = await checkWatermarks(sources, { owner }, operations, 'variants[1].operations').then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof MeshError
    ? [error.reason, error.violations[0]?.field, error.resource?.name]
    : error;
}

it('takes still images of the caller', async () => {
  expect(await refusal('me', blur, watermark(still), watermark(still))).toBeUndefined();
  expect(await refusal('you', blur)).toBeUndefined();
});

it("names the operation whose image is not the caller's, not there or not still", async () => {
  const at = 'variants[1].operations[1].watermark.image_id';
  expect(await refusal('me', blur, watermark(foreign))).toEqual(['IMAGE_NOT_FOUND', at, foreign]);
  expect(await refusal('you', blur, watermark(still))).toEqual(['IMAGE_NOT_FOUND', at, still]);
  expect(await refusal('me', watermark(still), watermark(moving))).toEqual([
    'ANIMATION_REFUSED',
    at,
    undefined,
  ]);
});
