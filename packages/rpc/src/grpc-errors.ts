/** The one translator of @grpc/grpc-js's errors. */
import type { ServiceError } from '@grpc/grpc-js';
import type { MeshError } from './errors.ts';
import { errorFromCode, errorFromDetails } from './grpc-status.ts';

/** Whether it is what a grpc-js call fails with. */
export function isGrpcError(error: unknown): error is ServiceError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'number' &&
    'details' in error &&
    'metadata' in error
  );
}

/** The error of the mesh inside, from grpc-status-details-bin; else the nearest for the code. */
export function fromGrpcError(error: ServiceError): MeshError {
  const [details] = error.metadata.get('grpc-status-details-bin');
  const known = details instanceof Uint8Array ? errorFromDetails(details) : undefined;
  return known ?? errorFromCode(error.code, error.details);
}
