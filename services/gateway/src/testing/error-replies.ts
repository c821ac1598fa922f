/** Calls that fail, over raw gRPC, Connect and HTTP, read down to the details that each protocol has. For tests. */
import { once } from 'node:events';
import http2 from 'node:http2';
import { create, type DescMethod, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack, anyUnpack, durationMs } from '@bufbuild/protobuf/wkt';
import { ErrorInfoSchema, RetryInfoSchema, type Status, StatusSchema } from '@imagemesh/api';
import { ERROR_CODES, ERROR_REASONS, type ErrorReason, hasRetryInfo, MeshError } from '@imagemesh/rpc';
import { httpStatusOf } from '../rest/route.ts';

/** What a client sees of an error. */
export interface ErrorReply {
  readonly via: 'gRPC' | 'Connect' | 'HTTP';
  /** gRPC's number, the others' name. */
  readonly code: number | string | undefined;
  /** Undefined for gRPC, where it is always 200. */
  readonly status: number | undefined;
  /** Of ErrorInfo, as many as there are; of HTTP's JSON the one. */
  readonly reasons: readonly string[];
  /** Undefined for HTTP's JSON, which has none. */
  readonly domain: string | undefined;
  /** Of RetryInfo, or the header Retry-After. */
  readonly hasRetry: boolean;
}

export type Headers = Readonly<Record<string, string>>;

/** The row of the table, as that protocol has it. */
export function expectedReply(reason: ErrorReason, via: ErrorReply['via']): ErrorReply {
  const code = ERROR_REASONS[reason];
  const { grpc, http } = ERROR_CODES[code];
  const hasRetry = hasRetryInfo(reason);
  switch (via) {
    case 'gRPC':
      return { via, code: grpc, status: undefined, reasons: [reason], domain: 'imagemesh', hasRetry };
    case 'Connect':
      return { via, code, status: http, reasons: [reason], domain: 'imagemesh', hasRetry };
    case 'HTTP': {
      const status = httpStatusOf(new MeshError(reason, ''));
      return { via, code, status, reasons: [reason], domain: undefined, hasRetry };
    }
  }
}

export interface RpcCall<Method extends DescMethod = DescMethod> {
  readonly method: Method;
  readonly request: MessageInitShape<Method['input']>;
  readonly headers?: Headers;
  /** Says that the message is compressed so; it is not. */
  readonly encoding?: string;
  /** Overrides the method's own path. */
  readonly path?: string;
}

const pathOf = ({ method, path }: RpcCall) => path ?? `/${method.parent.typeName}/${method.name}`;

/** By plain gRPC: frames on an HTTP/2 stream, and what its trailers hold. */
export async function askGrpc(address: string, call: RpcCall): Promise<ErrorReply> {
  const message = toBinary(call.method.input, create(call.method.input, call.request));
  const frame = Buffer.alloc(5 + message.length);
  frame[0] = call.encoding === undefined ? 0 : 1;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  // Its streams fail with it, and tell.
  const session = http2.connect(`http://${address}`).on('error', () => {});
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': pathOf(call),
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      ...(call.encoding !== undefined && { 'grpc-encoding': call.encoding }),
      ...call.headers,
    });
    let trailers: http2.IncomingHttpHeaders = {};
    stream.on('trailers', (these) => {
      trailers = these;
    });
    stream.end(frame);
    const [headers] = await once(stream, 'response');
    stream.resume();
    if (!stream.closed) await once(stream, 'close');
    // A reply of trailers alone has them as its headers.
    return fromTrailers({ ...headers, ...trailers });
  } finally {
    session.destroy();
  }
}

function fromTrailers(trailers: http2.IncomingHttpHeaders): ErrorReply {
  const details = String(trailers['grpc-status-details-bin'] ?? '');
  const status = fromBinary(StatusSchema, Buffer.from(details, 'base64'));
  const code = Number(trailers['grpc-status']);
  if (status.code !== code) throw new Error(`grpc-status ${code}, but ${status.code} in the details`);
  const reply = fromDetails(status.details);
  if (trailers['im-reason'] !== reply.reasons[0]) throw new Error(`im-reason ${trailers['im-reason']}`);
  return { via: 'gRPC', code, status: undefined, ...reply };
}

function fromDetails(details: Status['details']) {
  const infos = details.flatMap((detail) => anyUnpack(detail, ErrorInfoSchema) ?? []);
  const [retry] = details.flatMap((detail) => anyUnpack(detail, RetryInfoSchema) ?? []);
  return {
    reasons: infos.map(({ reason }) => reason),
    domain: infos[0]?.domain,
    hasRetry: retry?.retryDelay !== undefined && durationMs(retry.retryDelay) > 0,
  };
}

/** By Connect: a POST of the message, and an error as JSON with Any-like details. */
export async function askConnect(address: string, call: RpcCall): Promise<ErrorReply> {
  const response = await fetch(`http://${address}${pathOf(call)}`, {
    method: 'POST',
    body: toBinary(call.method.input, create(call.method.input, call.request)),
    headers: {
      'content-type': 'application/proto',
      ...(call.encoding !== undefined && { 'content-encoding': call.encoding }),
      ...call.headers,
    },
  });
  const body: unknown = await response.json();
  // A parse boundary: Connect's protocol says so.
  const { code, details = [] } = body as { code?: string; details?: { type: string; value: string }[] };
  const packed = details.map(({ type, value }) => ({
    ...anyPack(ErrorInfoSchema, create(ErrorInfoSchema)),
    typeUrl: `type.googleapis.com/${type}`,
    value: Buffer.from(value, 'base64'),
  }));
  return { via: 'Connect', code, status: response.status, ...fromDetails(packed) };
}

export interface HttpCall extends RequestInit {
  readonly path: string;
}

/** By one of the HTTP routes. */
export async function askHttp(address: string, { path, ...init }: HttpCall): Promise<ErrorReply> {
  const response = await fetch(`http://${address}${path}`, init);
  const body: unknown = await response.json();
  // A parse boundary: docs/errors.md says so.
  const { error } = body as { error?: { code: string; reason: string } };
  return {
    via: 'HTTP',
    code: error?.code,
    status: response.status,
    reasons: error === undefined ? [] : [error.reason],
    domain: undefined,
    hasRetry: Number(response.headers.get('retry-after') ?? 0) > 0,
  };
}
