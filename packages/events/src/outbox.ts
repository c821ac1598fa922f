/**
 * Events that the stream has not confirmed, oldest first, within bounds of count and bytes: those not sent yet, and those
 * sent whose confirmation is still to come. Over a bound the oldest that is not sent goes. Pure: what sends is
 * outbox-sender.ts.
 */
import type { MsgHdrs } from 'nats';

export interface OutgoingEvent {
  /** The NATS subject. */
  readonly to: string;
  readonly bytes: Uint8Array;
  readonly headers: MsgHdrs;
  /** Takes the place of an event on the same subject that is not sent yet: only the newest is of interest. */
  readonly replaces: boolean;
}

export interface Outbox {
  /** Events held, sent or not. */
  readonly size: number;
  readonly sizeBytes: number;
  /** Those sent and not confirmed. */
  readonly sent: number;
  /** Takes it as the newest; the number says how many others, or itself, were dropped for it. */
  add(event: OutgoingEvent): number;
  /** The oldest not sent, with its place, by which it is known from then on. */
  next(): readonly [place: number, event: OutgoingEvent] | undefined;
  markSent(place: number): void;
  /** Whether one sent at that place or before is not confirmed. */
  holdsSent(upToPlace: number): boolean;
  /** Forgets it: the stream has it, or will never take it. False if it was not held. */
  settle(place: number): boolean;
  /** Those sent are to be sent again, in their order, before the others. */
  unsend(): void;
}

export interface OutboxBounds {
  readonly maxCount: number;
  readonly maxBytes: number;
}

/** Memory that an event takes beside its bytes: headers, subject, the maps here. */
const overheadBytes = 512;

export function createOutbox({ maxCount, maxBytes }: OutboxBounds): Outbox {
  let lastPlace = 0;
  let sizeBytes = 0;
  const sent = new Map<number, OutgoingEvent>();
  let unsent = new Map<number, OutgoingEvent>();
  /** Places of unsent events that a newer one replaces, by subject. */
  const replaceable = new Map<string, number>();

  function removeUnsent(place: number, event: OutgoingEvent): void {
    unsent.delete(place);
    sizeBytes -= sizeOf(event);
    if (replaceable.get(event.to) === place) replaceable.delete(event.to);
  }

  return {
    get size() {
      return sent.size + unsent.size;
    },
    get sizeBytes() {
      return sizeBytes;
    },
    get sent() {
      return sent.size;
    },
    add(event) {
      const olderPlace = event.replaces ? replaceable.get(event.to) : undefined;
      const older = olderPlace === undefined ? undefined : unsent.get(olderPlace);
      if (olderPlace !== undefined && older !== undefined) removeUnsent(olderPlace, older);
      lastPlace += 1;
      unsent.set(lastPlace, event);
      sizeBytes += sizeOf(event);
      if (event.replaces) replaceable.set(event.to, lastPlace);
      let dropped = 0;
      for (const [place, oldest] of unsent) {
        if (sent.size + unsent.size <= maxCount && sizeBytes <= maxBytes) break;
        removeUnsent(place, oldest);
        dropped += 1;
      }
      return dropped;
    },
    next: () => unsent.entries().next().value,
    markSent(place) {
      const event = unsent.get(place);
      if (event === undefined) return;
      unsent.delete(place);
      if (replaceable.get(event.to) === place) replaceable.delete(event.to);
      sent.set(place, event);
    },
    holdsSent(upToPlace) {
      const [oldest] = sent.keys();
      return oldest !== undefined && oldest <= upToPlace;
    },
    settle(place) {
      const event = sent.get(place);
      if (event !== undefined) {
        sent.delete(place);
        sizeBytes -= sizeOf(event);
        return true;
      }
      const waiting = unsent.get(place);
      if (waiting !== undefined) removeUnsent(place, waiting);
      return waiting !== undefined;
    },
    unsend() {
      // What was sent is older than what was not.
      unsent = new Map([...sent, ...unsent]);
      sent.clear();
    },
  };
}

function sizeOf({ bytes }: OutgoingEvent): number {
  return bytes.byteLength + overheadBytes;
}
