/** The one translator from file-system errors. */
import { MeshError } from '@imagemesh/rpc';

/** The error code of a failed system call ("ENOENT"), undefined for other errors. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code;
}

/** STORE_FULL, or STORE_FAILED; a MeshError or an abort passes through. The path stays in the cause, for the log. */
export function toStoreError(error: unknown, doing: string): unknown {
  const code = systemCode(error);
  if (error instanceof MeshError || code === undefined || code === 'ABORT_ERR') return error;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new MeshError('STORE_FULL', 'the store is full', { cause: error, retryAfterMs: 10_000 });
    case 'EFBIG':
      return new MeshError('STORE_FULL', 'the store cannot hold a file that large', { cause: error });
    default:
      return new MeshError('STORE_FAILED', `the store failed while ${doing} (${code})`, { cause: error });
  }
}

/** Undefined if there is no such file. */
export async function unlessMissing<Result>(run: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await run();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Runs it; what the file system throws comes as `toStoreError` says. */
export async function translating<Result>(doing: string, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    throw toStoreError(error, doing);
  }
}
