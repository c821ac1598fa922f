/**
 * The balancer's own files, moved by the simulation instead of sockets: dispatch, speeds, ejection, hedging, retries. Clairvoyant:
 * told the true work, speeds and conditions.
 */
import { WorkerKind } from '@imagemesh/api';
import { earliestEndMs } from '../../services/balancer/src/admission.ts';
import { type Budget, hedgeBudget, retryBudget } from '../../services/balancer/src/budget.ts';
import { decide, type WaitingCall } from '../../services/balancer/src/dispatch.ts';
import { Ejection, maySpare } from '../../services/balancer/src/ejection.ts';
import { ForeignWork } from '../../services/balancer/src/foreign-work.ts';
import { type HedgeView, hedgePlace, isOverdue } from '../../services/balancer/src/hedge.ts';
import { afterFailure } from '../../services/balancer/src/retry.ts';
import { Speed, typicalSpeed, typicalSpread } from '../../services/balancer/src/speed.ts';
import { WaitQueue } from '../../services/balancer/src/wait-queue.ts';
import type { Job, RunningJob, SimReplica } from './sim-replica.ts';
import type { Policy, World } from './simulation.ts';

const needs = { worker: WorkerKind.RESIZE, operations: [], storeId: undefined, key: '' };
const maxAttempts = 3;

/** What is known of a replica. */
interface Known {
  readonly speed: Speed;
  readonly ejection: Ejection;
  readonly foreign: ForeignWork;
  hasSucceeded: boolean;
}

/** What is known of a job. */
interface Call {
  readonly job: Job;
  readonly waiting: WaitingCall;
  readonly excluded: Set<number>;
  readonly predictedMs: Map<SimReplica, number>;
  attempts: number;
  erroredOn: number;
  isHedged: boolean;
}

export class EarliestFinish implements Policy {
  readonly #isClairvoyant: boolean;
  readonly #queue = new WaitQueue<WaitingCall>();
  readonly #calls = new Map<number, Call>();
  readonly #known = new Map<SimReplica, Known>();
  readonly #hedges: Budget = hedgeBudget();
  readonly #retries: Budget = retryBudget();
  #running = 0;

  constructor(isClairvoyant: boolean) {
    this.#isClairvoyant = isClairvoyant;
  }

  get isWaiting(): boolean {
    return this.#queue.size > 0 || this.#running > 0;
  }

  arrive(job: Job, world: World): void {
    const excluded = new Set<number>();
    const waiting: WaitingCall = {
      id: job.id,
      order: job.id,
      callClass: job.callClass,
      needs,
      costMs: this.#isClairvoyant ? job.workMs : job.costMs,
      excluded,
      isAlone: false,
    };
    const counts = { attempts: 0, erroredOn: 0, isHedged: false };
    this.#calls.set(job.id, { job, waiting, excluded, predictedMs: new Map(), ...counts });
    this.#queue.add(waiting);
    this.#retries.earn();
    this.tick(world);
    this.#refuseLate(job, waiting, world);
  }

  finished({ job, costMs }: RunningJob, replica: SimReplica, execMs: number, world: World): void {
    const known = this.#of(replica);
    known.speed.learn(costMs, execMs, world.nowMs);
    known.foreign.worked(execMs);
    known.foreign.heard(world.foreignOn(replica), world.nowMs);
    known.ejection.succeeded();
    known.hasSucceeded = true;
    for (const other of world.replicas) {
      for (const run of other.running) {
        if (run.job === job) this.#overtake(run, other, world);
      }
    }
    this.#calls.delete(job.id);
    this.tick(world);
  }

