import { ConfigError, createLogger } from '@imagemesh/observe';
import { expect, test } from 'vitest';
import { connectNats } from './nats-link.ts';

const log = createLogger({ name: 'test', level: 'silent' });

test('a URL that is none is refused at once, without telling a password', () => {
  for (const url of ['', 'http://localhost:4222', 'nats://a:secret@', 'nats://a:4222,', 'nats://a b:4222']) {
    expect(() => connectNats({ url, name: 'test', log }), url).toThrow(ConfigError);
    expect(() => connectNats({ url, name: 'test', log }), url).not.toThrow(/secret/);
  }
});
