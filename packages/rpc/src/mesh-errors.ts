/** From anything thrown to the one error of the mesh. */
import { ConnectError } from '@connectrpc/connect';
import { fromConnectError } from './connect-errors.ts';
import { cancelled, deadlineExceeded } from './deadline.ts';
import { MeshError } from './errors.ts';
import { fromGrpcError, isGrpcError } from './grpc-errors.ts';

/** A MeshError as it is; what Connect, grpc-js and AbortSignal throw, translated; anything else INTERNAL. */
export function toMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  if (error instanceof ConnectError)
    return error.cause instanceof MeshError ? error.cause : fromConnectError(error);
  if (isGrpcError(error)) return fromGrpcError(error);
  if (error instanceof Error && error.name === 'AbortError') {
    return error.cause instanceof MeshError ? error.cause : cancelled(error);
  }
  if (error instanceof Error && error.name === 'TimeoutError') return deadlineExceeded();
  return new MeshError('INTERNAL', 'something went wrong inside', { cause: error });
}