  errored({ job }: RunningJob, replica: SimReplica, world: World): void {
    const known = this.#of(replica);
    known.ejection.failed();
    if (known.ejection.isDue) this.#eject(replica, known, world);
    const call = this.#calls.get(job.id);
    if (call === undefined) return;
    call.excluded.add(replica.index);
    call.erroredOn++;
    if (this.#isElsewhere(job, world)) return;
    const decision = afterFailure({
      failure: 'errored',
      failedAttempts: call.attempts,
      maxAttempts,
      erroredOn: call.erroredOn,
      isInBudget: this.#retries.isLeft,
      isIdempotent: true,
      isReplayable: true,
      isCommitted: false,
    });
    if (decision === 'again') {
      this.#retries.spend();
      this.#queue.add(call.waiting);
    } else {
      this.#calls.delete(job.id);
      world.fail(job);
    }
    this.tick(world);
  }

  lost(job: Job, replica: SimReplica, world: World): void {
    const call = this.#calls.get(job.id);
    if (call === undefined || this.#isElsewhere(job, world)) return;
    call.excluded.add(replica.index);
    this.#queue.add(call.waiting);
    this.tick(world);
  }

  busy(job: Job, replica: SimReplica, world: World): void {
    const call = this.#calls.get(job.id);
    this.#of(replica).foreign.heard(world.foreignOn(replica), world.nowMs);
    if (call === undefined || this.#isElsewhere(job, world)) return;
    call.attempts--;
    this.#queue.add(call.waiting);
    this.tick(world);
  }

  expired({ id }: Job, world: World): void {
    const call = this.#calls.get(id);
    if (call !== undefined) this.#queue.remove(call.waiting);
    this.#calls.delete(id);
    this.tick(world);
  }

  tick(world: World): void {
    const { replicas, rng } = world;
    const typical = this.#typical(world);
    if (!this.#isClairvoyant) this.#hedge(world);
    for (const { callId, replicaKey } of decide(this.#state(world), rng)) {
      const call = this.#calls.get(callId);
      const replica = replicas.find(({ index }) => index === replicaKey);
      if (call === undefined || replica === undefined) throw new Error('assigned what is not there');
      this.#queue.remove(call.waiting);
      this.#hedges.earn();
      this.#place(call, replica, world, typical);
    }
    this.#running = replicas.reduce((sum, { running }) => sum + running.size, 0);
  }

  /** As the scheduler does: a call that has to wait and cannot end in time. */
  #refuseLate(job: Job, waiting: WaitingCall, world: World): void {
    const { deadlineMs, nowMs } = world;
    if (deadlineMs === undefined || ![...this.#queue].includes(waiting)) return;
    const endMs = earliestEndMs(waiting, this.#state(world));
    if (endMs === undefined || endMs - nowMs <= deadlineMs) return;
    this.#queue.remove(waiting);
    this.#calls.delete(job.id);
    world.fail(job);
  }

  #state(world: World) {
    const typical = this.#typical(world);
    const replicas = world.replicas.map((replica) => this.#view(replica, world, typical));
    return { nowMs: world.nowMs, spread: this.#spread(world), waiting: this.#queue, replicas };
  }

  #typical({ replicas }: World): number {
    return typicalSpeed(replicas.map((replica) => this.#of(replica).speed.learned));
  }

  #spread({ replicas }: World): number {
    return this.#isClairvoyant ? 0 : typicalSpread(replicas.map((each) => this.#of(each).speed.spread));
  }

  #place(call: Call, replica: SimReplica, world: World, typical: number): void {
    call.attempts++;
    const speed = this.#of(replica).speed.at(world.nowMs, typical);
    call.predictedMs.set(replica, call.waiting.costMs / speed);
    world.place(call.job, replica);
  }

  #hedge(world: World): void {
    const spread = this.#spread(world);
    let views: readonly HedgeView[] | undefined;
    for (const replica of world.replicas) {
      for (const run of replica.running) {
        const call = this.#calls.get(run.job.id);
        if (call === undefined || call.isHedged || !this.#hedges.isLeft) continue;
        const predictedMs = call.predictedMs.get(replica) ?? run.costMs;
        if (!isOverdue({ startedMs: run.startedMs, predictedMs }, world.nowMs, spread)) continue;
        views ??= this.#state(world).replicas;
        const { excluded } = call;
        const where = { replicaKey: replica.index, hostId: String(replica.index) };
        const question = { ...run, ...where, predictedMs, needs, excluded };
        const chosen = hedgePlace(question, views, world.nowMs, spread);
        const place = world.replicas.find(({ index }) => index === chosen?.key);
        if (place === undefined) continue;
        call.isHedged = true;
        this.#hedges.spend();
        this.#place(call, place, world, 1);
        views = undefined;
      }
    }
  }

  /** Another was first. */
  #overtake(run: RunningJob, replica: SimReplica, world: World): void {
    const { nowMs } = world;
    const { startedMs, costMs } = run;
    const predictedMs = this.#calls.get(run.job.id)?.predictedMs.get(replica) ?? costMs;
    if (isOverdue({ startedMs, predictedMs }, nowMs, this.#spread(world)))
      this.#of(replica).speed.learnAtMost(costMs, nowMs - startedMs, nowMs);
    world.cancel(run, replica);
  }

  #eject(replica: SimReplica, known: Known, { replicas, nowMs, rng }: World): void {
    const capacity = (each: SimReplica) => each.spec.slots * (this.#of(each).speed.learned ?? 1);
    const sum = (of: readonly SimReplica[]) => of.reduce((total, each) => total + capacity(each), 0);
    const out = replicas.filter((each) => this.#of(each).ejection.isOut(nowMs));
    if (!maySpare(capacity(replica), sum(out), sum(replicas))) return;
    known.ejection.begin(nowMs, rng);
    known.hasSucceeded = false;
  }

  #isElsewhere(job: Job, { replicas }: World): boolean {
    return replicas.some(({ running }) => [...running].some((run) => run.job === job));
  }

  #view(replica: SimReplica, world: World, typical: number): HedgeView {
    const { nowMs } = world;
    const { speed, ejection, foreign, hasSucceeded } = this.#of(replica);
    const running = [...replica.running];
    const seen = this.#isClairvoyant
      ? {
          isCandidate: replica.conditionAt(nowMs) === 'up',
          credits: Math.max(0, replica.spec.slots - world.foreignOn(replica)),
          running: running.map((run) => clairvoyantRun(run, replica, nowMs)),
          speed: Math.max(1e-6, replica.speedAt(nowMs)),
        }
      : {
          isCandidate: !ejection.isOut(nowMs),
          credits: hasSucceeded ? Math.max(0, replica.spec.slots - foreign.at(nowMs)) : 1,
          running,
          speed: speed.at(nowMs, typical),
        };
    return {
      key: replica.index,
      worker: WorkerKind.RESIZE,
      operations: new Set(),
      storeId: '',
      hostId: String(replica.index),
      inFlight: running.length,
      isRunningAlone: false,
      ...seen,
    };
  }

  #of(replica: SimReplica): Known {
    let known = this.#known.get(replica);
    if (known === undefined) {
      known = {
        speed: new Speed(),
        ejection: new Ejection(),
        foreign: new ForeignWork(),
        hasSucceeded: false,
      };
      this.#known.set(replica, known);
    }
    return known;
  }
}

/** As if it had begun just now and were as long as it truly has still to go. */
function clairvoyantRun({ job, startedMs }: RunningJob, replica: SimReplica, nowMs: number) {
  const leftMs = Math.max(1e-6, replica.endOf(job.workMs, startedMs) - nowMs);
  return { costMs: leftMs * Math.max(1e-6, replica.speedAt(nowMs)), startedMs: nowMs };
}
