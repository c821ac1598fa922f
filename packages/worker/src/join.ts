/** Membership: one Join stream to each balancer, for as long as the replica lives and the balancer is among the addresses. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  BalancerService,
  type JoinResponse,
  type LoadReportSchema,
  type ReplicaHelloSchema,
} from '@imagemesh/api';
import type { Logger } from '@imagemesh/observe';
import { type Addresses, createGrpcClient, type GrpcClient, type MeshTls, toMeshError } from '@imagemesh/rpc';

export interface MembershipOptions {
  readonly balancers: Addresses;
  /** Without it connections are in clear. */
  readonly tls?: MeshTls | undefined;
  /** Who the replica is. Called for each join. */
  readonly hello: () => MessageInitShape<typeof ReplicaHelloSchema>;
  /** How the replica is now. Called once for each report, of which each balancer gets the same. */
  readonly report: () => MessageInitShape<typeof LoadReportSchema>;
  /** A balancer asks the replica to finish and leave. */
  readonly onDrain: (reason: string) => void;
  readonly log: Logger;
}

export interface Membership {
  /** Balancers that have accepted the replica, now. */
  readonly joined: number;
  /** Reports at once: something changed that the balancers should not learn 250 ms later. */
  reportNow(): void;
  /** Leaves all balancers. */
  close(): Promise<void>;
}

const defaultReportMs = 250;
/** What a balancer may ask for. */
const minReportMs = 10;
const maxReportMs = 60_000;
const firstBackoffMs = 100;
const maxBackoffMs = 1000;

export function createMembership(options: MembershipOptions): Membership {
  const { balancers, log } = options;
  const ending = new AbortController();
  const links = new Map<string, Link>();
  const running = new Set<Promise<void>>();
  const added = (address: string) => {
    const known = links.get(address);
    if (known !== undefined) return known.keep(true);
    const link = createLink(address, options, ending.signal);
    links.set(address, link);
    const run = link.run().finally(() => {
      running.delete(run);
      links.delete(address);
    });
    running.add(run);
  };
  const unfollow = balancers.follow(added, (address) => links.get(address)?.keep(false));
  return {
    get joined() {
      return [...links.values()].filter((link) => link.isJoined()).length;
    },
    reportNow: () => {
      for (const link of links.values()) link.report();
    },
    close: async () => {
      unfollow();
      ending.abort();
      await Promise.all(running);
      log.debug('left the balancers');
    },
  };
}

interface Link {
  /** Joins, and joins again, until the end, or while it is kept. */
  run(): Promise<void>;
  /** Not kept, it lasts until the balancer ends it: a balancer that leaves may still have calls running here. */
  keep(isKept: boolean): void;
  isJoined(): boolean;
  /** Sends a report; none while not joined, or while the balancer does not read: the next one says more. */
  report(): void;
}

function createLink(address: string, options: MembershipOptions, signal: AbortSignal): Link {
  const { hello, onDrain, log, tls } = options;
  const client = createGrpcClient(BalancerService, address, {
    keepaliveMs: 1000,
    keepaliveTimeoutMs: 2000,
    tls,
  });
  let call: ReturnType<GrpcClient<typeof BalancerService>['join']> | undefined;
  let isJoined = false;
  let isSending = false;
  let timer: NodeJS.Timeout | undefined;
  let backoffMs = firstBackoffMs;
  /** Said once, not every second, while a balancer is away. */
  let isKnownAway = false;
  let isKept = true;

  const report = () => {
    if (call === undefined || !isJoined || isSending) return;
    isSending = true;
    const done = () => {
      isSending = false;
    };
    call.send({ message: { case: 'report', value: options.report() } }).then(done, done);
  };
  const onMessage = ({ message }: JoinResponse) => {
    switch (message.case) {
      case 'accepted': {
        const { balancerId, reportIntervalMs } = message.value;
        const askedMs = reportIntervalMs > 0 ? reportIntervalMs : defaultReportMs;
        isJoined = true;
        isKnownAway = false;
        backoffMs = firstBackoffMs;
        clearInterval(timer);
        timer = setInterval(report, Math.min(maxReportMs, Math.max(minReportMs, askedMs)));
        report();
        log.info({ balancer: address, balancerId }, 'joined');
        return;
      }
      case 'drain':
        onDrain(message.value.reason);
        return;
      case undefined:
        // A newer balancer's message; nothing that this version could do.
        return;
      default:
        message satisfies never;
    }
  };
  const joinOnce = async () => {
    const joined = client.join({ signal });
    call = joined;
    try {
      const sent = joined.send({ message: { case: 'hello', value: hello() } });
      // The loop below tells why sending failed.
      sent.catch(() => {});
      for await (const message of joined.messages) onMessage(message);
    } finally {
      clearInterval(timer);
      isJoined = false;
      isSending = false;
      call = undefined;
      joined.cancel();
    }
  };

  return {
    isJoined: () => isJoined,
    report,
    keep: (value) => {
      isKept = value;
    },
    run: async () => {
      while (!signal.aborted && isKept) {
        try {
          await joinOnce();
        } catch (error) {
          if (signal.aborted) break;
          const { reason, message } = toMeshError(error);
          log[isKnownAway ? 'debug' : 'warn']({ balancer: address, reason, message }, 'not joined');
        }
        isKnownAway = true;
        await sleep(backoffMs, undefined, { signal }).catch(() => {});
        backoffMs = Math.min(maxBackoffMs, backoffMs * 2);
      }
      client.close();
    },
  };
}
