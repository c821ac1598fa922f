/**
 * Settings of HTTP/2 connections, the same on both ends.
 *
 * Node's defaults do not do for images: 64 KiB windows for stream and connection, and 10 MB of memory a session, beyond
 * which every new stream is answered ENHANCE_YOUR_CALM. Worst case of one connection: streams × stream window.
 */
import type { ClientSessionOptions, ServerOptions } from 'node:http2';

/** Streams that a server takes on one connection. */
export const MAX_STREAMS_PER_SESSION = 256;
/** Bytes of one stream that may be under way unread. */
export const STREAM_WINDOW_BYTES = 2 * 1024 * 1024;
/** Bytes of one connection that may be under way unread. */
export const SESSION_WINDOW_BYTES = 16 * 1024 * 1024;
/** Larger DATA frames than the default 16 KiB: fewer of them. */
const MAX_FRAME_BYTES = 256 * 1024;
/** In MB, as Node counts it: all streams with a full window, and room for what is being sent. */
const maxSessionMemoryMb = 2 * ((MAX_STREAMS_PER_SESSION * STREAM_WINDOW_BYTES) / 1e6);

const settings = {
  initialWindowSize: STREAM_WINDOW_BYTES,
  maxConcurrentStreams: MAX_STREAMS_PER_SESSION,
  maxFrameSize: MAX_FRAME_BYTES,
  maxHeaderListSize: 32 * 1024,
  enablePush: false,
};

/** For createServer. Also call `tuneSession` on each session. */
export const http2ServerOptions: ServerOptions = {
  settings,
  maxSessionMemory: maxSessionMemoryMb,
  peerMaxConcurrentStreams: MAX_STREAMS_PER_SESSION,
  maxSessionInvalidFrames: 1000,
};

/** For connect. Also call `tuneSession` once connected. */
export const http2ClientOptions: ClientSessionOptions = {
  settings,
  maxSessionMemory: maxSessionMemoryMb,
  peerMaxConcurrentStreams: MAX_STREAMS_PER_SESSION,
};

/** The connection's own window, which no setting sets. */
export function tuneSession(session: { setLocalWindowSize(bytes: number): void }): void {
  session.setLocalWindowSize(SESSION_WINDOW_BYTES);
}
