/** The store agent's second half: where a result goes. */

import { create } from '@bufbuild/protobuf';
import { type BlobRef, BlobRefSchema, Destination, type WorkSpec } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import type { Formatted } from './agents.ts';

/** Results for the next stage travel in chunks up to here, beyond as a temporary blob (worker.proto). */
const maxInlineTemporaryBytes = 16 * 1024 * 1024;

/** The blob that now holds the result; undefined where it goes into the reply's chunks. */
export async function saveResult(
  { destination }: Pick<WorkSpec, 'destination'>,
  { bytes }: Pick<Formatted, 'bytes'>,
  store: BlobStore | undefined,
  signal: AbortSignal,
): Promise<BlobRef | undefined> {
  const options = { maxBytes: bytes.length, signal };
  switch (destination) {
    case Destination.IMAGE: {
      const { id } = await needStore(store).putImage(bytes, options);
      return create(BlobRefSchema, { key: { case: 'imageId', value: id } });
    }
    case Destination.TEMPORARY: {
      if (bytes.length <= maxInlineTemporaryBytes) return undefined;
      const { id } = await needStore(store).putTemporary(bytes, options);
      return create(BlobRefSchema, { key: { case: 'temporaryId', value: id } });
    }
    default:
      return undefined;
  }
}

function needStore(store: BlobStore | undefined): BlobStore {
  if (store !== undefined) return store;
  throw new MeshError('STORE_FAILED', 'the result was to be stored, but this replica shares no store');
}
