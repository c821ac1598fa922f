import { afterEach, describe, expect, it } from 'vitest';
import { type Addresses, createAddresses, type HostAddress } from './addresses.ts';

const opened: Addresses[] = [];
afterEach(() => {
  for (const addresses of opened.splice(0)) addresses.close();
});

/** A resolver that answers what the test last said; fails where it said nothing. */
function resolver() {
  let answer: readonly string[] | undefined;
  const lookup = async (): Promise<readonly HostAddress[]> => {
    if (answer === undefined) throw new Error('ENOTFOUND');
    return answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  };
  const say = (...addresses: string[]) => {
    answer = addresses;
  };
  const fail = () => {
    answer = undefined;
  };
  return { lookup, say, fail };
}

function open(...[list, options]: Parameters<typeof createAddresses>): Addresses {
  const addresses = createAddresses(list, { everyMs: 1, ...options });
  opened.push(addresses);
  return addresses;
}

/** What a follower sees, in order. */
function seenBy(addresses: Addresses) {
  const seen: string[] = [];
  const end = addresses.follow(
    (address) => seen.push(`+${address}`),
    (address) => seen.push(`-${address}`),
  );
  return { seen, end };
}

describe('addresses', () => {
  it('takes addresses as they are, at once', async () => {
    const addresses = open(['10.0.0.1:9100', '[::1]:9100']);
    expect([...addresses.current]).toEqual(['10.0.0.1:9100', '[::1]:9100']);
    expect(seenBy(addresses).seen).toEqual(['+10.0.0.1:9100', '+[::1]:9100']);
  });

  it('resolves names, and follows them as hosts come and go', async () => {
    const { lookup, say } = resolver();
    say('10.0.0.1', '10.0.0.2');
    const addresses = open(['balancers:9100', '10.0.0.9:1'], { lookup });
    const { seen } = seenBy(addresses);
    await expect.poll(() => seen).toEqual(['+10.0.0.9:1', '+10.0.0.1:9100', '+10.0.0.2:9100']);
    say('10.0.0.2', '10.0.0.3');
    await expect.poll(() => seen.slice(3)).toEqual(['+10.0.0.3:9100', '-10.0.0.1:9100']);
    expect([...addresses.current]).toEqual(['10.0.0.9:1', '10.0.0.2:9100', '10.0.0.3:9100']);
  });

  it('counts a peer with both kinds of addresses once', async () => {
    const { lookup, say } = resolver();
    say('::1', '127.0.0.1');
    const addresses = open(['localhost:9100'], { lookup });
    await expect.poll(() => [...addresses.current]).toEqual(['127.0.0.1:9100']);
    say('::1');
    await expect.poll(() => [...addresses.current]).toEqual(['[::1]:9100']);
  });

  it('keeps what it knew while a name cannot be resolved, and says so once', async () => {
    const { lookup, say, fail } = resolver();
    const troubles: string[] = [];
    const note = (_fields: unknown, message?: string) => troubles.push(message ?? '');
    const addresses = open(['balancers:9100'], { lookup, log: { warn: note, info: note } });
    await expect.poll(() => troubles).toEqual(['name not resolved']);
    expect([...addresses.current]).toEqual([]);
    say('10.0.0.1');
    await expect.poll(() => [...addresses.current]).toEqual(['10.0.0.1:9100']);
    fail();
    await expect.poll(() => troubles).toEqual(['name not resolved', 'name resolved', 'name not resolved']);
    expect([...addresses.current]).toEqual(['10.0.0.1:9100']);
  });

  it("asks the system's resolver", async () => {
    const addresses = open(['localhost:9100']);
    await expect
      .poll(() => [...addresses.current])
      .toEqual([expect.stringMatching(/^(127\.0\.0\.1|\[::1\]):9100$/)]);
  });

  it('tells nobody who has left, and nobody after the end', async () => {
    const { lookup, say } = resolver();
    say('10.0.0.1');
    const addresses = open(['balancers:9100'], { lookup });
    await expect.poll(() => addresses.current.size).toBe(1);
    const left = seenBy(addresses);
    left.end();
    const stays = seenBy(addresses);
    say('10.0.0.2');
    await expect.poll(() => stays.seen.length).toBe(3);
    expect(left.seen).toEqual(['+10.0.0.1:9100']);
    addresses.close();
    say('10.0.0.3');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(stays.seen.length).toBe(3);
  });
});
