/** What a call failed with, as a page can show it. */
import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '@imagemesh/api';

export interface Failure {
  /** The mesh's reason (NOT_AN_IMAGE, …) or the code of the protocol. */
  readonly reason: string;
  /** The server's own sentence. */
  readonly message: string;
  /** The fields that were refused, each with why. */
  readonly violations: readonly string[];
  readonly kind: 'cancelled' | 'offline' | 'unserved' | 'key' | 'refused';
  /** The server's advice when to try again. */
  readonly retryAfterMs: number | undefined;
}

export function toFailure(error: unknown): Failure {
  const failure = ConnectError.from(error);
  const [info] = failure.findDetails(ErrorInfoSchema);
  const [bad] = failure.findDetails(BadRequestSchema);
  const [retry] = failure.findDetails(RetryInfoSchema);
  const delay = retry?.retryDelay;
  const kind = kindOf(failure, info?.reason);
  return {
    reason: info?.reason ?? (kind === 'offline' ? 'OFFLINE' : codeName(failure.code)),
    message: kind === 'offline' ? 'The gateway does not answer.' : failure.rawMessage,
    violations: (bad?.fieldViolations ?? []).map(({ field, description }) =>
      field === '' ? description : `${field} ${description}`,
    ),
    kind,
    retryAfterMs: delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6,
  };
}

function kindOf(error: ConnectError, reason: string | undefined): Failure['kind'] {
  switch (error.code) {
    case Code.Canceled:
      return 'cancelled';
    case Code.Unimplemented:
      return 'unserved';
    case Code.Unauthenticated:
      return 'key';
    default:
      // fetch() throws a TypeError where nothing answers.
      return reason === undefined && error.cause instanceof TypeError ? 'offline' : 'refused';
  }
}

function codeName(code: Code): string {
  return (Code[code] ?? 'Unknown').replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}
