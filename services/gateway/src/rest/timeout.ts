/** How long a client of the HTTP side waits: the header that Connect has for it. */
import { type Deadline, deadlineIn, invalidField } from '@imagemesh/rpc';

export const TIMEOUT_HEADER = 'connect-timeout-ms';

/** From now on, in whole ms of at most ten digits; undefined where the client does not say. INVALID_REQUEST for anything else. */
export function readTimeout(header: string | readonly string[] | undefined): Deadline | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' || !/^\d{1,10}$/.test(header))
    throw invalidField(TIMEOUT_HEADER, 'must be whole milliseconds, of at most ten digits');
  return deadlineIn(Number(header));
}
