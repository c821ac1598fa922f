/**
 * Ends replies that nobody reads. HTTP/2 streams and HTTP/1 sockets may be silent for as long as they like when there is
 * nothing to send (a watch without news); with bytes waiting and none of them leaving, they are cut.
 */
import { constants, type Http2Stream } from 'node:http2';
import type { Socket } from 'node:net';

export interface StallGuard {
  watch(target: Http2Stream | Socket): void;
  close(): void;
}

export interface StallGuardOptions {
  /** How long bytes may wait without any of them leaving. */
  readonly timeoutMs: number;
  /** Default performance.now. */
  readonly now?: () => number;
}

interface Watched {
  waitingBytes: number;
  sentBytes: number;
  sinceMs: number;
}

const maxTickMs = 5000;

export function createStallGuard({
  timeoutMs,
  now = () => performance.now(),
}: StallGuardOptions): StallGuard {
  const watched = new Map<Http2Stream | Socket, Watched>();

  const check = () => {
    const nowMs = now();
    for (const [target, last] of watched) {
      const waitingBytes = target.writableLength;
      const sentBytes = 'bytesWritten' in target ? target.bytesWritten - waitingBytes : 0;
      if (waitingBytes === 0 || waitingBytes !== last.waitingBytes || sentBytes !== last.sentBytes) {
        watched.set(target, { waitingBytes, sentBytes, sinceMs: nowMs });
      } else if (nowMs - last.sinceMs >= timeoutMs) {
        watched.delete(target);
        if ('rstCode' in target) target.close(constants.NGHTTP2_CANCEL);
        else target.destroy();
      }
    }
  };
  const timer = setInterval(check, Math.min(maxTickMs, timeoutMs / 4));
  timer.unref();

  return {
    watch(target) {
      watched.set(target, { waitingBytes: 0, sentBytes: 0, sinceMs: now() });
      target.once('close', () => watched.delete(target));
    },
    close: () => clearInterval(timer),
  };
}
