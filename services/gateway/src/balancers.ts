/** Control calls to all balancers at once. */
import {
  BalancerService,
  type ListReplicasResponse,
  type Replica,
  type WatchReplicasResponse,
} from '@imagemesh/api';
import { formatTraceparent, type TraceContext } from '@imagemesh/observe';
import {
  type Addresses,
  createGrpcClient,
  type Deadline,
  deadlineIn,
  earlier,
  type GrpcClient,
  MeshError,
  type MeshTls,
  REQUEST_ID_HEADER,
  TRACEPARENT_HEADER,
  toMeshError,
} from '@imagemesh/rpc';

interface ControlCall {
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly signal: AbortSignal;
  readonly clientDeadline?: Deadline | undefined;
}

export interface Balancers {
  readonly addresses: Addresses;
  /** What each reachable balancer lists; BALANCER_UNREACHABLE if none is. */
  list(call: ControlCall): Promise<readonly ListReplicasResponse[]>;
  /** The replica as each balancer that knows it sees it; REPLICA_NOT_FOUND if none does. */
  drain(call: ControlCall, replicaId: string, reason: string): Promise<readonly Replica[]>;
  /** What one balancer lists, at each change; throws when it is lost. */
  watch(address: string, minIntervalMs: number, signal: AbortSignal): AsyncIterable<WatchReplicasResponse>;
  close(): void;
}

/** A balancer that does not answer in time counts as lost for this call. */
const answerTimeoutMs = 2000;

/** Without `tls` connections are in clear. */
export function createBalancers(addresses: Addresses, tls?: MeshTls): Balancers {
  const clients = new Map<string, GrpcClient<typeof BalancerService>>();
  const unfollow = addresses.follow(
    (address) =>
      clients.set(
        address,
        createGrpcClient(BalancerService, address, { tls, maxMessageBytes: 16 * 1024 ** 2 }),
      ),
    (address) => {
      clients.get(address)?.close();
      clients.delete(address);
    },
  );

  async function ask<Answer>(
    call: ControlCall,
    question: (
      client: GrpcClient<typeof BalancerService>,
      options: ReturnType<typeof callOptions>,
    ) => Promise<Answer>,
  ): Promise<readonly PromiseSettledResult<Answer>[]> {
    const options = callOptions(call);
    const answers = await Promise.allSettled(
      [...clients.values()].map((client) => question(client, options)),
    );
    call.signal.throwIfAborted();
    return answers;
  }

  return {
    addresses,

    async list(call) {
      const answers = await ask(call, (client, options) => client.listReplicas({}, options));
      const listings = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
      if (listings.length === 0) throw unreachable(answers);
      return listings;
    },

    async drain(call, replicaId, reason) {
      const answers = await ask(call, (client, options) =>
        client.drainReplica({ replicaId, reason }, options),
      );
      const views = answers.flatMap((answer) =>
        answer.status === 'fulfilled' && answer.value.replica !== undefined ? [answer.value.replica] : [],
      );
      if (views.length > 0) return views;
      const errors = answers.flatMap((answer) =>
        answer.status === 'rejected' ? [toMeshError(answer.reason)] : [],
      );
      // A balancer that cannot be asked may know it.
      throw errors.find((error) => error.reason !== 'REPLICA_NOT_FOUND') === undefined
        ? new MeshError('REPLICA_NOT_FOUND', `there is no replica ${replicaId}`, {
            resource: { type: 'replica', name: replicaId },
          })
        : unreachable(answers);
    },

    watch(address, minIntervalMs, signal) {
      const client = clients.get(address);
      if (client === undefined)
        throw new MeshError('BALANCER_UNREACHABLE', `there is no balancer ${address}`);
      return client.watchReplicas({ minIntervalMs }, { signal });
    },

    close() {
      unfollow();
      for (const client of clients.values()) client.close();
    },
  };
}

function callOptions({ requestId, trace, signal, clientDeadline }: ControlCall) {
  const deadline = earlier(clientDeadline, deadlineIn(answerTimeoutMs));
  const metadata = { [REQUEST_ID_HEADER]: requestId, [TRACEPARENT_HEADER]: formatTraceparent(trace) };
  return { signal, deadline, metadata };
}

function unreachable(answers: readonly PromiseSettledResult<unknown>[]): MeshError {
  const cause: unknown = answers.find((answer) => answer.status === 'rejected')?.reason;
  return new MeshError('BALANCER_UNREACHABLE', 'no balancer can be reached', { cause });
}
