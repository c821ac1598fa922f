/** Opens the store that a URL names, whichever engine that is. */
import { type BlobStore, storeRoot } from './blob-store.ts';
import { createClaims, type SweptClaims } from './claims.ts';
import type { Entries } from './entries.ts';
import { openFileBlobStore } from './file-blob-store.ts';
import { createFileEntries } from './file-entries.ts';

/** Blobs, and what lies beside them. */
export interface Store {
  readonly blobs: BlobStore;
  readonly claims: SweptClaims;
  readonly entries: Entries;
  close(): Promise<void>;
}

/** `file:/var/lib/imagemesh/store` (a relative path counts from the working directory). ConfigError if it cannot be used. */
export async function openStore(url: string): Promise<Store> {
  const root = storeRoot(url);
  const blobs = await openFileBlobStore(root);
  const entries = createFileEntries(root);
  return { blobs, entries, claims: createClaims(entries), close: () => blobs.close() };
}
