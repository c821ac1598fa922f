/** How an error is provoked: the calls that fail with it. For tests. */
import type { DescMethod } from '@bufbuild/protobuf';
import { ImageService, type Operation } from '@imagemesh/api';
import type { ClientReason, HttpReason } from '@imagemesh/rpc';
import {
  askConnect,
  askGrpc,
  askHttp,
  type ErrorReply,
  type Headers,
  type HttpCall,
  type RpcCall,
} from './error-replies.ts';

type Ask = () => Promise<ErrorReply>;

/** By gRPC and by HTTP: Connect, a route of HTTP, or both. */
export interface Provoker {
  readonly grpc: Ask;
  readonly http: readonly [Ask, ...Ask[]];
}

/** For what only HTTP's own routes answer. */
export type HttpProvoker = Pick<Provoker, 'http'>;

export type Provokers<Reason extends ClientReason = ClientReason> = {
  readonly [Each in Reason]: Each extends HttpReason ? HttpProvoker : Provoker;
};

/** Reasons that need jobs, and so a nats-server: jobs.mesh.test.ts provokes them. */
export const JOB_REASONS = ['JOB_NOT_FOUND', 'JOB_CONFLICT', 'REQUEST_ID_REUSED'] as const;

/** A value, or what makes a new one for each call. */
type Each<Value> = Value | (() => Value | Promise<Value>);

async function made<Value extends object>(each: Each<Value>): Promise<Value> {
  return typeof each === 'function' ? each() : each;
}

/** A unary RPC by gRPC and by Connect, and where there is a route for the same, that too. */
export function byRpc<Method extends DescMethod>(
  address: () => string,
  call: Each<RpcCall<Method>>,
  route?: Each<HttpCall>,
): Provoker {
  return {
    grpc: async () => askGrpc(address(), await made(call)),
    http: [
      async () => askConnect(address(), await made(call)),
      ...(route === undefined ? [] : [async () => askHttp(address(), await made(route))]),
    ],
  };
}

export function byHttp(address: () => string, route: Each<HttpCall>): HttpProvoker {
  return { http: [async () => askHttp(address(), await made(route))] };
}

type Operations = readonly (Pick<Operation, 'operation'> | object)[];

/** Transform, and POST /transform, of the same. */
export function byTransform(
  address: () => string,
  bytes: Uint8Array,
  {
    operations = [],
    ops = '',
    headers = {},
  }: { operations?: Operations; ops?: string; headers?: Headers } = {},
): Provoker {
  const source = { source: { case: 'data', value: bytes } } as const;
  return byRpc(
    address,
    // Operations are as the test writes them: a wrong one is what some of them are about.
    { method: ImageService.method.transform, request: { source, operations: [...operations] }, headers },
    { method: 'POST', path: `/transform?ops=${ops}`, body: bytes, headers },
  );
}

/** What the stand-in for the mesh does for a call with this id: says that error, or one of the other words. */
export function meshSays(word: string): Headers {
  return { 'x-request-id': `say-${word}` };
}
