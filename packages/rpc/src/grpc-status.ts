/** The end of a gRPC call as trailers: grpc-status, grpc-message, grpc-status-details-bin. Pure. */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { StatusSchema } from '@imagemesh/api';
import { ERROR_CODES, type ErrorReason, fromStatus, MeshError, toStatus } from './errors.ts';
import { IM_REASON } from './metadata.ts';

type Headers = Readonly<Record<string, string | readonly string[] | number | undefined>>;

/** gRPC clients may refuse trailers of 8 KiB: a message and details over these are cut or left out. */
const maxMessageBytes = 1024;
const maxDetailsBytes = 3072;

/** What a gRPC peer without our details means by its code. */
const reasonOfCode: Readonly<Record<number, ErrorReason>> = {
  1: 'CANCELLED',
  3: 'INVALID_REQUEST',
  4: 'DEADLINE_EXCEEDED',
  8: 'OVERLOADED',
  11: 'INVALID_REQUEST',
  12: 'NOT_IMPLEMENTED',
  14: 'REPLICA_LOST',
};

/** Trailers that say that the call failed so. */
export function statusTrailers(error: MeshError): Record<string, string> {
  const status = toStatus(error);
  status.message = cut(status.message);
  let details = toBinary(StatusSchema, status);
  if (details.byteLength > maxDetailsBytes) {
    details = toBinary(StatusSchema, { ...status, details: status.details.slice(0, 1) });
  }
  return {
    'grpc-status': String(ERROR_CODES[error.code].grpc),
    'grpc-message': encodeGrpcMessage(status.message),
    ...(details.byteLength <= maxDetailsBytes && {
      'grpc-status-details-bin': Buffer.from(details).toString('base64').replace(/=+$/, ''),
    }),
    [IM_REASON]: error.reason,
  };
}

/** The error that trailers (or the headers of a trailers-only reply) carry; undefined for OK. */
export function errorFromTrailers(trailers: Headers): MeshError | undefined {
  const text = trailers['grpc-status'];
  const code = typeof text === 'string' && /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (code === 0) return undefined;
  const details = trailers['grpc-status-details-bin'];
  if (typeof details === 'string') {
    const error = errorFromDetails(Buffer.from(details, 'base64'));
    if (error !== undefined) return error;
  }
  const message = trailers['grpc-message'];
  return errorFromCode(code, typeof message === 'string' ? decodeGrpcMessage(message) : '');
}

/** The error in a serialized google.rpc.Status; undefined where it has no ErrorInfo of the mesh or is damaged. */
export function errorFromDetails(bytes: Uint8Array): MeshError | undefined {
  try {
    const error = fromStatus(fromBinary(StatusSchema, bytes));
    return error.reason === 'INTERNAL' && error.cause !== undefined ? undefined : error;
  } catch {
    return undefined;
  }
}

/** The error for a code that came without details: from a foreign server, a proxy, or a library. */
export function errorFromCode(code: number, message: string): MeshError {
  const cause = new Error(`grpc status ${code}: ${message}`);
  const reason = reasonOfCode[code];
  if (reason === undefined)
    return new MeshError('INTERNAL', 'an inner service answered with an unexpected error', { cause });
  return new MeshError(reason, message === '' ? `the call ended with gRPC status ${code}` : cut(message), {
    cause,
  });
}

/** Percent-encoding of grpc-message: everything outside printable ASCII, and %. */
export function encodeGrpcMessage(message: string): string {
  return message.replace(/[^\x20-\x24\x26-\x7e]+/gu, (run) =>
    Buffer.from(run)
      .toString('hex')
      .replace(/../g, (byte) => `%${byte.toUpperCase()}`),
  );
}

/** Its inverse; damaged escapes stay as they are. */
export function decodeGrpcMessage(text: string): string {
  if (!text.includes('%')) return text;
  const bytes = text.replace(/(?:%[0-9a-fA-F]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString(),
  );
  return bytes;
}

function cut(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.byteLength <= maxMessageBytes) return message;
  // A character cut in two becomes U+FFFD; drop it.
  return `${bytes
    .subarray(0, maxMessageBytes - 3)
    .toString()
    .replace(/\ufffd$/, '')}…`;
}
