import type { lookup as lookUp } from 'node:dns';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { signWebhook } from './sign-webhook.ts';
import { createLookup, createWebhookCheck, refusalOf } from './webhook-address.ts';
import { readWebhooks } from './webhook-config.ts';

const strict = { allowsPrivate: false, allowsHttp: false };
const secrets = [Buffer.alloc(32, 1), Buffer.alloc(24, 2)];
const textOf = (secret: Buffer | undefined) => `whsec_${secret?.toString('base64')}`;

test('a signature is that of Standard Webhooks, by each of the secrets', () => {
  const body = Buffer.from('{"specversion":"1.0"}');
  const headers = signWebhook(secrets, { id: 'job.completed.1', timeMs: Date.now(), body });
  for (const secret of secrets)
    expect(new Webhook(textOf(secret)).verify(body.toString(), headers)).toEqual({ specversion: '1.0' });
  const other = new Webhook(textOf(Buffer.alloc(32, 3)));
  expect(() => other.verify(body.toString(), headers)).toThrow(/signature/i);
  const first = new Webhook(textOf(secrets[0]));
  expect(() => first.verify(`${body} `, headers)).toThrow(/signature/i);
});

test.each([
  'ftp://example.org/',
  'http://example.org/',
  'https://user:secret@example.org/',
  'nonsense',
  'https://127.0.0.1/',
  'https://2130706433/',
  'https://0x7f.1/',
  'https://10.1.2.3/',
  'https://100.64.0.1/',
  'https://169.254.169.254/latest/meta-data',
  'https://192.168.0.1/',
  'https://0.0.0.0/',
  'https://224.0.0.1/',
  'https://[::1]/',
  'https://[::]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[fe80::1]/',
  'https://[fd00::1]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[2002:7f00:1::]/',
])('%s is refused', (url) => {
  expect(refusalOf(url, strict)).toEqual(expect.any(String));
  expect(() => createWebhookCheck({ ...strict, secrets })(url)).toThrow(/webhook_url/);
});

test('a public https URL is taken; others where they are allowed; none without a secret', () => {
  for (const url of [
    'https://example.org/hook?a=1',
    'https://93.184.216.34:8443/',
    'https://[2606:2800::1]/',
  ])
    expect(refusalOf(url, strict)).toBeUndefined();
  expect(refusalOf('http://127.0.0.1:9000/', { allowsPrivate: true, allowsHttp: true })).toBeUndefined();
  expect(() => createWebhookCheck({ ...strict, secrets: [] })('https://example.org/')).toThrow(
    /WEBHOOK_SECRETS/,
  );
});

test.each([
  { addresses: ['93.184.216.34'], isTaken: true },
  { addresses: ['93.184.216.34', '10.0.0.1'], isTaken: false },
  { addresses: ['::ffff:169.254.169.254'], isTaken: false },
  { addresses: ['127.0.0.1'], isTaken: false },
  { addresses: [], isTaken: false },
])('a name that is $addresses: taken $isTaken', async ({ addresses, isTaken }) => {
  const resolve = ((_name: string, _options: object, done: (error: null, all: object[]) => void) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )) as unknown as typeof lookUp;
  const found = new Promise((resolveFound, reject) =>
    createLookup(strict, resolve)('example.org', { all: false }, (error, address) =>
      error === null ? resolveFound(address) : reject(error),
    ),
  );
  if (isTaken) await expect(found).resolves.toBe(addresses[0]);
  else await expect(found).rejects.toThrow(/not public/);
});

test('settings hold what they say, and an error does not repeat a secret', () => {
  const settings = readWebhooks({ WEBHOOK_SECRETS: secrets.map(textOf).join(', ') });
  expect(settings).toEqual({ secrets, ...strict });
  expect(() => readWebhooks({ WEBHOOK_SECRETS: 'whsec_c2hvcnQ=' })).toThrow(
    /^(?!.*c2hvcnQ).*WEBHOOK_SECRETS/s,
  );
});
