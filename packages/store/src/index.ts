/** Blobs and claims (filesystem) and records (JetStream KV), each behind a seam. */
export type {
  BlobStore,
  ByteSource,
  ListedImage,
  PutImageOptions,
  PutOptions,
  ReadableBlob,
  StoredBlob,
} from './blob-store.ts';
export { isListPlace } from './claim-keys.ts';
export { ANONYMOUS, type ClaimPage, type Claims, type ListClaimsOptions, openClaims } from './claims.ts';
export { isImageId } from './file-layout.ts';
export { type NatsRecordsOptions, openNatsRecords, type RecordLink } from './nats-records.ts';
export { checkStoreUrl, openBlobStore, openStore, type Store } from './open-store.ts';
export type { Change, Codec, Entry, Follower, RecordFeed, RecordStore } from './records.ts';
export { type SweepPolicy, type SweepReport, sweepImages } from './sweep.ts';
export { createUlids, isUlid, ulidTime } from './ulid.ts';
export { createUploads, type Upload, type UploadLimits, type Uploads, uploadChunkBytes } from './uploads.ts';
