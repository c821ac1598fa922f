/** Every way into the gateway's port by RPC: a real client for each protocol, codec and version of HTTP. */
import type { Transport } from '@connectrpc/connect';
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { createGrpcJsTransport } from './grpc-js-transport.ts';

export type CallKind = 'unary' | 'client streaming' | 'server streaming' | 'bidi streaming';

export interface Way {
  readonly name: string;
  readonly protocol: 'grpc' | 'grpc-web' | 'connect' | 'connect-get';
  readonly http: '1.1' | '2';
  /** What the protocol can do over this version of HTTP. */
  readonly kinds: readonly CallKind[];
  /** Header that tells the server how long the call may take, as the protocol spells it. */
  readonly timeoutHeader: (ms: number) => Record<string, string>;
  readonly open: (target: { readonly url: string; readonly sendsGzip?: boolean }) => Transport;
}

const allKinds: readonly CallKind[] = ['unary', 'client streaming', 'server streaming', 'bidi streaming'];
/** HTTP/1.1 carries a reply only after the whole request. */
const halfDuplexKinds = allKinds.filter((kind) => kind !== 'bidi streaming');

const grpcTimeout = (ms: number) => ({ 'grpc-timeout': `${ms}m` });
const connectTimeout = (ms: number) => ({ 'connect-timeout-ms': String(ms) });

const compression = ({ sendsGzip = false }) =>
  sendsGzip ? { sendCompression: compressionGzip, compressMinBytes: 0 } : {};

const grpc: readonly Way[] = [
  {
    name: 'gRPC by grpc-js',
    protocol: 'grpc',
    http: '2',
    kinds: allKinds,
    timeoutHeader: grpcTimeout,
    open: ({ url, ...options }) => createGrpcJsTransport({ address: new URL(url).host, ...options }),
  },
  ...(['proto', 'JSON'] as const).map(
    (codec): Way => ({
      name: `gRPC ${codec} by connect-node`,
      protocol: 'grpc',
      http: '2',
      kinds: allKinds,
      timeoutHeader: grpcTimeout,
      open: ({ url, ...options }) =>
        createGrpcTransport({ baseUrl: url, useBinaryFormat: codec === 'proto', ...compression(options) }),
    }),
  ),
];

const web = (['1.1', '2'] as const).flatMap((http) =>
  (['proto', 'JSON'] as const).map(
    (codec): Way => ({
      name: `gRPC-Web ${codec} over HTTP/${http}`,
      protocol: 'grpc-web',
      http,
      kinds: http === '2' ? allKinds : halfDuplexKinds,
      timeoutHeader: grpcTimeout,
      open: ({ url, ...options }) =>
        createGrpcWebTransport({
          baseUrl: url,
          httpVersion: http,
          useBinaryFormat: codec === 'proto',
          ...compression(options),
        }),
    }),
  ),
);

const connect = (['1.1', '2'] as const).flatMap((http) =>
  (['proto', 'JSON'] as const).flatMap((codec) =>
    [false, true].map(
      (usesGet): Way => ({
        name: `Connect ${codec} ${usesGet ? 'by GET ' : ''}over HTTP/${http}`,
        protocol: usesGet ? 'connect-get' : 'connect',
        http,
        kinds: usesGet ? ['unary'] : http === '2' ? allKinds : halfDuplexKinds,
        timeoutHeader: connectTimeout,
        open: ({ url, ...options }) =>
          createConnectTransport({
            baseUrl: url,
            httpVersion: http,
            useBinaryFormat: codec === 'proto',
            useHttpGet: usesGet,
            ...compression(options),
          }),
      }),
    ),
  ),
);

export const ways: readonly Way[] = [...grpc, ...web, ...connect];
