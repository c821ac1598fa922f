/**
 * Which waiting call goes to which replica now. Pure: values in, assignments out.
 *
 * The problem: calls differ a hundredfold in cost and replicas several-fold in speed, so spreading them by count lets a
 * large call end up on a slow replica, or a small one wait behind it. That is what tails are made of.
 * The idea: earliest expected finish, bound late. Calls wait in one queue. In its order each is given the slot on which it
 * would finish first, busy ones included; if that slot is free the call goes there now, else the slot is reserved for it,
 * in this pass only, and it waits on: the next pass knows more. So a call may pass up a slow idle replica for a fast
 * one that is soon free, and a smaller call behind it may take the slow one. Finishes about equal fall at random, so
 * that several balancers do not march in step.
 * A running call that takes far longer than predicted makes its replica as slow as that at once.
 *
 * Where it comes from: Clockwork (Gujarati et al., OSDI 2020) schedules by predicted finish from one controller; R2P2's
 * JBSQ (Kogias et al., ATC 2019) keeps the queue central and bounds what is bound early. First come, first served within a
 * class: shortest-first makes the tail worse.
 * When it is wrong: predictions that are off by a constant factor for one replica are learned as its speed; those that
 * are off for one operation shift what its neighbours seem to cost.
 */
import type { WorkerKind } from '@imagemesh/api';

/** From first to last in the queue. */
export const CALL_CLASSES = ['critical', 'default', 'sheddable', 'job'] as const;
export type CallClass = (typeof CALL_CLASSES)[number];

/** What a replica must have to run a call. */
export interface Needs {
  readonly worker: WorkerKind;
  readonly operations: readonly string[];
  /** The store it must share; undefined where none is named. */
  readonly storeId: string | undefined;
  /** Equal for equal needs. */
  readonly key: string;
}

export interface WaitingCall {
  readonly id: number;
  /** When it, or the first stage of its pipeline, arrived; kept when it queues again, which puts it at the head of its class. */
  readonly order: number;
  readonly callClass: CallClass;
  readonly needs: Needs;
  /** Predicted work in ms of a reference core. */
  readonly costMs: number;
  /** Keys of replicas that failed it; they run it only where no other can. */
  readonly excluded: ReadonlySet<number>;
  /** Whether it must share its replica with no other call while it runs: its last replica died. */
  readonly isAlone: boolean;
}

/** What a replica can do. */
export interface Capability {
  readonly worker: WorkerKind;
  readonly operations: ReadonlySet<string>;
  readonly storeId: string;
}

export interface RunningCall {
  /** Predicted work in ms of a reference core. */
  readonly costMs: number;
  readonly startedMs: number;
}

export interface ReplicaView extends Capability {
  /** Its join: a replica that comes back has another key. */
  readonly key: number;
  /** Whether it is given work at all. */
  readonly isCandidate: boolean;
  /** Calls it may run at once now, by its own word and its state. */
  readonly credits: number;
  readonly inFlight: number;
  /** The calls that it runs. */
  readonly running: Iterable<RunningCall>;
  /** Reference-ms of work that one of its slots does in a ms. */
  readonly speed: number;
  /** Whether the call that it runs must stay alone. */
  readonly isRunningAlone: boolean;
}

export interface DispatchState {
  /** By the clock of `startedMs`. */
  readonly nowMs: number;
  /** How far predictions are off: standard deviation of the logarithm of predicted over true work. */
  readonly spread: number;
  /** In the order of the queue: by class, then by `order`. */
  readonly waiting: Iterable<WaitingCall>;
  readonly replicas: readonly ReplicaView[];
}

export interface Assignment {
  readonly callId: number;
  readonly replicaKey: number;
}

/** A replica during one pass: what the assignments and reservations so far leave of it. */
export interface Place {
  readonly view: ReplicaView;
  /** As `view.speed`, or less while a call overruns. */
  readonly speed: number;
  /** When each slot is free, the soonest first. */
  slots: number[];
  inFlight: number;
}

/** Calls with the same needs that are given a slot or a reservation in one pass. */
const lookAhead = 64;

/** A call overruns when it has taken longer than predicted by two standard deviations, and by so many ms. */
const overrunDeviations = 2;
const overrunMs = 10;

/** A call that overruns is expected to take this share of its elapsed time more. */
export const overrunRest = 0.5;

/** Finishes that are so close, relative to the time until then, are equal. */
const tie = 0.03;

