/** Opens the store that a URL names, whichever engine that is. */
import { type BlobStore, storeRoot } from './blob-store.ts';
import { createClaims, type SweptClaims } from './claims.ts';
import type { Entries } from './entries.ts';
import { openFileBlobStore } from './file-blob-store.ts';
import { createFileEntries } from './file-entries.ts';
import { parseS3Url } from './s3-location.ts';

/** Blobs, and what lies beside them. */
export interface Store {
  readonly blobs: BlobStore;
  readonly claims: SweptClaims;
  readonly entries: Entries;
  close(): Promise<void>;
}

/**
 * `file:/var/lib/imagemesh/store` (a relative path counts from the working directory), or
 * `s3://bucket/prefix?endpoint=https://host&region=eu-central-1`. ConfigError if it cannot be used.
 */
export async function openStore(url: string, now: () => number = Date.now): Promise<Store> {
  // The AWS SDK takes a moment to load.
  if (url.startsWith('s3:')) return (await import('./s3-store.ts')).openS3Store(url, now);
  const root = storeRoot(url);
  const blobs = await openFileBlobStore(root, now);
  const entries = createFileEntries(root);
  return { blobs, entries, claims: createClaims(entries), close: () => blobs.close() };
}

/** The blobs alone. */
export async function openBlobStore(url: string): Promise<BlobStore> {
  return (await openStore(url)).blobs;
}

/** Throws ConfigError for what can be no store's URL; looks at nothing but the text. */
export function checkStoreUrl(url: string): void {
  if (url.startsWith('s3:')) parseS3Url(url);
  else storeRoot(url);
}
