/** TLS on the public port: h2 and http/1.1 by ALPN. New certificates serve new connections; those there are stay. */
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Logger } from '@imagemesh/observe';
import { openTlsFiles } from '@imagemesh/rpc';

/** Paths of PEM files. */
export interface PublicTlsPaths {
  readonly certFile: string;
  readonly keyFile: string;
  /** Whose certificates clients must show; empty: none. */
  readonly clientCaFile: string;
}

export interface PublicTls {
  createListener(onConnection: (socket: TLSSocket) => void): Server;
  close(): void;
}

export interface PublicTlsOptions {
  readonly log: Logger;
  readonly handshakeTimeoutMs: number;
}

const minVersion = 'TLSv1.2';

/** Throws ConfigError. */
export async function openPublicTls(
  { certFile, keyFile, clientCaFile }: PublicTlsPaths,
  { log, handshakeTimeoutMs }: PublicTlsOptions,
): Promise<PublicTls> {
  const paths = { cert: certFile, key: keyFile, ...(clientCaFile !== '' && { ca: clientCaFile }) };
  const files = await openTlsFiles(paths, {
    setting: 'TLS_CERT_FILE',
    caSetting: 'TLS_CLIENT_CA_FILE',
    log,
  });
  const asksClients = clientCaFile !== '';
  return {
    createListener(onConnection) {
      const server = createServer(
        {
          ...files.current,
          requestCert: asksClients,
          rejectUnauthorized: asksClients,
          ALPNProtocols: ['h2', 'http/1.1'],
          minVersion,
          handshakeTimeout: handshakeTimeoutMs,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: 30_000,
        },
        onConnection,
      );
      server.on('tlsClientError', (error) => log.debug({ err: error }, 'a handshake failed'));
      files.onChange((pair) => server.setSecureContext({ ...pair, minVersion }));
      return server;
    },
    close: files.close,
  };
}
