/**
 * A socket that is read even while a write to it waits.
 *
 * Node's HTTP/2 sessions stop reading while a write of theirs is under way. Two of them that both have more to send than the
 * kernel's buffers take wait for each other for ever: neither reads, as neither can finish its write. One side that always reads
 * is enough to keep both going, so the client of each connection between services takes its socket through this stream, and
 * the server of the public port, whose clients may be Node's too. Its writes are done as soon as the socket has them in its
 * queue, which the connection's window bounds.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

type Done = (error?: Error | null) => void;

/**
 * `hasRoom`: whether the socket may queue more. Otherwise writes wait after all, until its queue is empty; so it should be true
 * for at least what the connection's window lets through.
 */
export function createReadingSocket(socket: Socket, hasRoom: (socket: Socket) => boolean): Duplex {
  const proceed = (done: Done) => {
    // A queue below the mark does not tell when it has drained.
    if (!socket.writableNeedDrain || hasRoom(socket)) done();
    else socket.once('drain', done);
  };
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      socket.write(chunk);
      proceed(done);
    },
    writev: (chunks, done) => {
      socket.cork();
      for (const { chunk } of chunks) socket.write(chunk);
      socket.uncork();
      proceed(done);
    },
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) socket.pause();
  });
  socket.once('end', () => stream.push(null));
  socket.once('error', (error) => stream.destroy(error));
  socket.once('close', () => stream.destroy());
  return stream;
}
