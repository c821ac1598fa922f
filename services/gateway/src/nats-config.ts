/** The settings of the connection to NATS; for config.ts, which hands over the environment. */
import type { NatsAuth } from '@imagemesh/events';
import { ConfigError, type Env, type EnvDoc, envString } from '@imagemesh/observe';

export function readNatsAuth(env: Env): NatsAuth {
  const text = (name: string) => envString(env, name, { default: '' });
  const auth: NatsAuth = {
    user: text('NATS_USER'),
    password: text('NATS_PASSWORD'),
    token: text('NATS_TOKEN'),
    credsFile: text('NATS_CREDS_FILE'),
    tlsCaFile: text('NATS_TLS_CA_FILE'),
    tlsCertFile: text('NATS_TLS_CERT_FILE'),
    tlsKeyFile: text('NATS_TLS_KEY_FILE'),
  };
  if ((auth.tlsCertFile === '') !== (auth.tlsKeyFile === ''))
    throw new ConfigError(
      'NATS_TLS_CERT_FILE and NATS_TLS_KEY_FILE belong together; expected both or none (default)',
    );
  return auth;
}

export const natsAuthDocs: readonly EnvDoc[] = [
  { name: 'NATS_USER', default: '', doc: 'User at NATS.' },
  { name: 'NATS_PASSWORD', default: '', doc: 'Its password.' },
  { name: 'NATS_TOKEN', default: '', doc: 'Token at NATS, instead of a user.' },
  { name: 'NATS_CREDS_FILE', default: '', doc: 'Credentials file (JWT and seed), instead of a user.' },
  { name: 'NATS_TLS_CA_FILE', default: '', doc: 'Who signed the certificate of NATS; turns TLS on.' },
  { name: 'NATS_TLS_CERT_FILE', default: '', doc: 'Certificate to show to NATS.' },
  { name: 'NATS_TLS_KEY_FILE', default: '', doc: 'Its key.' },
];
