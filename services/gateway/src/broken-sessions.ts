/**
 * Closes HTTP/2 connections whose client has broken the protocol.
 *
 * nghttp2 answers many such errors (frame sizes, HPACK, DATA without a stream, CONTINUATION, …) by itself: it sends GOAWAY with
 * the code of RFC 9113 and from then on neither reads nor writes. Node is told of only some of them. Of the rest it merely
 * stops reading: no event, and a socket that stays open, deaf to its own end, until the idle timeout.
 *
 * Such a session shows in that what is queued on it never leaves. So one that has read something and then fallen silent is
 * pinged once: where the ping stays in the session's queue although that of the socket is empty, the session is over.
 */
import { constants, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';

export interface BrokenSessions {
  /** `socket`: what the session is on. */
  watch(session: ServerHttp2Session, socket: Socket): void;
  close(): void;
}

export interface BrokenSessionsOptions {
  /** How often sessions are looked at; one that is broken is closed within six times that. Default 500. */
  readonly checkMs?: number;
}

interface Watched {
  readonly socket: Socket;
  /** Bytes read, as far as they are known to have broken nothing, or as of the last check. */
  readBytes: number;
  state: 'fine' | 'heard' | 'asked';
  /** Checks in a row at which the ping had not left. */
  unsent: number;
}

const defaultCheckMs = 500;
/** What was queued just now leaves with the next turn of the event loop. */
const maxUnsent = 2;
const checksPerTurn = 16;
/** Of a ping's answer: the head of a frame and 8 bytes. */
const pongBytes = 17;

export function createBrokenSessions({
  checkMs = defaultCheckMs,
}: BrokenSessionsOptions = {}): BrokenSessions {
  const watched = new Map<ServerHttp2Session, Watched>();

  const ask = (session: ServerHttp2Session, entry: Watched) => {
    const isAsked = session.ping((error) => {
      if (error !== null) return;
      // What else has come with the answer is looked at in its turn.
      entry.readBytes += pongBytes;
      entry.state = 'fine';
    });
    if (isAsked) entry.state = 'asked';
  };

  const check = (session: ServerHttp2Session, entry: Watched) => {
    if (session.destroyed) return;
    if (entry.state === 'asked' && isStuck(session, entry.socket)) {
      entry.unsent++;
      if (entry.unsent >= maxUnsent) session.destroy();
      return;
    }
    entry.unsent = 0;
    const { bytesRead } = entry.socket;
    if (bytesRead !== entry.readBytes) {
      entry.readBytes = bytesRead;
      entry.state = 'heard';
    } else if (entry.state === 'heard') ask(session, entry);
  };
  let isChecking = false;
  const checkAll = () => {
    if (isChecking) return;
    isChecking = true;
    const all = watched.entries();
    // A crowd of them is not closed in one turn of the event loop, in which everybody else would wait.
    const some = () => {
      for (let count = 0; count < checksPerTurn; count++) {
        const next = all.next();
        if (next.done === true) {
          isChecking = false;
          return;
        }
        check(...next.value);
      }
      setImmediate(some);
    };
    some();
  };
  const timer = setInterval(checkAll, checkMs);
  timer.unref();

  return {
    watch(session, socket) {
      nameErrors(session);
      watched.set(session, { socket, readBytes: 0, state: 'heard', unsent: 0 });
      session.once('close', () => watched.delete(session));
    },
    close: () => clearInterval(timer),
  };
}

/** Whether something is queued that only the session itself can be holding back, rather than a client that reads slowly. */
function isStuck(session: ServerHttp2Session, socket: Socket): boolean {
  if ((session.state.outboundQueueSize ?? 0) === 0) return false;
  // Node has no public name for what the session has given the socket and the kernel has not taken.
  const { _handle: handle } = socket as { _handle?: { readonly writeQueueSize?: number } };
  return handle?.writeQueueSize === 0;
}

/** What the client is told of errors that nghttp2 leaves to Node: NGHTTP2_ERR_PROTO, _FLOW_CONTROL, _STREAM_CLOSED. */
const codes: ReadonlyMap<number, number> = new Map([
  [-505, constants.NGHTTP2_PROTOCOL_ERROR],
  [-524, constants.NGHTTP2_FLOW_CONTROL_ERROR],
  [-510, constants.NGHTTP2_STREAM_CLOSED],
]);

/** Node says INTERNAL_ERROR of all of them, as if the fault were here. */
function nameErrors(session: ServerHttp2Session): void {
  const destroy = session.destroy.bind(session);
  session.destroy = (error?: NodeJS.ErrnoException, code?: number) =>
    destroy(error, code ?? codes.get(error?.errno ?? 0));
}
