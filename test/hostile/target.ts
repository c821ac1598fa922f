/** The ways in which the hostile suite reaches a gateway, each bounded in time. */
import http2, { type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { reasonOf } from './reason.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** How an exchange ended: what the gateway answered, or that it closed; "hung" is what must never be. */
export type Ending = 'refused' | 'closed' | 'answered' | 'hung';

/** Far longer than any limit that the suite sets for the gateway, for machines that are busy. */
export const hangMs = 45_000;

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

/** A refusal has its reason in the body; whatever else is answered over HTTP/1 is not one. */
function endingOf(reply: string): Ending {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(reply)?.[1];
  if (status === undefined) return 'closed';
  const start = reply.indexOf('\r\n\r\n') + 4;
  const length = Number(/^content-length: (\d+)/im.exec(reply)?.[1] ?? 0);
  const isTyped = reasonOf({}, reply.slice(start, start + length)) !== undefined;
  return /^[45]/.test(status) && isTyped ? 'refused' : 'answered';
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
    /** Refused means a typed refusal: a status of HTTP or gRPC that is one, with a reason of docs/errors.md. */
    send({ headers, body, staysOpen = false }: Exchange): Promise<Ending> {
      return new Promise((resolve) => {
        const stream = open().request({ ':method': 'POST', ...headers }, { endStream: false });
        let got: Record<string, unknown> = {};
        let reply = '';
        let isHung = false;
        const timer = setTimeout(() => {
          isHung = true;
          stream.destroy();
        }, hangMs);
        const look = (more: object) => {
          got = { ...got, ...more };
        };
        stream
          .on('response', look)
          .on('trailers', look)
          .on('error', () => {})
          .on('data', (part: Buffer) => {
            if (reply.length < 4096) reply += part.toString('latin1');
          });
        stream.once('close', () => {
          clearTimeout(timer);
          resolve(isHung ? 'hung' : streamEndingOf(got, reply));
        });
        if (body !== undefined) stream.write(body);
        if (!staysOpen) stream.end();
      });
    },
    close: () => session?.destroy(),
  };
}

function streamEndingOf(headers: Readonly<Record<string, unknown>>, body: string): Ending {
  const status = Number(headers[':status'] ?? 0);
  if (status === 0) return 'closed';
  const isRefusal = status >= 400 || Number(headers['grpc-status'] ?? 0) > 0;
  return isRefusal && reasonOf(headers, body) !== undefined ? 'refused' : 'answered';
}
