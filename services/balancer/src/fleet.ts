/** The replicas: those that joined, and those that died in the last minute. */
import type { LoadReport, ReplicaHello, WorkerKind } from '@imagemesh/api';
import type { Logger } from '@imagemesh/observe';
import { createSessionPool, MeshError, type MeshTls } from '@imagemesh/rpc';
import { AttentiveClock } from './attentive-clock.ts';
import { maySpare } from './ejection.ts';
import { type HealthLimits, judge } from './health.ts';
import { type JoinLink, Replica, type ReplicaTimes } from './replica.ts';

export interface FleetOptions {
  readonly health: HealthLimits;
  /** Without it connections are in clear. */
  readonly tls?: MeshTls | undefined;
  readonly maxReplicas: number;
  /** How long a dead replica is listed. */
  readonly deadListedMs: number;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly rng: () => number;
  /** Monotonic, in ms; stands still while this process does. */
  readonly now: () => number;
  readonly onEject: (replica: Replica) => void;
  /** A replica came, went or changed its state: work of that kind may move. */
  readonly onChange: (worker: WorkerKind) => void;
}

/** A replica's stay, as its join stream sees it. */
export interface Membership {
  readonly replica: Replica;
  report(report: LoadReport): void;
  /** The stream ended: in order (`left`) or not (`broken`). */
  ended(how: 'left' | 'broken'): void;
}

