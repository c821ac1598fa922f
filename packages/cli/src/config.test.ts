import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

describe('readConfig', () => {
  it('has the documented defaults', () => {
    expect(readConfig({ DATA_DIR: '/d' }, false)).toEqual({
      host: '127.0.0.1',
      port: 8080,
      balancerPort: 9100,
      dataDir: '/d',
      natsUrl: undefined,
      natsServerBin: undefined,
      replicas: { resize: 2, filter: 2 },
      logFormat: 'json',
      logLevel: 'info',
    });
  });

  it('writes readable lines on a terminal', () => {
    expect(readConfig({}, true).logFormat).toBe('pretty');
  });

  it.each([
    [{ PORT: '70000' }, /^PORT="70000".*default 8080/],
    [{ BALANCER_PORT: 'x' }, /^BALANCER_PORT="x".*default 9100/],
    [{ PORT: '9000', BALANCER_PORT: '9000' }, /^PORT and BALANCER_PORT are both 9000/],
    [{ NATS_URL: 'http://x/y' }, /^NATS_URL=.*nats:\/\/host:port/],
    [{ REPLICAS: 'x=1' }, /^REPLICAS=/],
    [{ LOG_FORMAT: 'xml' }, /^LOG_FORMAT=.*pretty, json/],
  ])('refuses %j, naming the variable', (env, message) => {
    expect(() => readConfig(env, false)).toThrow(message);
  });
});
