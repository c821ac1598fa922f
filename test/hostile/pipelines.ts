/** Requests of HTTP/1.1 many at a time on connections that stay open: the cheapest way to send ten thousand. */
import { connect, type Socket } from 'node:net';
import type { ErrorReason } from '@imagemesh/rpc';
import { reasonOf } from './reason.ts';
import { type Ending, hangMs, type Target } from './target.ts';

export interface PipelinedRequest {
  /** Default GET. */
  readonly method?: string;
  /** As it stands on the request line. */
  readonly path: string;
  /** Lines without their ends. */
  readonly headers?: readonly string[];
  /** Default none. */
  readonly body?: string;
  /** Refusals that are right for it. */
  readonly reasons: readonly ErrorReason[];
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly rest: Buffer;
}

/** Each send takes a connection that is free, and every request on it has to be answered. */
export function createPipelines(target: Target) {
  const free: Socket[] = [];
  const all = new Set<Socket>();

  const open = () => {
    const socket = connect(target.port, target.host).on('error', () => {});
    socket.setNoDelay();
    all.add(socket);
    socket.once('close', () => all.delete(socket));
    return socket;
  };

  return {
    /** Refused where each was, with a right reason; rejects with the first that was answered otherwise. */
    send(requests: readonly PipelinedRequest[]): Promise<Ending> {
      const kept = free.pop();
      const socket = kept === undefined || kept.destroyed ? open() : kept;
      return new Promise((resolve, reject) => {
        let received: Buffer = Buffer.alloc(0);
        let answered = 0;
        const end = (ending: Ending) => {
          clearTimeout(timer);
          socket.off('data', onData).off('close', onClose);
          if (ending === 'refused') free.push(socket);
          else socket.destroy();
          resolve(ending);
        };
        const onClose = () => {
          const request = requests[answered];
          reject(
            new Error(`${describe(request)}, number ${answered}, was not answered but the connection closed`),
          );
          end('closed');
        };
        const onData = (part: Buffer) => {
          received = received.length === 0 ? part : Buffer.concat([received, part]);
          for (let reply = readReply(received); reply !== undefined; reply = readReply(received)) {
            const request = requests[answered];
            received = reply.rest;
            answered++;
            const reason = reasonOf(reply.headers, reply.body);
            if (request === undefined || reason === undefined || !request.reasons.includes(reason)) {
              reject(new Error(`${describe(request)} was answered ${reply.status} ${reason}: ${reply.body}`));
              end('answered');
              return;
            }
          }
          if (answered === requests.length) end('refused');
        };
        const timer = setTimeout(() => end('hung'), hangMs);
        socket.on('data', onData).once('close', onClose);
        socket.write(requests.map((request) => lines(request, target)).join(''), 'latin1');
      });
    },
    close: () => {
      for (const socket of all) socket.destroy();
    },
  };
}

function lines({ method = 'GET', path, headers = [], body }: PipelinedRequest, { host }: Target): string {
  const sized = body === undefined ? [] : [`content-length: ${Buffer.byteLength(body, 'latin1')}`];
  return [`${method} ${path} HTTP/1.1`, `host: ${host}`, ...headers, ...sized, '', body ?? ''].join('\r\n');
}

function describe(request: PipelinedRequest | undefined): string {
  if (request === undefined) return 'nothing that was asked';
  return JSON.stringify({ ...request, path: request.path.slice(0, 300) });
}

/** The first whole reply; undefined until there is one. Replies without a length are not expected. */
function readReply(bytes: Buffer): Reply | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [line = '', ...fields] = bytes.toString('latin1', 0, end).split('\r\n');
  const headers = Object.fromEntries(
    fields.map((field) => {
      const colon = field.indexOf(':');
      return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
    }),
  );
  const after = end + 4 + Number(headers['content-length'] ?? 0);
  if (bytes.length < after) return undefined;
  return {
    status: Number(line.split(' ')[1]),
    headers,
    body: bytes.toString('utf8', end + 4, after),
    rest: bytes.subarray(after),
  };
}
