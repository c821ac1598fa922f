/** The one translator from errors of the NATS client and server. */
import { MeshError } from '@imagemesh/rpc';
import { type Msg, NatsError } from 'nats';

/** https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const serverCodes = {
  wrongLastSequence: 10_071,
  streamNotFound: 10_059,
  consumerNotFound: 10_014,
  noMessage: 10_037,
};
const fullCodes: ReadonlySet<number> = new Set([10_023, 10_028, 10_047, 10_077]);

/** The code of an error that the server answered; undefined for any other. */
export function serverCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

/** A write that expected another last sequence than there is. */
export function isConflict(error: unknown): boolean {
  return serverCode(error) === serverCodes.wrongLastSequence;
}

/** A message that is not there, or no longer. */
export function isNoMessage(error: unknown): boolean {
  return serverCode(error) === serverCodes.noMessage || (error instanceof NatsError && error.code === '404');
}

/** A stream, bucket or consumer that should be there is not; nothing was done. */
export function isMissing(error: unknown): boolean {
  const code = serverCode(error);
  if (code === serverCodes.streamNotFound || code === serverCodes.consumerNotFound) return true;
  // "No responders": nobody listens on that subject, as no stream takes it.
  return error instanceof NatsError && code === undefined && error.code === '503';
}

/** NATS_UNAVAILABLE for whatever waiting may mend; STORE_FULL for a limit on its disk; else INTERNAL. */
export function toMeshNatsError(error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  const code = serverCode(error);
  if (code !== undefined && fullCodes.has(code)) {
    return new MeshError('STORE_FULL', 'NATS has no room for more jobs', {
      cause: error,
      retryAfterMs: 10_000,
    });
  }
  if (error instanceof NatsError && error.code !== 'MAX_PAYLOAD_EXCEEDED') {
    return new MeshError('NATS_UNAVAILABLE', 'NATS did not answer; jobs wait for it', { cause: error });
  }
  return new MeshError('INTERNAL', 'an unexpected error in NATS', { cause: error });
}

/**
 * What a stream says to a message published with a reply subject: it has it, now or from before; it never takes it; not
 * now; or there is no such stream.
 */
export function answerOfStream(answer: Msg): 'stored' | 'refused' | 'later' | 'missing' {
  if (answer.headers?.code === 503) return 'missing';
  const error = errorIn(answer);
  if (error === undefined || error.err_code === serverCodes.wrongLastSequence) return 'stored';
  return (error.code ?? 500) < 500 ? 'refused' : 'later';
}

function errorIn(answer: Msg): { readonly code?: number; readonly err_code?: number } | undefined {
  try {
    // A parse boundary: PubAck in https://github.com/nats-io/nats-server/blob/main/server/stream.go.
    return answer.json<{ error?: { code?: number; err_code?: number } }>().error;
  } catch {
    // Not from a stream.
    return {};
  }
}
