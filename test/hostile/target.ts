/** The ways in which the hostile suite reaches a gateway, each bounded in time. */
import http2, { type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** How an exchange ended: what the gateway answered, or that it closed; "hung" is what must never be. */
export type Ending = 'refused' | 'closed' | 'answered' | 'hung';

/** Far longer than any limit that the suite sets for the gateway, for machines that are busy. */
const hangMs = 45_000;

/** Writes the bytes on a connection of their own and waits until the gateway has closed it. */
export function sendRaw({ host, port }: Target, bytes: Uint8Array, { ends = true } = {}): Promise<Ending> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    let head = '';
    const timer = setTimeout(() => {
      resolve('hung');
      socket.destroy();
    }, hangMs);
    socket.on('data', (part: Buffer) => {
      if (head.length < 4096) head += part.toString('latin1');
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(endingOf(head));
    });
    if (ends) socket.end(bytes);
    else socket.write(bytes);
  });
}

function endingOf(head: string): Ending {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
  if (status === undefined) return 'closed';
  return status.startsWith('4') || status.startsWith('5') ? 'refused' : 'answered';
}

export interface Exchange {
  readonly headers: OutgoingHttpHeaders;
  readonly body?: Uint8Array;
  /** Whether the request is left open after the body. */
  readonly staysOpen?: boolean;
}

/** HTTP/2 streams over connections that are replaced when the gateway ends them. */
export function createStreams({ host, port }: Target) {
  let session: ClientHttp2Session | undefined;
  const open = () => {
    if (session === undefined || session.closed || session.destroyed) {
      session = http2.connect(`http://${host}:${port}`);
      session.on('error', () => {});
    }
    return session;
  };
  return {
    /** Refused means a typed refusal: an HTTP status over 400, or a gRPC status with a reason. */
    send({ headers, body, staysOpen = false }: Exchange): Promise<Ending> {
      return new Promise((resolve) => {
        const stream = open().request({ ':method': 'POST', ...headers }, { endStream: false });
        let ending: Ending = 'closed';
        const timer = setTimeout(() => {
          ending = 'hung';
          stream.destroy();
        }, hangMs);
        const look = (got: OutgoingHttpHeaders) => {
          const status = Number(got[':status'] ?? 0);
          const grpcStatus = got['grpc-status'];
          if (
            status >= 400 ||
            (grpcStatus !== undefined && grpcStatus !== '0' && got['im-reason'] !== undefined)
          )
            ending = 'refused';
          else if (status > 0 && ending === 'closed') ending = 'answered';
        };
        stream
          .on('response', look)
          .on('trailers', look)
          .on('error', () => {})
          .resume();
        stream.once('close', () => {
          clearTimeout(timer);
          resolve(ending);
        });
        if (body !== undefined) stream.write(body);
        if (!staysOpen) stream.end();
      });
    },
    close: () => session?.destroy(),
  };
}
