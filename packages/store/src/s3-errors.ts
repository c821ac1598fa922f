/** The one translator from what the AWS SDK throws. */
import { MeshError } from '@imagemesh/rpc';

const fullNames = new Set([
  'InsufficientStorage',
  'QuotaExceeded',
  'XMinioStorageFull',
  'StorageFull',
  'InsufficientCapacity',
]);
const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** HTTP status of an error of the SDK; undefined for other errors, and where there was no answer. */
export function httpStatus(error: unknown): number | undefined {
  const metadata = error instanceof Error && '$metadata' in error ? error.$metadata : undefined;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}

export function isMissing(error: unknown): boolean {
  return httpStatus(error) === 404 && !(error instanceof Error && error.name === 'NoSuchBucket');
}

/**
 * STORE_FULL, STORE_UNAVAILABLE (no answer, or one that asks to come again) or STORE_FAILED; a MeshError or an abort passes
 * through. Of the SDK's error only name, message and status are kept: its request has a signature in it.
 */
export function toS3StoreError(error: unknown, doing: string, signal?: AbortSignal): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (error instanceof MeshError || !(error instanceof Error)) return error;
  const status = httpStatus(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const isOfSdk = '$metadata' in error || error.name === 'TimeoutError' || networkCodes.has(code);
  if (!isOfSdk) return error;
  const cause = new Error(
    `${error.name}: ${error.message}${status === undefined ? '' : ` (HTTP ${status})`}`,
  );
  if (status === 507 || fullNames.has(error.name))
    return new MeshError('STORE_FULL', 'the store is full', { cause, retryAfterMs: 10_000 });
  if (status === undefined || status >= 500 || status === 429)
    return new MeshError('STORE_UNAVAILABLE', `the store does not answer while ${doing}`, { cause });
  return new MeshError('STORE_FAILED', `the store refused ${doing} (${error.name})`, { cause });
}
