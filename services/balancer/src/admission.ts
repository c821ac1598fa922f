/** Whether a call that has to wait can still end before its deadline. Pure. */
import { canRun, type DispatchState, placeOf, type WaitingCall } from './dispatch.ts';

/**
 * The earliest end of the last of the waiting calls that need the same, `call`: as if the work before it could be
 * divided at will, so that it is rather too early than too late. Undefined while a slot that may run it is free, or where
 * nothing is known: a wrong prediction must not refuse work to an idle fleet.
 */
export function earliestEndMs(
  call: WaitingCall,
  { nowMs, spread, waiting, replicas }: DispatchState,
): number | undefined {
  const places = replicas
    .filter((view) => view.isCandidate && canRun(call.needs, view))
    .map((view) => placeOf(view, nowMs, spread));
  const slots = places
    .flatMap(({ slots: times, speed }) => times.map((freeMs) => ({ freeMs, speed })))
    .sort((a, b) => a.freeMs - b.freeMs);
  const [first] = slots;
  if (first === undefined || first.freeMs <= nowMs) return undefined;
  let left = workBefore(call, waiting);
  let speed = 0;
  let atMs = first.freeMs;
  for (const slot of slots) {
    const done = (slot.freeMs - atMs) * speed;
    if (speed > 0 && done >= left) break;
    left -= done;
    atMs = slot.freeMs;
    speed += slot.speed;
  }
  const fastest = Math.max(...slots.map((slot) => slot.speed));
  return atMs + left / speed + call.costMs / fastest;
}

function workBefore(call: WaitingCall, waiting: Iterable<WaitingCall>): number {
  let work = 0;
  for (const each of waiting) {
    if (each.id === call.id) break;
    if (each.needs.key === call.needs.key) work += each.costMs;
  }
  return work;
}
