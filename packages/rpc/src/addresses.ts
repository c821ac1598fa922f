/**
 * Addresses of peers that come and go: a list of host:port in which a DNS name stands for every host it resolves to. Names are
 * resolved again and again, so that whoever is added to them is found, and whoever is taken out is left.
 */
import { lookup as dnsLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Logger } from '@imagemesh/observe';

export interface Addresses {
  /** host:port of each peer, now; names count from their first answer on. */
  readonly current: ReadonlySet<string>;
  /** Calls `added` for each address there is and each that comes, `removed` for each that goes; returns the end of that. */
  follow(added: (address: string) => void, removed: (address: string) => void): () => void;
  close(): void;
}

export interface AddressesOptions {
  /** Default: the system's resolver, the hosts file included. */
  readonly lookup?: (name: string) => Promise<readonly HostAddress[]>;
  /** Default 5000. */
  readonly everyMs?: number;
  /** Is told when a name can no longer be resolved, and when it can again. */
  readonly log?: Pick<Logger, 'warn' | 'info'>;
}

export interface HostAddress {
  readonly address: string;
  readonly family: number;
}

const defaultEveryMs = 5000;
/** While a name has not been resolved yet. */
const firstEveryMs = 500;

/** Each item is host:port, the host an IPv4 address, an IPv6 address in brackets, or a name. */
export function createAddresses(list: readonly string[], options: AddressesOptions = {}): Addresses {
  return new ResolvedAddresses(list, options);
}

interface Name {
  readonly host: string;
  readonly port: string;
  /** What it stands for; undefined until it has been resolved. A failure leaves it as it was. */
  found: ReadonlySet<string> | undefined;
  isTroubled: boolean;
}

interface Follower {
  readonly added: (address: string) => void;
  readonly removed: (address: string) => void;
}

class ResolvedAddresses implements Addresses {
  readonly #options: AddressesOptions;
  readonly #fixed: readonly string[];
  readonly #names: readonly Name[];
  readonly #followers = new Set<Follower>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #current: ReadonlySet<string>;
  #isClosed = false;

  constructor(list: readonly string[], options: AddressesOptions) {
    this.#options = options;
    const parts = list.map((item) => ({ item, ...split(item) }));
    this.#fixed = parts.filter(({ host }) => isIP(host) !== 0).map(({ item }) => item);
    this.#names = parts
      .filter(({ host }) => isIP(host) === 0)
      .map(({ host, port }) => ({ host, port, found: undefined, isTroubled: false }));
    this.#current = new Set(this.#fixed);
    for (const name of this.#names) void this.#keepResolved(name);
  }

  get current(): ReadonlySet<string> {
    return this.#current;
  }

  follow(added: (address: string) => void, removed: (address: string) => void): () => void {
    const follower = { added, removed };
    this.#followers.add(follower);
    for (const address of this.#current) added(address);
    return () => this.#followers.delete(follower);
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#followers.clear();
  }

  async #keepResolved(name: Name): Promise<void> {
    const { lookup = lookUp, everyMs = defaultEveryMs, log } = this.#options;
    let trouble: unknown;
    try {
      const hosts = preferred(await lookup(name.host));
      name.found = new Set(hosts.map((host) => `${host}:${name.port}`));
    } catch (error) {
      trouble = error;
    }
    if (this.#isClosed) return;
    if ((trouble !== undefined) !== name.isTroubled) {
      name.isTroubled = trouble !== undefined;
      if (name.isTroubled) log?.warn({ name: name.host, err: trouble }, 'name not resolved');
      else log?.info({ name: name.host, addresses: [...(name.found ?? [])] }, 'name resolved');
    }
    this.#update();
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        void this.#keepResolved(name);
      },
      name.found === undefined ? Math.min(firstEveryMs, everyMs) : everyMs,
    ).unref();
    this.#timers.add(timer);
  }

  #update(): void {
    const before = this.#current;
    const now = new Set([...this.#fixed, ...this.#names.flatMap(({ found }) => [...(found ?? [])])]);
    this.#current = now;
    for (const { added, removed } of [...this.#followers]) {
      for (const address of now) if (!before.has(address)) added(address);
      for (const address of before) if (!now.has(address)) removed(address);
    }
  }
}

function lookUp(name: string): Promise<readonly HostAddress[]> {
  return dnsLookup(name, { all: true });
}

/** The IPv4 addresses where there are any: with both, each peer would be there twice. */
function preferred(hosts: readonly HostAddress[]): readonly string[] {
  const ipv4 = hosts.filter(({ family }) => family === 4).map(({ address }) => address);
  return ipv4.length > 0 ? ipv4 : hosts.map(({ address }) => `[${address}]`);
}

function split(item: string): { readonly host: string; readonly port: string } {
  const colon = item.lastIndexOf(':');
  const host = item.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host, port: item.slice(colon + 1) };
}
