/** Join: a replica's stay, from its hello to the end of its stream. */
import { timingSafeEqual } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { JoinRequest, JoinResponseSchema, ReplicaHello } from '@imagemesh/api';
import { invalidField, MeshError } from '@imagemesh/rpc';
import type { Fleet, Membership } from './fleet.ts';
import type { JoinLink } from './replica.ts';

export interface JoinOptions {
  readonly fleet: Fleet;
  readonly balancerId: string;
  readonly reportIntervalMs: number;
  /** What a hello must carry; empty: nothing. */
  readonly joinToken: string;
}

type Response = MessageInitShape<typeof JoinResponseSchema>;

export async function* join(
  requests: AsyncIterable<JoinRequest>,
  signal: AbortSignal,
  options: JoinOptions,
): AsyncGenerator<Response> {
  const incoming = requests[Symbol.asyncIterator]();
  const hello = await readHello(incoming, options.joinToken);
  const outbox = createOutbox();
  const membership = await options.fleet.join(hello, outbox.link);
  const onAbort = () => {
    membership.ended('broken');
    outbox.link.end();
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    const { balancerId, reportIntervalMs } = options;
    yield { message: { case: 'accepted', value: { balancerId, reportIntervalMs } } };
    void readReports(incoming, membership).finally(outbox.link.end);
    yield* outbox.messages();
  } finally {
    signal.removeEventListener('abort', onAbort);
    membership.ended('broken');
  }
}

async function readHello(incoming: AsyncIterator<JoinRequest>, joinToken: string): Promise<ReplicaHello> {
  const first = await incoming.next();
  const message = first.done === true ? undefined : first.value.message;
  if (message?.case !== 'hello') throw invalidField('hello', 'the first message must be the hello');
  const hello = message.value;
  if (joinToken !== '' && !isSame(hello.joinToken, joinToken)) {
    throw new MeshError('JOIN_REFUSED', 'the join token is not the one that this balancer asks for');
  }
  if (!/^(\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]+):\d{1,5}$/.test(hello.address)) {
    throw invalidField('hello.address', 'expected host:port');
  }
  // Sent once, kept nowhere.
  return { ...hello, joinToken: '' };
}

/** Until the stream ends; never throws. */
async function readReports(incoming: AsyncIterator<JoinRequest>, membership: Membership): Promise<void> {
  try {
    for (;;) {
      const next = await incoming.next();
      if (next.done === true) break;
      // A second hello says nothing new: what it says holds from its stream's beginning.
      if (next.value.message.case === 'report') membership.report(next.value.message.value);
    }
    membership.ended('left');
  } catch {
    membership.ended('broken');
  }
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}

/** What is to be said to the replica: at most one drain, then the end. */
function createOutbox(): { link: JoinLink; messages(): AsyncGenerator<Response> } {
  let drainReason: string | undefined;
  let isEnded = false;
  let wake = () => {};
  const link: JoinLink = {
    drain: (reason) => {
      drainReason = reason;
      wake();
    },
    end: () => {
      isEnded = true;
      wake();
    },
  };
  async function* messages(): AsyncGenerator<Response> {
    while (!isEnded) {
      if (drainReason !== undefined) {
        const reason = drainReason;
        drainReason = undefined;
        yield { message: { case: 'drain', value: { reason } } };
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  return { link, messages };
}
