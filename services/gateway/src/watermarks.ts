/** The images that operations name beside the source. */
import type { Operation } from '@imagemesh/api';
import { MeshError, toMeshError } from '@imagemesh/rpc';
import type { Sources } from './source.ts';

/** Throws IMAGE_NOT_FOUND for a watermark that is not the caller's, ANIMATION_REFUSED for one that moves. */
export async function checkWatermarks(
  sources: Pick<Sources, 'find'>,
  call: { readonly owner: string },
  operations: readonly Operation[],
  path = 'operations',
): Promise<void> {
  for (const [index, { operation }] of operations.entries()) {
    if (operation.case !== 'watermark') continue;
    const field = `${path}[${index}].watermark.image_id`;
    const { info } = await sources.find(call, operation.value.imageId ?? '').catch((error) => {
      const { reason, message, metadata, resource } = toMeshError(error);
      throw new MeshError(reason, `${field}: ${message}`, {
        metadata,
        violations: [{ field, description: message }],
        ...(resource && { resource }),
        cause: error,
      });
    });
    if (info.frames <= 1) continue;
    const description = 'is animated; a watermark is a still image';
    throw new MeshError('ANIMATION_REFUSED', `${field}: ${description}`, {
      violations: [{ field, description }],
    });
  }
}
