/** What services and the store say to each other, as a client is told: it knows images and a mesh, not blobs and slots. */
import { type ClientReason, type InnerReason, isInnerReason, MeshError } from '@imagemesh/rpc';
import type { BlobStore, ReadableBlob } from '@imagemesh/store';

interface Told {
  readonly reason: ClientReason;
  /** Public; undefined: what the service says. */
  readonly message?: string;
}

const told: Readonly<Record<InnerReason, Told>> = {
  REPLICA_BUSY: { reason: 'NO_REPLICA' },
  REPLICA_STOPPING: { reason: 'NO_REPLICA' },
  BLOB_NOT_FOUND: { reason: 'STORE_FAILED', message: 'bytes that were stored for a moment are gone' },
  CANCELLED: { reason: 'REPLICA_LOST', message: 'the replica gave the work up' },
  // Said to replicas that join; to a gateway by mistake.
  REPLICA_ID_TAKEN: { reason: 'INTERNAL', message: 'something went wrong inside' },
  JOIN_REFUSED: { reason: 'INTERNAL', message: 'something went wrong inside' },
};

export interface StageContext {
  /** A caller that has left has cancelled: that stays as it is. */
  readonly signal: AbortSignal;
  /** The caller's image that is meant where the bytes of `name` are gone. */
  readonly missingId: (name: string | undefined) => string | undefined;
}

/** What a stage failed with, in the words for clients; other errors as they are. */
export function toClientError(error: MeshError, { signal, missingId }: StageContext): MeshError {
  const { reason, metadata, resource } = error;
  if (!isInnerReason(reason) || (reason === 'CANCELLED' && signal.aborted)) return error;
  const imageId = reason === 'BLOB_NOT_FOUND' ? missingId(resource?.name) : undefined;
  if (imageId !== undefined) {
    return new MeshError('IMAGE_NOT_FOUND', `image ${imageId} is not in the store`, {
      resource: { type: 'image', name: imageId },
      cause: error,
    });
  }
  const { reason: outer, message = error.message } = told[reason];
  return new MeshError(outer, message, { metadata, cause: error });
}

export function imageNotFound(imageId: string): MeshError {
  return new MeshError('IMAGE_NOT_FOUND', `there is no image ${imageId}`, {
    resource: { type: 'image', name: imageId },
  });
}

/** For what the store says when an image is read that was claimed. */
export function imageGone(error: unknown, imageId: string): unknown {
  return error instanceof MeshError && error.reason === 'BLOB_NOT_FOUND' ? imageNotFound(imageId) : error;
}

/** A temporary blob that this call holds. */
export async function readHeld(store: Pick<BlobStore, 'readTemporary'>, id: string): Promise<ReadableBlob> {
  try {
    return await store.readTemporary(id);
  } catch (error) {
    if (!(error instanceof MeshError) || error.reason !== 'BLOB_NOT_FOUND') throw error;
    const { reason, message } = told.BLOB_NOT_FOUND;
    throw new MeshError(reason, message ?? error.message, { cause: error });
  }
}
