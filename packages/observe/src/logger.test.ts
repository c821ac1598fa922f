import { describe, expect, it } from 'vitest';
import { createLogger } from './logger.ts';

describe('a log', () => {
  it('is one JSON object a line, without secrets', () => {
    const lines: string[] = [];
    const log = createLogger({
      name: 'gateway',
      level: 'info',
      destination: { write: (line) => lines.push(line) },
    });
    log.info({ requestId: 'r', headers: { authorization: 'Bearer x' }, joinToken: 'secret' }, 'call');
    log.debug('not shown');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      name: 'gateway',
      requestId: 'r',
      headers: { authorization: '[redacted]' },
      joinToken: '[redacted]',
      msg: 'call',
    });
  });
});