/** Assigns waiting calls to free slots. `rng` is uniform in [0, 1). */
export function decide(
  { nowMs, spread, waiting, replicas }: DispatchState,
  rng: () => number,
): readonly Assignment[] {
  const places = replicas.filter((view) => view.isCandidate).map((view) => placeOf(view, nowMs, spread));
  let free = places.reduce((sum, place) => sum + freeSlots(place, nowMs), 0);
  const assignments: Assignment[] = [];
  const seen = new Map<string, number>();
  let isDraining = false;
  for (const call of waiting) {
    if (free === 0) break;
    const isPlain = !call.isAlone && call.excluded.size === 0;
    const before = seen.get(call.needs.key) ?? 0;
    if (isPlain && before >= lookAhead) continue;
    const able = placesFor(call, places);
    const open = call.isAlone ? able.filter((place) => place.inFlight === 0) : able;
    const chosen = earliestFinish(call, open, nowMs, rng);
    if (chosen !== undefined) {
      seen.set(call.needs.key, before + 1);
      const isFree = (chosen.slots[0] ?? nowMs) <= nowMs;
      const freeBefore = freeSlots(chosen, nowMs);
      take(chosen, call, nowMs);
      free -= freeBefore - freeSlots(chosen, nowMs);
      if (!isFree) continue;
      chosen.inFlight += 1;
      assignments.push({ callId: call.id, replicaKey: chosen.view.key });
    } else if (isPlain) {
      seen.set(call.needs.key, lookAhead);
    } else if (call.isAlone && !isDraining) {
      // Else a busy fleet would never have an idle replica for it. One at a time, or a crash could idle the fleet.
      isDraining = true;
      const emptied = fewestInFlight(able);
      if (emptied === undefined) continue;
      free -= freeSlots(emptied, nowMs);
      emptied.slots = [];
    }
  }
  return assignments;
}

/** Whether a replica has the operations and the store for it. */
export function canRun({ worker, operations, storeId }: Needs, replica: Capability): boolean {
  return (
    replica.worker === worker &&
    (storeId === undefined || replica.storeId === storeId) &&
    operations.every((operation) => replica.operations.has(operation))
  );
}

/** When its slots are free, as far as its running calls let tell. */
export function placeOf(view: ReplicaView, nowMs: number, spread: number): Place {
  const overrunFactor = Math.exp(overrunDeviations * spread);
  const running = [...view.running];
  let { speed } = view;
  for (const { costMs, startedMs } of running) {
    const elapsedMs = nowMs - startedMs;
    const predictedMs = costMs / view.speed;
    if (elapsedMs > overrunFactor * predictedMs && elapsedMs > predictedMs + overrunMs)
      speed = Math.min(speed, costMs / elapsedMs);
  }
  const ends = running
    .map(({ costMs, startedMs }) => {
      const endMs = startedMs + costMs / speed;
      return endMs > nowMs ? endMs : nowMs + (overrunRest * costMs) / speed;
    })
    .sort(ascending);
  return {
    view,
    speed,
    inFlight: view.inFlight,
    slots: view.isRunningAlone ? [] : slotsOf(view, ends, nowMs),
  };
}

/** With more calls than credits, the first ends free no slot. */
function slotsOf({ credits }: ReplicaView, ends: readonly number[], nowMs: number): number[] {
  const idle = Math.max(0, credits - ends.length);
  return [...new Array<number>(idle).fill(nowMs), ...ends.slice(Math.max(0, ends.length - credits))];
}

function freeSlots({ slots }: Place, nowMs: number): number {
  const at = slots.findIndex((freeMs) => freeMs > nowMs);
  return at < 0 ? slots.length : at;
}

/** Its soonest slot is the call's now; all of them where it must stay alone. */
function take(place: Place, { costMs, isAlone }: WaitingCall, nowMs: number): void {
  const [soonest = nowMs, ...rest] = place.slots;
  place.slots = isAlone ? [] : [...rest, soonest + costMs / place.speed].sort(ascending);
}

function ascending(a: number, b: number): number {
  return a - b;
}

/** Where it may run, free or not: away from the replicas that failed it, unless there are no others. */
function placesFor(call: WaitingCall, places: readonly Place[]): readonly Place[] {
  const able = places.filter((place) => canRun(call.needs, place.view));
  if (call.excluded.size === 0) return able;
  const others = able.filter((place) => !call.excluded.has(place.view.key));
  return others.length > 0 ? others : able;
}

/** Where it would finish first; of equals one at random, a free one before one that is to be waited for. */
function earliestFinish(
  { costMs }: WaitingCall,
  places: readonly Place[],
  nowMs: number,
  rng: () => number,
): Place | undefined {
  let bestMs = Number.POSITIVE_INFINITY;
  for (const place of places) bestMs = Math.min(bestMs, finishMs(place, costMs));
  if (bestMs === Number.POSITIVE_INFINITY) return undefined;
  const limitMs = nowMs + (bestMs - nowMs) * (1 + tie);
  let best: Place | undefined;
  let isBestFree = false;
  let ties = 0;
  for (const place of places) {
    if (!(finishMs(place, costMs) <= limitMs)) continue;
    const isFree = (place.slots[0] ?? nowMs) <= nowMs;
    if (isBestFree && !isFree) continue;
    ties = isFree === isBestFree ? ties + 1 : 1;
    if (ties === 1 || rng() * ties < 1) best = place;
    isBestFree = isFree;
  }
  return best;
}

function finishMs({ slots, speed }: Place, costMs: number): number {
  return (slots[0] ?? Number.POSITIVE_INFINITY) + costMs / speed;
}

/** The first of those with the fewest, so that the choice stays the same from pass to pass. */
function fewestInFlight(places: readonly Place[]): Place | undefined {
  return places.reduce<Place | undefined>(
    (best, place) => (best === undefined || place.inFlight < best.inFlight ? place : best),
    undefined,
  );
}
