/**
 * How much may be queued on HTTP/2 connections whose clients do not read. It is queued so that reading goes on meanwhile
 * (`packages/rpc/src/reading-socket.ts`): as much as a client's window may let through, while all of them together stay within
 * bounds. Beyond, writing waits, and with it reading, until the client reads or the stall guard cuts it off.
 */
import { SESSION_WINDOW_BYTES } from '@imagemesh/rpc';

/** What any connection may have queued. */
const freeBytes = 1024 ** 2;
/** What one may have queued while there is room. */
const maxBytes = SESSION_WINDOW_BYTES + freeBytes;
/** What all may have queued together, over the free part of each. */
const maxAllBytes = 128 * 1024 ** 2;

interface Queue {
  readonly writableLength: number;
}

/** Whether one of the connections may have more queued. */
export function hasQueueRoom(all: Iterable<Queue>, { writableLength }: Queue): boolean {
  if (writableLength <= freeBytes) return true;
  if (writableLength > maxBytes) return false;
  let bytes = 0;
  for (const each of all) bytes += Math.max(0, each.writableLength - freeBytes);
  return bytes <= maxAllBytes;
}
