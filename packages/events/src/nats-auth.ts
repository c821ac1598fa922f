/** How a process shows NATS who it is, and how the connection is encrypted. */
import { readFile } from 'node:fs/promises';
import { type ConnectionOptions, credsAuthenticator } from 'nats';

/** Each empty where not used; over what the URL says. */
export interface NatsAuth {
  readonly user: string;
  readonly password: string;
  readonly token: string;
  /** A .creds file: a user's JWT and its seed. */
  readonly credsFile: string;
  /** PEM files, read at each connection. */
  readonly tlsCaFile: string;
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
}

/** For the next connection: files are read anew each time. */
export async function authOptions(auth: NatsAuth | undefined): Promise<ConnectionOptions> {
  if (auth === undefined) return {};
  const { user, password, token, credsFile, tlsCaFile, tlsCertFile, tlsKeyFile } = auth;
  const hasTls = tlsCaFile !== '' || tlsCertFile !== '';
  return {
    ...(user !== '' && { user, pass: password }),
    ...(token !== '' && { token }),
    ...(credsFile !== '' && { authenticator: credsAuthenticator(await readFile(credsFile)) }),
    ...(hasTls && {
      tls: {
        ...(tlsCaFile !== '' && { caFile: tlsCaFile }),
        ...(tlsCertFile !== '' && { certFile: tlsCertFile, keyFile: tlsKeyFile }),
      },
    }),
  };
}
