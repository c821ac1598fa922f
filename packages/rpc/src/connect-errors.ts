/** The one translator of Connect's errors, both ways. */
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '@imagemesh/api';
import { ERROR_CODES, ERROR_DOMAIN, type ErrorReason, isErrorReason, MeshError, toStatus } from './errors.ts';

/** What Connect itself means by a code: it could not read the request, or the caller left. */
const reasonOfCode: Readonly<Record<Code, ErrorReason>> = {
  [Code.Canceled]: 'CANCELLED',
  [Code.Unknown]: 'INTERNAL',
  [Code.InvalidArgument]: 'INVALID_REQUEST',
  [Code.DeadlineExceeded]: 'DEADLINE_EXCEEDED',
  [Code.NotFound]: 'ROUTE_NOT_FOUND',
  [Code.AlreadyExists]: 'INTERNAL',
  [Code.PermissionDenied]: 'INTERNAL',
  [Code.ResourceExhausted]: 'BODY_TOO_LARGE',
  [Code.FailedPrecondition]: 'INTERNAL',
  [Code.Aborted]: 'CANCELLED',
  [Code.OutOfRange]: 'INVALID_REQUEST',
  [Code.Unimplemented]: 'NOT_IMPLEMENTED',
  [Code.Internal]: 'INTERNAL',
  [Code.Unavailable]: 'SHUTTING_DOWN',
  [Code.DataLoss]: 'INTERNAL',
  [Code.Unauthenticated]: 'INTERNAL',
};

/** Connect calls a request that it cannot parse an internal error; it is the caller's. */
const unreadable = /^(parse binary|protocol error|premature EOF|cannot decode)/;
const compressed = /^(received compressed envelope|unknown compression)/;

/** Where Connect's own message says too much, or nothing. */
const ownMessage: Partial<Record<ErrorReason, string>> = {
  INTERNAL: 'something went wrong inside',
  COMPRESSION_UNSUPPORTED: 'compressed messages are not taken; send them as they are (identity)',
};

/** The error of the mesh for what Connect threw. */
export function fromConnectError(error: ConnectError): MeshError {
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info !== undefined && info.domain === ERROR_DOMAIN && isErrorReason(info.reason)) {
    return new MeshError(info.reason, error.rawMessage, { metadata: info.metadata, cause: error });
  }
  const reason = reasonOf(error);
  const message = ownMessage[reason] ?? error.rawMessage;
  return new MeshError(reason, message, { cause: error });
}

function reasonOf({ code, rawMessage }: ConnectError): ErrorReason {
  const isTheirs = code === Code.Internal || code === Code.Unimplemented;
  if (isTheirs && compressed.test(rawMessage)) return 'COMPRESSION_UNSUPPORTED';
  return code === Code.Internal && unreadable.test(rawMessage) ? 'INVALID_REQUEST' : reasonOfCode[code];
}

/** The error as Connect sends it over any of its protocols: same code, message and details. A new one every time. */
export function toConnectError(error: MeshError): ConnectError {
  const out = new ConnectError(error.message, ERROR_CODES[error.code].grpc, undefined, undefined, error);
  out.details = toStatus(error).details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
    value,
  }));
  return out;
}
