import { describe, expect, it } from 'vitest';
import { envDocs, readConfig } from './config.ts';

describe('readConfig', () => {
  it('has a default for everything', () => {
    expect(readConfig({})).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      balancerAddresses: ['127.0.0.1:9100'],
      natsUrl: '',
      corsOrigins: [],
      calls: { defaultDeadlineMs: 30_000, maxDeadlineMs: 300_000, heldInMemoryBytes: 8_388_608 },
    });
  });

  it('refuses an address that others can reach unless told that callers need no keys', () => {
    for (const HOST of ['0.0.0.0', '::', '192.168.1.5', 'example.org']) {
      expect(() => readConfig({ HOST })).toThrow(
        /^HOST.*imagemesh keys add.*API_KEYS_FILE.*ALLOW_UNAUTHENTICATED[^\n]*$/,
      );
      expect(readConfig({ HOST, API_KEYS_FILE: 'keys.json' }).host).toBe(HOST);
      expect(readConfig({ HOST, ALLOW_UNAUTHENTICATED: 'true' }).host).toBe(HOST);
    }
    for (const HOST of ['localhost', '127.0.0.1', '127.1.2.3', '::1'])
      expect(readConfig({ HOST }).host).toBe(HOST);
  });

  it('names the variable, the form and the default of a wrong value, in one line', () => {
    const wrong = {
      PORT: '99999',
      BALANCER_ADDRESSES: 'nowhere',
      CORS_ORIGINS: 'example.org',
      DEFAULT_DEADLINE_MS: 'soon',
      STORE_URL: 'ftp://x',
      HELD_BYTES_MAX: '1',
    };
    for (const [name, value] of Object.entries(wrong)) {
      expect(() => readConfig({ [name]: value })).toThrow(new RegExp(`^${name}[^\\n]*$`));
    }
  });

  it('documents every variable that it reads', () => {
    const read = new Set<string>();
    const env = new Proxy<Record<string, string | undefined>>(
      {},
      {
        get: (_target, name) => {
          read.add(String(name));
          return undefined;
        },
      },
    );
    readConfig(env);
    expect(envDocs.map(({ name }) => name).sort()).toEqual([...read].sort());
  });
});
