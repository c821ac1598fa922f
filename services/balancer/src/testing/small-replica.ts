/** A real replica without images: it speaks the wire protocol, joins, reports, owns its slots. */

import type { JoinRequestSchema, JoinResponseSchema } from '@imagemesh/api';
import { BalancerService, WorkerKind } from '@imagemesh/api';
import {
  type BidiCall,
  createGrpcClient,
  IM_REPLICA,
  MeshError,
  type ServerWireCall,
  startRpcServer,
  wireHandler,
} from '@imagemesh/rpc';
import { startTcpRelay } from './tcp-relay.ts';

export const RESIZE = '/imagemesh.v1.ResizeService/Resize';
export const FILTER = '/imagemesh.v1.FilterService/Filter';

export interface SmallReplicaOptions {
  readonly id: string;
  readonly worker?: WorkerKind;
  /** What it announces. Default 1. */
  readonly slots?: number;
  /** What it really has. Default: what it announces. */
  readonly ownSlots?: number;
  readonly operations?: readonly string[];
  readonly storeId?: string;
  readonly idempotent?: boolean;
  readonly joinToken?: string;
  readonly calibratedSpeed?: number;
  readonly build?: string;
  /** Default: answers with the body as it came. */
  readonly serve?: (call: ServerWireCall, replica: SmallReplica) => Promise<void>;
}

export interface SmallReplica {
  readonly id: string;
  readonly address: string;
  readonly running: number;
  /** Most calls at once that it ran. */
  readonly peak: number;
  /** Calls that it began. */
  readonly begun: number;
  readonly busyAnswers: number;
  /** Calls whose signal fired. */
  readonly aborted: number;
  readonly drainReason: string | undefined;
  isServing: boolean;
  isReporting: boolean;
  /** All its connections break, as when its process is killed. */
  kill(): void;
  /** The connections break on which it works; it stays, and takes new ones. */
  cut(): void;
  /** Its connections stay and say nothing more. */
  hang(): void;
  /** Leaves in order. */
  leave(): Promise<void>;
}

export async function startSmallReplica(
  balancer: string,
  options: SmallReplicaOptions,
): Promise<SmallReplica> {
  const { id, worker = WorkerKind.RESIZE, slots = 1, ownSlots = slots, serve = echo } = options;
  const path = worker === WorkerKind.RESIZE ? RESIZE : FILTER;
  const state = { running: 0, peak: 0, begun: 0, busyAnswers: 0, aborted: 0 };
  const handler = wireHandler(async (call) => {
    call.trailers[IM_REPLICA] = id;
    if (state.running >= ownSlots) {
      state.busyAnswers++;
      throw new MeshError('REPLICA_BUSY', 'no slot is free');
    }
    state.running++;
    state.begun++;
    state.peak = Math.max(state.peak, state.running);
    call.signal.addEventListener('abort', () => {
      state.aborted++;
    });
    try {
      await serve(call, replica);
    } finally {
      state.running--;
    }
  });
  const server = await startRpcServer({ routes: () => {}, streams: new Map([[path, handler]]) });
  const work = await startTcpRelay(`127.0.0.1:${server.port}`);
  const control = await startTcpRelay(balancer);
  const client = createGrpcClient(BalancerService, control.address);
  const joining: BidiCall<typeof JoinRequestSchema, typeof JoinResponseSchema> = client.join();
  const hello = {
    replicaId: id,
    address: work.address,
    worker,
    hostId: 'test-host',
    slots,
    build: options.build ?? 'test',
    operations: [...(options.operations ?? ['resize', 'crop'])],
    storeId: options.storeId ?? '',
    idempotentMethods: (options.idempotent ?? true) ? [path] : [],
    joinToken: options.joinToken ?? '',
    calibratedSpeed: options.calibratedSpeed ?? 0,
  };
  let timer: NodeJS.Timeout | undefined;
  let drainReason: string | undefined;
  const replica: SmallReplica = {
    id,
    address: work.address,
    get running() {
      return state.running;
    },
    get peak() {
      return state.peak;
    },
    get begun() {
      return state.begun;
    },
    get busyAnswers() {
      return state.busyAnswers;
    },
    get aborted() {
      return state.aborted;
    },
    get drainReason() {
      return drainReason;
    },
    isServing: true,
    isReporting: true,
    kill: () => {
      clearInterval(timer);
      work.sever();
      control.sever();
      stop();
    },
    cut: work.cut,
    hang: () => {
      work.freeze();
      control.freeze();
    },
    leave: async () => {
      clearInterval(timer);
      joining.end();
      await server.close(1000);
      stop();
    },
  };
  const stop = () => {
    client.close();
    work.close();
    control.close();
    void server.close(0);
  };

  try {
    await joining.send({ message: { case: 'hello', value: hello } });
    const answers = joining.messages[Symbol.asyncIterator]();
    const first = await answers.next();
    if (first.done === true || first.value.message.case !== 'accepted') throw new Error('not accepted');
    void listen(answers);
  } catch (error) {
    stop();
    throw error;
  }
  timer = setInterval(() => {
    if (!replica.isReporting) return;
    const { running: inFlight, begun } = state;
    const completed = BigInt(begun - inFlight);
    const value = { serving: replica.isServing, inFlight, completed, cpuCores: 0.5, residentBytes: 1000n };
    joining.send({ message: { case: 'report', value } }).catch(() => {});
  }, 100);
  return replica;

  async function listen(answers: AsyncIterator<{ message: { case?: string | undefined; value?: unknown } }>) {
    try {
      for (let next = await answers.next(); next.done !== true; next = await answers.next()) {
        const { message } = next.value;
        if (message.case === 'drain') drainReason = (message.value as { reason: string }).reason;
      }
    } catch {
      // Killed.
    }
  }
}

/** Reads the spec and the body, answers both. */
export async function echo(call: ServerWireCall): Promise<void> {
  const spec = await call.reader.message();
  const chunks: Buffer[] = [];
  await call.reader.eachChunk((chunk) => {
    chunks.push(chunk);
  }, 1e9);
  await call.writer.message(spec ?? new Uint8Array());
  await call.writer.chunks(Buffer.concat(chunks));
}
