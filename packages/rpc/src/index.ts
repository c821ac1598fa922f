/** Servers, clients and byte streams: the doors to Connect and grpc-js, and gRPC framing straight on node:http2. */
export {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextKey,
  type ContextValues,
  cors,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
} from '@connectrpc/connect';
export { type Addresses, type AddressesOptions, createAddresses } from './addresses.ts';
export {
  type BidiCall,
  type ClientCallOptions,
  createGrpcClient,
  type GrpcClient,
  type GrpcClientOptions,
} from './clients.ts';
export { fromConnectError, toConnectError } from './connect-errors.ts';
export type { NodeServerRequest, NodeServerResponse } from './connect-handler.ts';
export {
  type CallSignal,
  cancelled,
  createCallSignal,
  type Deadline,
  deadlineExceeded,
  deadlineIn,
  earlier,
  formatGrpcTimeout,
  parseGrpcTimeout,
  remainingMs,
} from './deadline.ts';
export { errorDetails } from './error-details.ts';
export { ERROR_DOCS, type ErrorDoc } from './error-docs.ts';
export * from './errors.ts';
export { MAX_CHUNK_BYTES, MAX_CHUNK_MESSAGE_BYTES, MAX_MESSAGE_BYTES } from './frames.ts';
export { fromGrpcError } from './grpc-errors.ts';
export { errorFromTrailers, statusTrailers } from './grpc-status.ts';
export { createHealth, type Health } from './health.ts';
export {
  http2ClientOptions,
  http2ServerOptions,
  MAX_STREAMS_PER_SESSION,
  SESSION_WINDOW_BYTES,
  STREAM_WINDOW_BYTES,
  tuneSession,
} from './http2-options.ts';
export {
  type CallInfo,
  callInfo,
  type StandardInterceptorOptions,
  standardInterceptors,
} from './interceptors.ts';
export { toMeshError } from './mesh-errors.ts';
export { MESH_NAME, type MeshTls, meshTlsDoc, openMeshTls } from './mesh-tls.ts';
export * from './metadata.ts';
export { createReadingSocket } from './reading-socket.ts';
export { reflectionRoutes } from './reflection.ts';
export { challengeHeaders, closesConnection, dropRest, refuseCall, retryHeaders } from './refuse-call.ts';
export {
  createRpcHandler,
  type RpcHandler,
  type RpcHandlerOptions,
  type RpcServer,
  type RpcServerOptions,
  startRpcServer,
} from './server.ts';
export { createSessionPool, type SessionPool, type SessionPoolOptions } from './sessions.ts';
export { openTlsFiles, type TlsFiles, type TlsPair } from './tls-files.ts';
export { type SessionTracker, trackSessions } from './track-sessions.ts';
export { validateMessage } from './validate.ts';
export {
  type ClientWireCall,
  DEFAULT_CHUNK_BYTES,
  type ServerWireCall,
  type WireReader,
  type WireWriter,
} from './wire.ts';
export { openWireCall, type WireCallOptions } from './wire-client.ts';
export {
  type StreamHandler,
  stopReading,
  type WireHandlerOptions,
  type WireOutcome,
  wireHandler,
} from './wire-server.ts';
