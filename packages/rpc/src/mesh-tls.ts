/**
 * TLS both ways between the services of a mesh: each shows a certificate that the mesh's own authority signed for the name
 * "imagemesh", whatever its address, and asks the other side for one. Addresses come and go, so that no certificate could name
 * them; who has one is one of the mesh.
 */
import { join } from 'node:path';
import {
  type ConnectionOptions,
  checkServerIdentity,
  createServer,
  type Server,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls';
import { type ChannelCredentials, experimental } from '@grpc/grpc-js';
import type { EnvDoc, Logger } from '@imagemesh/observe';
import { openTlsFiles, type TlsPair } from './tls-files.ts';

/** The DNS name in the certificate of each service. */
export const MESH_NAME = 'imagemesh';

/** For --help. */
export const meshTlsDoc: EnvDoc = {
  name: 'MESH_TLS_DIR',
  default: '',
  doc: 'Folder of ca.pem, cert.pem (for the DNS name imagemesh) and key.pem, read again when they change: TLS both ways between services.',
};

const minVersion = 'TLSv1.3' as const;
const handshakeTimeoutMs = 5000;

export interface MeshTls {
  /** For tls.connect, now. */
  readonly clientOptions: ConnectionOptions;
  /** For clients on grpc-js; follows the files. */
  readonly credentials: ChannelCredentials;
  /** A listener that hands over the connections of members of the mesh. Follows the files. */
  createListener(onMember: (socket: TLSSocket) => void): Server;
  close(): void;
}

/** Reads ca.pem, cert.pem and key.pem of the folder, now and when they change. Throws ConfigError. */
export async function openMeshTls(folder: string, { log }: { readonly log: Logger }): Promise<MeshTls> {
  const paths = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  const files = await openTlsFiles(paths, { setting: 'MESH_TLS_DIR', log });
  const provider = createProvider(files.current);
  files.onChange(provider.update);
  return {
    get clientOptions() {
      return { ...files.current, servername: MESH_NAME, ALPNProtocols: ['h2'], minVersion };
    },
    credentials: experimental.createCertificateProviderChannelCredentials(provider, provider),
    createListener(onMember) {
      const options: TlsOptions = {
        ...files.current,
        requestCert: true,
        rejectUnauthorized: true,
        minVersion,
        ALPNProtocols: ['h2'],
        handshakeTimeout: handshakeTimeoutMs,
        noDelay: true,
      };
      const server = createServer(options, (socket) => {
        if (checkServerIdentity(MESH_NAME, socket.getPeerCertificate()) === undefined) onMember(socket);
        else socket.destroy();
      });
      server.on('tlsClientError', (error) => log.debug({ err: error }, 'refused a connection to the mesh'));
      files.onChange((pair) => server.setSecureContext({ ...pair, minVersion }));
      return server;
    },
    close: files.close,
  };
}

type CaListener = Parameters<experimental.CertificateProvider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<experimental.CertificateProvider['addIdentityCertificateListener']>[0];

/** Hands grpc-js the pair, and each that follows. */
function createProvider(first: TlsPair): experimental.CertificateProvider & { update(pair: TlsPair): void } {
  let current = first;
  const cas = new Set<CaListener>();
  const identities = new Set<IdentityListener>();
  const ca = () => (current.ca === undefined ? null : { caCertificate: current.ca });
  const identity = () => ({ certificate: current.cert, privateKey: current.key });
  return {
    addCaCertificateListener(listener) {
      cas.add(listener);
      process.nextTick(listener, ca());
    },
    removeCaCertificateListener: (listener) => void cas.delete(listener),
    addIdentityCertificateListener(listener) {
      identities.add(listener);
      process.nextTick(listener, identity());
    },
    removeIdentityCertificateListener: (listener) => void identities.delete(listener),
    update(pair) {
      current = pair;
      for (const listener of cas) listener(ca());
      for (const listener of identities) listener(identity());
    },
  };
}
