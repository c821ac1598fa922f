/** The end of a caller's stream when it is the balancer that ends it. */
import type { ServerHttp2Stream } from 'node:http2';
import { type MeshError, statusTrailers, stopReading } from '@imagemesh/rpc';

/** Answers with the error: alone if the reply has not begun, as its trailers if it has. Never a bare reset. */
export function endWith(caller: ServerHttp2Stream, error: MeshError): void {
  if (caller.destroyed || caller.closed) return;
  const trailers = statusTrailers(error);
  if (!caller.headersSent) {
    caller.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true });
    stopReading(caller);
    return;
  }
  if (caller.writableEnded) return;
  caller.once('wantTrailers', () => {
    caller.sendTrailers(trailers);
    stopReading(caller);
  });
  caller.end();
}

/** For a stream that cannot be answered. */
export function refuse(caller: ServerHttp2Stream, code: number): void {
  if (!caller.destroyed && !caller.closed) caller.close(code);
}

/** HTTP for what is not gRPC at all. */
export function answerHttp(caller: ServerHttp2Stream, status: number, text: string): void {
  caller.respond({ ':status': status, 'content-type': 'text/plain' });
  caller.end(`${text}\n`);
  stopReading(caller);
}
