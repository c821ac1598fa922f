/** Opens a store in an S3 bucket. */
import { ConfigError } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import type { BlobStore } from './blob-store.ts';
import { createClaims } from './claims.ts';
import type { Store } from './open-store.ts';
import { openS3BlobStore } from './s3-blob-store.ts';
import { openS3Bucket, type S3Bucket } from './s3-bucket.ts';
import { createS3Entries } from './s3-entries.ts';
import { parseS3Url } from './s3-location.ts';

export async function openS3Store(url: string, now: () => number): Promise<Store> {
  const location = parseS3Url(url);
  const bucket = openS3Bucket(location);
  const blobs = await openBlobs(bucket, `${location.bucket} at ${location.endpoint ?? 'AWS'}`, now);
  const entries = createS3Entries(bucket);
  return { blobs, entries, claims: createClaims(entries), close: () => blobs.close() };
}

async function openBlobs(bucket: S3Bucket, name: string, now: () => number): Promise<BlobStore> {
  try {
    return await openS3BlobStore(bucket, now);
  } catch (error) {
    bucket.close();
    const why =
      error instanceof MeshError && error.cause instanceof Error ? error.cause.message : String(error);
    throw new ConfigError(`STORE_URL: the bucket ${name} cannot be used for the store (${why})`, {
      cause: error,
    });
  }
}
