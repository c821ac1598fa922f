/**
 * Which waiting call goes to which replica now. Pure: values in, assignments out.
 *
 * The problem: calls differ a hundredfold in cost, so spreading them by count lets a small call wait behind a large one.
 * The idea: bind late. A call waits in one queue until a slot that may run it is free, and goes to the replica with
 * the least outstanding cost for each of its slots; ties fall at random, so that several balancers do not march in step.
 * Order: class by class, first come first served within one; a call that nothing free can run does not hold up those
 * behind it. It is the central queue of R2P2's JBSQ (Kogias et al., ATC 2019) with its bound at the slots.
 *
 * When it is wrong: replicas of different speed are all taken for equal. Whatever replaces `decide` keeps its signature.
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
  /** Place of its arrival; kept when it queues again, which puts it at the head of its class. */
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

export interface ReplicaView extends Capability {
  /** Its join: a replica that comes back has another key. */
  readonly key: number;
  /** Whether it is given work at all. */
  readonly isCandidate: boolean;
  /** Calls it may run at once now, by its own word and its state. */
  readonly credits: number;
  readonly inFlight: number;
  /** Predicted work of the calls it runs, in ms of a reference core. */
  readonly outstandingMs: number;
  /** Whether the call that it runs must stay alone. */
  readonly isRunningAlone: boolean;
}

export interface DispatchState {
  /** In the order of the queue: by class, then by `order`. */
  readonly waiting: Iterable<WaitingCall>;
  readonly replicas: readonly ReplicaView[];
}

export interface Assignment {
  readonly callId: number;
  readonly replicaKey: number;
}

/** A replica during one pass: what the assignments so far leave of it. */
interface Place {
  readonly view: ReplicaView;
  free: number;
  inFlight: number;
  outstandingMs: number;
}

/** Assigns as many waiting calls as there are free slots for. `rng` is uniform in [0, 1). */
export function decide({ waiting, replicas }: DispatchState, rng: () => number): readonly Assignment[] {
  const places = replicas.filter((view) => view.isCandidate).map(placeOf);
  let free = places.reduce((sum, place) => sum + place.free, 0);
  const assignments: Assignment[] = [];
  const unservedNeeds = new Set<string>();
  let isDraining = false;
  for (const call of waiting) {
    if (free === 0) break;
    const isPlain = !call.isAlone && call.excluded.size === 0;
    if (isPlain && unservedNeeds.has(call.needs.key)) continue;
    const able = placesFor(call, places);
    const chosen = leastOutstanding(call.isAlone ? able.filter((place) => place.inFlight === 0) : able, rng);
    if (chosen !== undefined) {
      assignments.push({ callId: call.id, replicaKey: chosen.view.key });
      const taken = call.isAlone ? chosen.free : 1;
      free -= taken;
      chosen.free -= taken;
      chosen.inFlight += 1;
      chosen.outstandingMs += call.costMs;
    } else if (isPlain) {
      unservedNeeds.add(call.needs.key);
    } else if (call.isAlone && !isDraining) {
      // Else a busy fleet would never have an idle replica for it. One at a time, or a crash could idle the fleet.
      isDraining = true;
      const emptied = fewestInFlight(able);
      free -= emptied?.free ?? 0;
      if (emptied !== undefined) emptied.free = 0;
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

function placeOf(view: ReplicaView): Place {
  const { inFlight, outstandingMs } = view;
  return {
    view,
    free: view.isRunningAlone ? 0 : Math.max(0, view.credits - inFlight),
    inFlight,
    outstandingMs,
  };
}

/** Where it may run, free or not: away from the replicas that failed it, unless there are no others. */
function placesFor(call: WaitingCall, places: readonly Place[]): readonly Place[] {
  const able = places.filter((place) => canRun(call.needs, place.view));
  if (call.excluded.size === 0) return able;
  const others = able.filter((place) => !call.excluded.has(place.view.key));
  return others.length > 0 ? others : able;
}

function leastOutstanding(places: readonly Place[], rng: () => number): Place | undefined {
  let best: Place | undefined;
  let bestLoad = Number.POSITIVE_INFINITY;
  let ties = 0;
  for (const place of places) {
    if (place.free === 0) continue;
    const load = place.outstandingMs / place.view.credits;
    if (load > bestLoad) continue;
    ties = load === bestLoad ? ties + 1 : 1;
    if (ties === 1 || rng() * ties < 1) best = place;
    bestLoad = load;
  }
  return best;
}

/** The first of those with the fewest, so that the choice stays the same from pass to pass. */
function fewestInFlight(places: readonly Place[]): Place | undefined {
  return places.reduce<Place | undefined>(
    (best, place) => (best === undefined || place.inFlight < best.inFlight ? place : best),
    undefined,
  );
}
