/** Names of blobs, as replicas are told them. */
import { create } from '@bufbuild/protobuf';
import { type BlobRef, BlobRefSchema } from '@imagemesh/api';

/** A reference to a stored image. */
export function imageRef(imageId: string): BlobRef {
  return create(BlobRefSchema, { key: { case: 'imageId', value: imageId } });
}

/** A reference to a temporary blob. */
export function temporaryRef(temporaryId: string): BlobRef {
  return create(BlobRefSchema, { key: { case: 'temporaryId', value: temporaryId } });
}
