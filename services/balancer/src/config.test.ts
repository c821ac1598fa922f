import { ConfigError } from '@imagemesh/observe';
import { describe, expect, it } from 'vitest';
import { envDocs, readConfig } from './config.ts';

describe('readConfig', () => {
  it('has a default for everything, and each is what --help says', () => {
    const bare = readConfig({});
    expect(bare).toMatchObject({
      host: '127.0.0.1',
      port: 9100,
      maxQueuedCalls: 1024,
      maxHeldBytes: 256 * 1024 ** 2,
    });
    expect(readConfig(Object.fromEntries(envDocs.map(({ name, default: value }) => [name, value])))).toEqual(
      bare,
    );
  });

  it('names the variable, the form and the default of what is wrong', () => {
    expect(() => readConfig({ PORT: 'x' })).toThrow(ConfigError);
    expect(() => readConfig({ PORT: 'x' })).toThrow(/PORT="x".*0 to 65535.*9100/);
    expect(() => readConfig({ BALANCER_ID: 'two words' })).toThrow(/BALANCER_ID/);
  });
});
