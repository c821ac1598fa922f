/** connectrpc.conformance.v1.ConformanceService: answers as each request tells it to, and says what it got. */
import { setTimeout as sleep } from 'node:timers/promises';
import { create, createRegistry } from '@bufbuild/protobuf';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { type Code, ConnectError, type ConnectRouter, type HandlerContext } from '@imagemesh/rpc';
import {
  type BidiStreamRequest,
  BidiStreamRequestSchema,
  type ClientStreamRequest,
  ClientStreamRequestSchema,
  type ConformancePayload,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  ConformanceService,
  type Error as ErrorDefinition,
  file_connectrpc_conformance_v1_service,
  type Header,
  HeaderSchema,
  type IdempotentUnaryRequest,
  IdempotentUnaryRequestSchema,
  type ServerStreamRequest,
  ServerStreamRequestSchema,
  type UnaryRequest,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from './gen/connectrpc/conformance/v1/service_pb.ts';

/** Errors that the service was told to end with, which must reach the client as they are. */
const told = new WeakSet<ConnectError>();

export function isTold(error: unknown): error is ConnectError {
  return error instanceof ConnectError && told.has(error);
}

export function conformanceRoutes(router: ConnectRouter): void {
  router.service(
    ConformanceService,
    {
      unary: (request: UnaryRequest, context) =>
        answer(request.responseDefinition, [anyPack(UnaryRequestSchema, request)], context),
      idempotentUnary: (request: IdempotentUnaryRequest, context) =>
        answer(request.responseDefinition, [anyPack(IdempotentUnaryRequestSchema, request)], context),
      clientStream: serveClientStream,
      serverStream: serveServerStream,
      bidiStream: serveBidiStream,
    },
    // Requests come back as Any.
    { jsonOptions: { registry: createRegistry(file_connectrpc_conformance_v1_service) } },
  );
}

async function answer(
  definition: UnaryResponseDefinition | undefined,
  requests: Any[],
  context: HandlerContext,
): Promise<{ payload: ConformancePayload }> {
  const requestInfo = infoOf(context, requests);
  addHeaders(context.responseHeader, definition?.responseHeaders);
  addHeaders(context.responseTrailer, definition?.responseTrailers);
  await sleep(definition?.responseDelayMs ?? 0);
  const { response } = definition ?? {};
  if (response?.case === 'error') throw errorOf(response.value, requestInfo);
  const data = response?.case === 'responseData' ? response.value : new Uint8Array(0);
  return { payload: create(ConformancePayloadSchema, { data, requestInfo }) };
}

async function serveClientStream(requests: AsyncIterable<ClientStreamRequest>, context: HandlerContext) {
  let definition: UnaryResponseDefinition | undefined;
  const received: Any[] = [];
  for await (const request of requests) {
    if (received.length === 0) definition = request.responseDefinition;
    received.push(anyPack(ClientStreamRequestSchema, request));
  }
  return answer(definition, received, context);
}

async function* serveServerStream(request: ServerStreamRequest, context: HandlerContext) {
  const { responseDefinition: definition } = request;
  if (definition === undefined) return;
  addHeaders(context.responseHeader, definition.responseHeaders);
  addHeaders(context.responseTrailer, definition.responseTrailers);
  const requestInfo = infoOf(context, [anyPack(ServerStreamRequestSchema, request)]);
  for (const [index, data] of definition.responseData.entries()) {
    await sleep(definition.responseDelayMs);
    yield { payload: payloadOf(data, index === 0 ? requestInfo : undefined) };
  }
  if (definition.error === undefined) return;
  throw errorOf(definition.error, definition.responseData.length === 0 ? requestInfo : undefined);
}

async function* serveBidiStream(requests: AsyncIterable<BidiStreamRequest>, context: HandlerContext) {
  let first: BidiStreamRequest | undefined;
  let unanswered: Any[] = [];
  let sent = 0;
  for await (const request of requests) {
    unanswered.push(anyPack(BidiStreamRequestSchema, request));
    if (first === undefined) {
      first = request;
      addHeaders(context.responseHeader, request.responseDefinition?.responseHeaders);
      addHeaders(context.responseTrailer, request.responseDefinition?.responseTrailers);
    }
    if (!first.fullDuplex) continue;
    const data = first.responseDefinition?.responseData[sent];
    if (data === undefined) break;
    await sleep(first.responseDefinition?.responseDelayMs ?? 0);
    const info =
      sent === 0
        ? infoOf(context, unanswered)
        : create(ConformancePayload_RequestInfoSchema, { requests: unanswered });
    yield { payload: payloadOf(data, info) };
    sent++;
    unanswered = [];
  }
  const definition = first?.responseDefinition;
  if (definition === undefined) return;
  const requestInfo = sent === 0 ? infoOf(context, unanswered) : undefined;
  for (; sent < definition.responseData.length; sent++) {
    await sleep(definition.responseDelayMs);
    yield { payload: payloadOf(definition.responseData[sent], sent === 0 ? requestInfo : undefined) };
  }
  if (definition.error === undefined) return;
  throw errorOf(definition.error, sent === 0 ? requestInfo : undefined);
}

function payloadOf(
  data: Uint8Array | undefined,
  requestInfo: ConformancePayload_RequestInfo | undefined,
): ConformancePayload {
  return create(ConformancePayloadSchema, {
    ...(data !== undefined && { data }),
    ...(requestInfo !== undefined && { requestInfo }),
  });
}

function infoOf(context: HandlerContext, requests: Any[]): ConformancePayload_RequestInfo {
  const timeoutMs = context.timeoutMs();
  const query = new URL(context.url).searchParams;
  return create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: headersOf(context.requestHeader),
    ...(timeoutMs !== undefined && { timeoutMs: BigInt(Math.floor(timeoutMs)) }),
    requests,
    ...(context.requestMethod === 'GET' && { connectGetInfo: { queryParams: headersOf(query) } }),
  });
}

function headersOf(entries: Iterable<[string, string]>): Header[] {
  return [...entries].map(([name, value]) => create(HeaderSchema, { name, value: [value] }));
}

function addHeaders(target: Headers, headers: readonly Header[] = []): void {
  for (const { name, value } of headers) for (const each of value) target.append(name, each);
}

function errorOf(
  { code, message, details }: ErrorDefinition,
  requestInfo: ConformancePayload_RequestInfo | undefined,
): ConnectError {
  // Codes of the suite are those of gRPC, as Connect's are.
  const error = new ConnectError(message ?? '', code as number as Code);
  const all =
    requestInfo === undefined
      ? details
      : [...details, anyPack(ConformancePayload_RequestInfoSchema, requestInfo)];
  error.details = all.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
    value,
  }));
  told.add(error);
  return error;
}
