/** Stands in for a balancer and all that is behind it. For tests. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  BalancerService,
  type BlobRef,
  Format,
  ImageInfoSchema,
  type Operation,
  OperationSchema,
  PixelContentSchema,
  ResizeRequestSchema,
  ResizeResponseSchema,
  type WorkHeader,
  WorkHeaderSchema,
  type WorkSpec,
} from '@imagemesh/api';
import { defaultLimits } from '@imagemesh/image';
import { newTrace } from '@imagemesh/observe';
import {
  createHealth,
  deadlineIn,
  MeshError,
  type RpcServer,
  type ServerWireCall,
  startRpcServer,
  toConnectError,
  wireHandler,
} from '@imagemesh/rpc';
import type { CallContext } from '../call.ts';
import { planPipeline } from '../plan.ts';
import type { PipelineSource } from '../run-pipeline.ts';

export interface Seen {
  readonly path: string;
  readonly headers: ServerWireCall['headers'];
  readonly spec: WorkSpec;
  readonly bytes: Buffer;
}

export type Answer = (
  seen: Seen,
  wire: ServerWireCall,
) => Promise<{
  header: Pick<WorkHeader, 'content' | 'encoding'> & { sizeBytes?: bigint; blob?: BlobRef; execMs?: number };
  bytes?: Uint8Array;
}>;

/** Takes stages and answers them as told; lists no replicas. Close its server. */
export async function startPeer(
  answer: Answer,
  port = 0,
  host = '127.0.0.1',
): Promise<{ address: string; seen: Seen[]; server: RpcServer }> {
  const seen: Seen[] = [];
  const serve = async (wire: ServerWireCall) => {
    const first = await wire.reader.message();
    if (first === undefined) throw new Error('no spec');
    const { message } = fromBinary(ResizeRequestSchema, first);
    if (message.case !== 'spec') throw new Error('no spec');
    const parts: Buffer[] = [];
    await wire.reader.eachChunk((part) => void parts.push(part), 1e9);
    const call = { path: wire.path, headers: wire.headers, spec: message.value, bytes: Buffer.concat(parts) };
    seen.push(call);
    const { header, bytes } = await answer(call, wire);
    const value = create(WorkHeaderSchema, {
      replicaId: 'r1',
      ...header,
      sizeBytes: header.sizeBytes ?? BigInt(bytes?.length ?? 0),
    });
    await wire.writer.message(
      toBinary(ResizeResponseSchema, create(ResizeResponseSchema, { message: { case: 'header', value } })),
    );
    if (bytes !== undefined) await wire.writer.chunks(bytes);
  };
  const paths = ['/imagemesh.v1.ResizeService/Resize', '/imagemesh.v1.FilterService/Filter'];
  const streams = new Map(paths.map((path) => [path, wireHandler(serve)]));
  const health = createHealth([]);
  health.set('', true);
  const server = await startRpcServer({
    host,
    port,
    routes: (router) => {
      health.routes(router);
      router.service(BalancerService, {
        listReplicas: () => ({}),
        drainReplica: ({ replicaId }) => {
          throw toConnectError(new MeshError('REPLICA_NOT_FOUND', `no replica ${replicaId} has joined`));
        },
      });
    },
    streams,
  });
  return { address: `${host}:${server.port}`, seen, server };
}

export function context(overrides: Partial<CallContext> = {}): CallContext {
  const signal = new AbortController().signal;
  return {
    requestId: 'req-1',
    trace: newTrace(),
    owner: 'o',
    deadline: deadlineIn(5000),
    signal,
    class: 'default',
    ...overrides,
  };
}

export const info = create(ImageInfoSchema, {
  format: Format.PNG,
  width: 100,
  height: 50,
  orientation: 1,
  sizeBytes: 3n,
  frames: 1,
});
export const source: PipelineSource = { info, sizeBytes: 3, bytes: Uint8Array.of(1, 2, 3) };
export const resize = create(OperationSchema, { operation: { case: 'resize', value: { width: 10 } } });
export const blur = create(OperationSchema, { operation: { case: 'blur', value: {} } });

export function plan(operations: Operation[], image = info) {
  return planPipeline({ info: image, operations, output: undefined, limits: defaultLimits });
}

export const encoded: Answer = async () => ({
  header: {
    content: {
      case: 'encoded',
      value: create(ImageInfoSchema, { format: Format.PNG, width: 10, height: 5 }),
    },
    execMs: 2,
  },
  bytes: Uint8Array.of(9, 9),
});
export const pixels: Answer = async () => ({
  header: {
    content: {
      case: 'pixels',
      value: create(PixelContentSchema, { width: 10, height: 5, channels: 3, bitDepth: 8 }),
    },
  },
  bytes: new Uint8Array(150).fill(5),
});
export const byService: Answer = (seen, wire) =>
  (seen.path.includes('Resize') ? pixels : encoded)(seen, wire);
