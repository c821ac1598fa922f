/** Operations that are no part of a pass: each begins with pixels in memory. */
import { create } from '@bufbuild/protobuf';
import { Fit, Gravity, type Operation, OperationSchema, type Trim } from '@imagemesh/api';
import { cropRect, isSmartGravity, planResize, type Size } from '@imagemesh/image';
import { type CodecOptions, type Opened, openPixels, runToPixels } from '@imagemesh/image/codec';
import type { WorkCall } from '@imagemesh/worker';
import { roundCorners } from './corners.ts';
import { addText } from './overlay/text.ts';
import { addWatermark } from './overlay/watermark.ts';

/** A pipeline and the size of what it makes. */
export interface Sized {
  readonly opened: Opened;
  readonly size: Size;
}

/** Whether the operation is done in a pass (see passes.ts). */
export function isPassOperation({ operation }: Operation): boolean {
  switch (operation.case) {
    case 'resize':
    case 'extend':
    case 'flip':
    case 'rotate':
    case 'selectFrame':
      return true;
    case 'crop':
      return !isSmartGravity(operation.value.gravity);
    default:
      return false;
  }
}

/** A resize that cuts where the pixels say is two operations: the scaling, and a crop. */
export function splitResize(operation: Operation, size: Size): readonly Operation[] {
  if (operation.operation.case !== 'resize') return [operation];
  const { value } = operation.operation;
  if (value.fit !== Fit.COVER || !isSmartGravity(value.gravity)) return [operation];
  const { scaled, result } = planResize(size, value);
  const { kernel, gravity } = value;
  return [
    create(OperationSchema, { operation: { case: 'resize', value: { ...scaled, kernel } } }),
    create(OperationSchema, { operation: { case: 'crop', value: { ...result, gravity } } }),
  ];
}

/** Does one operation on pixels that are settled. Whatever is pending at the end is run by the caller. */
export async function runSingle(
  { opened, size }: Sized,
  { operation }: Operation,
  call: WorkCall,
  options: CodecOptions,
): Promise<Sized> {
  switch (operation.case) {
    case 'trim':
      return trim({ opened, size }, operation.value, options);
    case 'crop': {
      const { width, height } = cropRect(size, operation.value);
      return {
        opened: smartCrop(opened, { width, height }, operation.value.gravity),
        size: { width, height },
      };
    }
    case 'flatten': {
      if (!opened.hasAlpha) return { opened, size };
      const image = opened.image.flatten({ background: operation.value.background ?? '#FFFFFF' });
      return { opened: { ...opened, image, hasAlpha: false }, size };
    }
    case 'roundCorners':
      return { opened: openPixels(await roundCorners(opened, operation.value), options), size };
    case 'watermark': {
      const overlay = await call.loadImage(operation.value.imageId ?? '');
      return { opened: await addWatermark(opened, size, operation.value, overlay, options), size };
    }
    case 'text':
      return { opened: await addText(opened, size, operation.value, options), size };
    default:
      // `validate` has refused everything else.
      throw new Error(`the resize service has no operation ${operation.case}`);
  }
}

/** The size is known once it is done, so it is done at once. */
async function trim({ opened }: Sized, value: Trim, options: CodecOptions): Promise<Sized> {
  const { threshold = 10, background } = value;
  const image = opened.image.trim({ threshold, ...(background !== undefined && { background }) });
  const pixels = await runToPixels({ ...opened, image }, opened.bitDepth, 'pixels');
  const { width, height } = pixels;
  return { opened: openPixels(pixels, options), size: { width, height } };
}

/** libvips finds the place; neither side is scaled. */
function smartCrop(opened: Opened, box: Size, gravity: Gravity | undefined): Opened {
  const position = gravity === Gravity.ENTROPY ? 'entropy' : 'attention';
  const image = opened.image.resize({
    ...box,
    fit: 'cover',
    position,
    withoutReduction: true,
    withoutEnlargement: true,
  });
  return { ...opened, image };
}
