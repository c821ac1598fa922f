/** A TCP relay that can cut its connections, as a killed process does, or fall silent, as a hung one does. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpRelay {
  readonly address: string;
  /** Connections end at once, and no new ones are taken. */
  sever(): void;
  /** Connections end at once; new ones are taken. */
  cut(): void;
  /** Bytes stop, connections stay. */
  freeze(): void;
  thaw(): void;
  close(): void;
}

export async function startTcpRelay(target: string): Promise<TcpRelay> {
  const { hostname, port } = new URL(`http://${target}`);
  const sockets = new Set<Socket>();
  let isSevered = false;
  const server = createServer((near) => {
    if (isSevered) {
      near.destroy();
      return;
    }
    const far = connect(Number(port), hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    // A TCP server that listens has such an address.
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    sever: () => {
      isSevered = true;
      cut();
    },
    cut,
    freeze: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
    thaw: () => {
      isSevered = false;
    },
    close: () => {
      isSevered = true;
      cut();
      server.close();
    },
  };
}
