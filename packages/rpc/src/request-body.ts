/** The body of a request for Connect: one that breaks off says why, one that does not come to an end is given up. */
import { constants } from 'node:http2';
import { toConnectError } from './connect-errors.ts';
import type { NodeServerRequest } from './connect-handler.ts';
import { cancelled, deadlineExceeded } from './deadline.ts';
import { MeshError } from './errors.ts';

/** Throws CANCELLED where the client left, which else looks like a bad request; DEADLINE_EXCEEDED where it takes too long. */
export async function* requestBody(
  request: NodeServerRequest,
  timeoutMs: number | undefined,
): AsyncIterable<Uint8Array> {
  // Destroying the request would take the connection with it, and the reply on it.
  const parts: AsyncIterator<Uint8Array> = request.iterator({ destroyOnReturn: false });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    if (timeoutMs !== undefined) timer = setTimeout(() => reject(deadlineExceeded()), timeoutMs);
  });
  try {
    for (;;) {
      const next = await Promise.race([parts.next(), late]);
      if (next.done === true) break;
      yield next.value;
    }
  } catch (error) {
    throw toConnectError(error instanceof MeshError ? error : cancelled(error));
  } finally {
    clearTimeout(timer);
    // Not waited for: it waits for the part that did not come.
    void parts.return?.();
  }
  // A reset looks like an end.
  if ('stream' in request && request.stream.rstCode !== constants.NGHTTP2_NO_ERROR)
    throw toConnectError(cancelled());
}
