/** The settings of webhooks; for config.ts, which hands over the environment. */
import { ConfigError, type Env, type EnvDoc, envBoolean, envString } from '@imagemesh/observe';

export interface WebhookSettings {
  /** Each signs every delivery; empty: no webhooks. */
  readonly secrets: readonly Buffer[];
  /** Whether they may go to addresses that are not public, such as 10.0.0.0/8 and loopback. */
  readonly allowsPrivate: boolean;
  /** Whether http:// will do. */
  readonly allowsHttp: boolean;
}

const secretPattern = /^whsec_(?<base64>[A-Za-z0-9+/]+={0,2})$/;
const secretBytes = { min: 24, max: 64 };

export function readWebhooks(env: Env): WebhookSettings {
  const texts = envString(env, 'WEBHOOK_SECRETS', { default: '' })
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  return {
    secrets: texts.map(readSecret),
    allowsPrivate: envBoolean(env, 'WEBHOOK_ALLOW_PRIVATE', { default: false }),
    allowsHttp: envBoolean(env, 'WEBHOOK_ALLOW_HTTP', { default: false }),
  };
}

function readSecret(text: string): Buffer {
  const secret = Buffer.from(secretPattern.exec(text)?.groups?.base64 ?? '', 'base64');
  if (secret.length >= secretBytes.min && secret.length <= secretBytes.max) return secret;
  // Not the text itself: it is a secret.
  throw new ConfigError(
    `WEBHOOK_SECRETS is not understood; expected a comma-separated list of whsec_<base64 of ${secretBytes.min} to ${secretBytes.max} random bytes>, as "echo whsec_$(head -c 32 /dev/urandom | base64)" makes them`,
  );
}

export const webhookEnvDocs: readonly EnvDoc[] = [
  {
    name: 'WEBHOOK_SECRETS',
    default: '',
    doc: 'What webhooks are signed with, whsec_<base64>, comma-separated: by all of them; without one there are no webhooks.',
  },
  {
    name: 'WEBHOOK_ALLOW_PRIVATE',
    default: 'false',
    doc: 'Lets webhooks go to private, loopback and link-local addresses.',
  },
  { name: 'WEBHOOK_ALLOW_HTTP', default: 'false', doc: 'Lets webhooks go to http:// URLs.' },
];
