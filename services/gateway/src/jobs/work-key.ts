/** What makes two pieces of work the same. */
import { createHash } from 'node:crypto';
import { toJson } from '@bufbuild/protobuf';
import { type Variant, VariantSchema } from '@imagemesh/api';

/** Raise it when the same operations come to make other pixels. */
const workVersion = 1;

/** The same for variants of one image that differ in nothing but their name: 32 hexadecimal digits. */
export function workKey(imageId: string, { operations, output }: Variant): string {
  const canonical = toJson(VariantSchema, {
    $typeName: 'imagemesh.v1.Variant',
    name: '',
    operations,
    ...(output && { output }),
  });
  return createHash('sha256')
    .update(JSON.stringify([workVersion, imageId, canonical]))
    .digest('hex')
    .slice(0, 32);
}
