/** Where webhooks may go: what a client names must not be a way into the network of the gateway. */
import { lookup as lookUp } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { invalidField } from '@imagemesh/rpc';
import ipaddr from 'ipaddr.js';
import type { WebhookSettings } from './webhook-config.ts';

type Policy = Pick<WebhookSettings, 'allowsPrivate' | 'allowsHttp'>;

/** Why nothing is posted to that URL; undefined if it is. A name is looked up later, by the lookup below. */
export function refusalOf(text: string, { allowsPrivate, allowsHttp }: Policy): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return 'is not a URL';
  if (url.protocol !== 'https:' && !(allowsHttp && url.protocol === 'http:'))
    return 'must begin with https://';
  if (url.username !== '' || url.password !== '') return 'must not hold a user or a password';
  const host = hostOf(url);
  if (ipaddr.isValid(host) && !isAllowed(host, allowsPrivate)) return 'must have a public address';
  return undefined;
}

/** For CreateJob. */
export function createWebhookCheck(settings: WebhookSettings): (url: string) => void {
  return (url) => {
    if (settings.secrets.length === 0)
      throw invalidField('webhook_url', 'cannot be given: the gateway has no WEBHOOK_SECRETS');
    const refusal = refusalOf(url, settings);
    if (refusal !== undefined) throw invalidField('webhook_url', refusal);
  };
}

/**
 * Resolves a name for a connection, which then goes to the very address that was checked. A name with any address that is not
 * public is refused as a whole.
 */
export function createLookup({ allowsPrivate }: Policy, resolve: typeof lookUp = lookUp): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error !== null) return callback(error, '');
      if (first === undefined || !addresses.every(({ address }) => isAllowed(address, allowsPrivate)))
        return callback(new Error(`${hostname} has an address that is not public`), '');
      if (options.all === true) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}

/** Without the brackets of IPv6. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function isAllowed(address: string, allowsPrivate: boolean): boolean {
  // "unicast" is what is in none of the ranges set aside: private, loopback, link-local, multicast, tunnels, …; an IPv4
  // address in IPv6 clothes counts as what it is.
  return allowsPrivate || (ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast');
}
