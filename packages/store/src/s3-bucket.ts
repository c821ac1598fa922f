/** One bucket, as the rest of the S3 engine sees it: keys under a prefix, errors of the mesh. The door to the AWS SDK. */
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { httpStatus, isMissing, toS3StoreError } from './s3-errors.ts';
import type { S3Location } from './s3-location.ts';

export interface S3Object {
  readonly key: string;
  readonly sizeBytes: number;
  /** By the server's clock, in ms since the epoch; whole seconds. */
  readonly modifiedMs: number;
}

export interface S3Bucket {
  /** With `isNew`, false and nothing changed if the key is taken. */
  put(key: string, bytes: Uint8Array, options?: PutObjectOptions): Promise<boolean>;
  /** In parts of 8 MiB, of which two are in memory. */
  putStream(key: string, source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  head(key: string, signal?: AbortSignal): Promise<S3Object | undefined>;
  /** The bytes from start up to but not including end; undefined where there is none. */
  get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable | undefined>;
  /** False where there is none. The same key: its time is now. */
  copy(from: string, to: string, signal?: AbortSignal): Promise<boolean>;
  remove(key: string): Promise<void>;
  /** In the order of their keys, those after `after`. */
  list(folder: string, after?: string): AsyncIterable<S3Object>;
  /** Ends uploads in parts under the folder that began before then; how many. */
  abortUploads(folder: string, beforeMs: number): Promise<number>;
  close(): void;
}

export interface PutObjectOptions {
  readonly isNew?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const partBytes = 8 * 1024 * 1024;
const connectTimeoutMs = 3000;
const answerTimeoutMs = 15_000;
/** Longer than a reply may wait for its reader (STALL_TIMEOUT_MS). */
const idleTimeoutMs = 90_000;
const maxSockets = 64;
/** Of one request, by the SDK, with pauses that grow. */
const maxAttempts = 3;
const maxConflicts = 5;

export function openS3Bucket({ bucket, prefix, endpoint, region }: S3Location): S3Bucket {
  const client = new S3Client({
    region,
    maxAttempts,
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
    // Images are verified by their digest; other servers than AWS do not know all checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connectTimeoutMs,
      requestTimeout: answerTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: idleTimeoutMs,
      httpAgent: { maxSockets, keepAlive: true },
      httpsAgent: { maxSockets, keepAlive: true },
    }),
  });
  const at = (key: string) => ({ Bucket: bucket, Key: `${prefix}${key}` });
  const abortable = (signal: AbortSignal | undefined) =>
    signal === undefined ? {} : { abortSignal: signal };

  async function translating<Result>(
    doing: string,
    run: () => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    try {
      return await run();
    } catch (error) {
      throw toS3StoreError(error, doing, signal);
    }
  }

  async function unlessMissing<Result>(doing: string, run: () => Promise<Result>, signal?: AbortSignal) {
    return translating(
      doing,
      async () => {
        try {
          return await run();
        } catch (error) {
          if (isMissing(error)) return undefined;
          throw error;
        }
      },
      signal,
    );
  }

  async function put(
    key: string,
    bytes: Uint8Array,
    { isNew = false, signal }: PutObjectOptions = {},
  ): Promise<boolean> {
    const input = { ...at(key), Body: bytes, ...(isNew && { IfNoneMatch: '*' }) };
    for (let conflicts = 0; ; conflicts += 1) {
      try {
        await client.send(new PutObjectCommand(input), abortable(signal));
        return true;
      } catch (error) {
        const status = httpStatus(error);
        if (isNew && status === 412) return false;
        // Another write of the same key was under way.
        if (isNew && status === 409 && conflicts < maxConflicts) continue;
        throw error;
      }
    }
  }

  async function* list(folder: string, after?: string): AsyncGenerator<S3Object> {
    let token: string | undefined;
    do {
      const page = await translating('listing', () =>
        client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: `${prefix}${folder}/`,
            ...(token !== undefined && { ContinuationToken: token }),
            ...(after !== undefined && { StartAfter: `${prefix}${after}` }),
          }),
        ),
      );
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined) continue;
        yield {
          key: Key.slice(prefix.length),
          sizeBytes: Size ?? 0,
          modifiedMs: LastModified?.getTime() ?? 0,
        };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  return {
    put: (key, bytes, options) => translating('writing', () => put(key, bytes, options), options?.signal),
    putStream: (key, source, signal) =>
      translating(
        'writing',
        async () => {
          const upload = new Upload({
            client,
            params: { ...at(key), Body: Readable.from(source, { objectMode: false }) },
            partSize: partBytes,
            queueSize: 1,
            leavePartsOnError: false,
          });
          const abort = () => void upload.abort();
          signal?.addEventListener('abort', abort, { once: true });
          try {
            signal?.throwIfAborted();
            await upload.done();
          } finally {
            signal?.removeEventListener('abort', abort);
          }
        },
        signal,
      ),
    head: (key, signal) =>
      unlessMissing(
        'looking',
        async () => {
          const { ContentLength, LastModified } = await client.send(
            new HeadObjectCommand(at(key)),
            abortable(signal),
          );
          return { key, sizeBytes: ContentLength ?? 0, modifiedMs: LastModified?.getTime() ?? 0 };
        },
        signal,
      ),
    get: (key, range, signal) =>
      unlessMissing(
        'reading',
        async () => {
          const Range = range && `bytes=${range.start}-${range.end - 1}`;
          const { Body } = await client.send(
            new GetObjectCommand({ ...at(key), ...(Range && { Range }) }),
            abortable(signal),
          );
          if (!(Body instanceof Readable)) throw new Error('the reply has no stream');
          return Body;
        },
        signal,
      ),
    copy: async (from, to, signal) => {
      const CopySource = encodeURI(`${bucket}/${prefix}${from}`);
      const input = { ...at(to), CopySource, MetadataDirective: 'REPLACE' } as const;
      const copied = await unlessMissing(
        'copying',
        () => client.send(new CopyObjectCommand(input), abortable(signal)),
        signal,
      );
      return copied !== undefined;
    },
    remove: (key) =>
      translating('removing', async () => void (await client.send(new DeleteObjectCommand(at(key))))),
    list,
    abortUploads: (folder, beforeMs) =>
      translating('ending uploads', async () => {
        const page = await client.send(
          new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${prefix}${folder}/` }),
        );
        let ended = 0;
        for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
          if (Key === undefined || UploadId === undefined || (Initiated?.getTime() ?? 0) >= beforeMs)
            continue;
          await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
          ended += 1;
        }
        return ended;
      }),
    close: () => client.destroy(),
  };
}