/** How often signs of life are judged. */
export const JUDGE_EVERY_MS = 100;
/** Dead replicas listed at most. */
const maxDead = 100;
const ping = { intervalMs: 1000, timeoutMs: 1000 };
const connectTimeoutMs = 2000;
const reconnectMs = { first: 50, most: 1000 };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #clock = new AttentiveClock(JUDGE_EVERY_MS, performance.now());
  readonly #byId = new Map<string, Replica>();
  readonly #byWorker = new Map<WorkerKind, readonly Replica[]>();
  readonly #reconnecting = new Set<Replica>();
  #dead: { readonly replica: Replica; readonly atMs: number }[] = [];
  #nextKey = 1;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.#clock.tick(performance.now());
      // Reports that came during a stall are read before anyone is judged by their absence.
      setImmediate(() => this.#judgeAll());
    }, JUDGE_EVERY_MS);
  }

  /** Time that this process stood still, in ms; it is held against no replica. */
  get stalledMs(): number {
    return this.#clock.missedMs;
  }

  /** Those of that kind that are not dead. */
  ofWorker(worker: WorkerKind): readonly Replica[] {
    return this.#byWorker.get(worker) ?? [];
  }

  /** Those that are not dead, by id. */
  living(): readonly Replica[] {
    return [...this.#byId.values()].sort(byId);
  }

  /** The living and the recently dead; of the dead with one id only the last. */
  listed(): readonly Replica[] {
    const dead = new Map(this.#dead.map(({ replica }) => [replica.id, replica]));
    for (const id of this.#byId.keys()) dead.delete(id);
    return [...this.#byId.values(), ...dead.values()].sort(byId);
  }

  /** Lets a replica in once it can be reached. Throws MeshError REPLICA_ID_TAKEN, OVERLOADED or REPLICA_LOST. */
  async join(hello: ReplicaHello, link: JoinLink): Promise<Membership> {
    const known = this.#admit(hello);
    if (known !== undefined) {
      known.link?.end();
      known.renew(hello, this.#times());
      return this.#settle(known, link);
    }
    const pool = createSessionPool(hello.address, {
      tls: this.#options.tls,
      keepalive: ping,
      connectTimeoutMs,
      unreachable: (cause) =>
        new MeshError('REPLICA_LOST', `no connection to replica ${hello.replicaId}`, { cause }),
    });
    try {
      await pool.connect();
      const meanwhile = this.#admit(hello);
      if (meanwhile !== undefined) {
        await pool.close();
        meanwhile.link?.end();
        meanwhile.renew(hello, this.#times());
        return this.#settle(meanwhile, link);
      }
    } catch (error) {
      await pool.close();
      if (error instanceof MeshError && error.reason !== 'REPLICA_LOST') throw error;
      throw new MeshError(
        'REPLICA_LOST',
        `replica ${hello.replicaId} cannot be reached at ${hello.address}; is ADVERTISE_ADDRESS right?`,
        { cause: error },
      );
    }
    const replica = new Replica(this.#nextKey++, hello, pool, this.#times(), this.#options.now);
    this.#byId.set(replica.id, replica);
    pool.onDown(() => this.#judge(replica));
    this.#relist(replica.worker);
    return this.#settle(replica, link);
  }

  /** No new work for it, and it is told to leave. */
  drain(replicaId: string, reason: string): Replica {
    const replica = this.#byId.get(replicaId);
    if (replica === undefined) {
      throw new MeshError('REPLICA_NOT_FOUND', `no replica ${replicaId} has joined`, {
        resource: { type: 'replica', name: replicaId },
      });
    }
    replica.isDraining = true;
    replica.link?.drain(reason);
    this.#options.log.info({ replica: replica.id, reason }, 'draining replica');
    this.#judge(replica);
    return replica;
  }

  /** It said BUSY: no work for it for that long. */
  pause(replica: Replica, ms: number): void {
    if (replica.isPaused) return;
    replica.isPaused = true;
    setTimeout(() => {
      replica.isPaused = false;
      this.#options.onChange(replica.worker);
    }, ms);
  }

  /** A call on it has ended: the first success makes it ready, the last call lets it go, too many faults keep it out. */
  callEnded(replica: Replica): void {
    if (replica.isEjectionDue) this.#eject(replica);
    else if (replica.condition !== 'ready') this.#judge(replica);
  }

  /** With its last one, no more work until it has another. */
  connectionBroke(replica: Replica): void {
    this.#judge(replica);
  }

  /** A fault of it turned out to be the call's. */
  forgive(replica: Replica): void {
    replica.forgive();
    this.#judge(replica);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const replicas = this.living();
    for (const replica of replicas) replica.link?.end();
    await Promise.all(replicas.map((replica) => replica.pool.close()));
  }

  /** The replica of that id to take over from, if there is one; throws if it must not join. */
  #admit({ replicaId, address, worker }: ReplicaHello): Replica | undefined {
    const known = this.#byId.get(replicaId);
    if (known === undefined) {
      if (this.#byId.size < this.#options.maxReplicas) return undefined;
      throw new MeshError('OVERLOADED', `there are ${this.#options.maxReplicas} replicas already`);
    }
    if (known.address === address && known.worker === worker) return known;
    throw new MeshError(
      'REPLICA_ID_TAKEN',
      `a replica ${replicaId} at ${known.address} has joined; choose another REPLICA_ID`,
      { metadata: { replica: replicaId, address: known.address } },
    );
  }

  #settle(replica: Replica, link: JoinLink): Membership {
    replica.link = link;
    const { id, address, hello } = replica;
    this.#options.log.info(
      { replica: id, address, slots: hello.slots, build: hello.build, store: hello.storeId },
      'replica joined',
    );
    this.#judge(replica);
    this.#options.onChange(replica.worker);
    return {
      replica,
      report: (report) => {
        const wasServing = replica.isServing;
        replica.reportCame(report, this.#times());
        if (wasServing !== report.serving || replica.condition === 'suspect') this.#judge(replica);
      },
      ended: (how) => {
        // A newer stream of the same replica has taken its place.
        if (replica.link !== link) return;
        replica.link = undefined;
        if (how === 'left') replica.isDraining = true;
        this.#judge(replica);
      },
    };
  }

  #judgeAll(): void {
    for (const replica of [...this.#byId.values()]) this.#judge(replica);
    const nowMs = performance.now();
    this.#dead = this.#dead.filter(({ atMs }) => nowMs - atMs < this.#options.deadListedMs);
  }

  #judge(replica: Replica): void {
    if (replica.condition === 'dead') return;
    const before = replica.condition;
    const hasLeft = replica.isDraining && replica.link === undefined && replica.isIdle;
    const signs = replica.signs(this.#clock.at(performance.now()));
    replica.condition = hasLeft ? 'dead' : judge(signs, this.#options.health);
    if (replica.condition === 'dead') {
      this.#bury(replica, hasLeft ? 'left' : `lost (last report ${Math.round(signs.reportAgeMs)} ms ago)`);
    } else if (!signs.isConnected) {
      void this.#reconnect(replica);
    }
    if (replica.condition === before) return;
    this.#options.log.info({ replica: replica.id, from: before, to: replica.condition }, 'replica changed');
    this.#options.onChange(replica.worker);
  }

  /** Not if too little would be left: a bad answer may be better than none. */
  #eject(replica: Replica): void {
    const peers = this.ofWorker(replica.worker);
    const sum = (of: readonly Replica[]) => of.reduce((total, peer) => total + capacityOf(peer), 0);
    const out = peers.filter(({ condition }) => condition === 'ejected');
    if (!maySpare(capacityOf(replica), sum(out), sum(peers))) return;
    const ms = replica.eject(this.#options.rng, Date.now());
    this.#options.onEject(replica);
    this.#options.log.warn(
      { replica: replica.id, ms: Math.round(ms), why: replica.lastError },
      'ejecting replica',
    );
    this.#judge(replica);
  }

  #bury(replica: Replica, why: string): void {
    this.#byId.delete(replica.id);
    this.#relist(replica.worker);
    if (why !== 'left' && replica.lastError === '') replica.lastError = why;
    this.#dead = [...this.#dead, { replica, atMs: performance.now() }].slice(-maxDead);
    this.#options.log.info({ replica: replica.id, why }, 'replica gone');
    replica.link?.end();
    replica.link = undefined;
    // Its calls fail with their connection, and run elsewhere.
    void replica.pool.close();
  }

  async #reconnect(replica: Replica): Promise<void> {
    if (this.#reconnecting.has(replica)) return;
    this.#reconnecting.add(replica);
    try {
      for (let pauseMs = reconnectMs.first; this.#byId.get(replica.id) === replica; ) {
        await replica.pool.connect().catch(() => {});
        if (replica.pool.isConnected) break;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        pauseMs = Math.min(2 * pauseMs, reconnectMs.most);
      }
    } finally {
      this.#reconnecting.delete(replica);
    }
    this.#judge(replica);
  }

  #relist(worker: WorkerKind): void {
    this.#byWorker.set(
      worker,
      this.living().filter((replica) => replica.worker === worker),
    );
  }

  #times(): ReplicaTimes {
    return { attentiveMs: this.#clock.at(performance.now()), wallMs: Date.now() };
  }
}

function capacityOf({ hello, speed }: Replica): number {
  return hello.slots * speed;
}

function byId(a: Replica, b: Replica): number {
  return a.id < b.id ? -1 : 1;
}
