/** The calls that wait, in the order in which they are to be served: by class, then by arrival. */
import { CALL_CLASSES, type CallClass, type WaitingCall } from './dispatch.ts';

export class WaitQueue<Call extends WaitingCall> implements Iterable<Call> {
  readonly #lanes: Readonly<Record<CallClass, Call[]>> = {
    critical: [],
    default: [],
    sheddable: [],
    job: [],
  };
  #size = 0;
  #costMs = 0;

  get size(): number {
    return this.#size;
  }

  /** Predicted work waiting, in ms of a reference core. */
  get costMs(): number {
    return this.#costMs;
  }

  add(call: Call): void {
    const lane = this.#lanes[call.callClass];
    lane.splice(placeIn(lane, call), 0, call);
    this.#size++;
    this.#costMs += call.costMs;
  }

  /** Whether it was there. */
  remove(call: Call): boolean {
    const lane = this.#lanes[call.callClass];
    const place = placeIn(lane, call);
    if (lane[place] !== call) return false;
    lane.splice(place, 1);
    this.#size--;
    this.#costMs = this.#size === 0 ? 0 : this.#costMs - call.costMs;
    return true;
  }

  /** The last of a class. */
  last(callClass: CallClass): Call | undefined {
    return this.#lanes[callClass].at(-1);
  }

  *[Symbol.iterator](): Iterator<Call> {
    for (const callClass of CALL_CLASSES) yield* this.#lanes[callClass];
  }
}

/** Binary search: the first place that is not before it. New calls come last, so that is looked at first. */
function placeIn(lane: readonly WaitingCall[], call: WaitingCall): number {
  let low = 0;
  let high = lane.length;
  if (high === 0 || isBefore(lane[high - 1], call)) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(lane[middle], call)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isBefore(a: WaitingCall | undefined, b: WaitingCall): boolean {
  return a !== undefined && (a.order < b.order || (a.order === b.order && a.id < b.id));
}
