/**
 * Bounds what an HTTP/2 connection may do besides calls: be open without any, and send control frames. Node and nghttp2
 * bound resets, header blocks and unread replies by themselves, but not how many pings and settings are answered.
 *
 * An idle connection is told to go (GOAWAY), on which clients open a new one with their next call. The allowance of control
 * frames is far above what clients need, of which some ping once a round trip while data comes in to measure bandwidth.
 */
import { constants, type ServerHttp2Session } from 'node:http2';

export interface SessionGuardOptions {
  /** How long a connection may be open without a call. */
  readonly idleTimeoutMs: number;
  /** Control frames in a burst; default 10,000. */
  readonly controlBurst?: number;
  /** Control frames regained a second; default 2,000. */
  readonly controlPerSecond?: number;
  /** Default performance.now. */
  readonly now?: () => number;
}

/** How long an idle connection that was told to go may take. */
const goodbyeMs = 1000;

/** For each session of a server. */
export function createSessionGuard(options: SessionGuardOptions): (session: ServerHttp2Session) => void {
  const { idleTimeoutMs, controlBurst = 10_000, controlPerSecond = 2000 } = options;
  const { now = () => performance.now() } = options;
  return (session) => {
    let streams = 0;
    let idle: NodeJS.Timeout | undefined;
    const watchIdle = () => {
      idle = setTimeout(() => {
        session.close();
        idle = setTimeout(() => session.destroy(), goodbyeMs).unref();
      }, idleTimeoutMs).unref();
    };
    watchIdle();
    session.on('stream', (stream) => {
      streams++;
      clearTimeout(idle);
      stream.once('close', () => {
        streams--;
        if (streams === 0 && !session.destroyed) watchIdle();
      });
    });
    session.once('close', () => clearTimeout(idle));

    let left = controlBurst;
    let atMs = now();
    const spend = () => {
      const nowMs = now();
      left = Math.min(controlBurst, left + ((nowMs - atMs) * controlPerSecond) / 1000) - 1;
      atMs = nowMs;
      if (left < 0 && !session.destroyed)
        session.destroy(new Error('too many control frames'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    };
    session.on('ping', spend).on('remoteSettings', spend);
  };
}
