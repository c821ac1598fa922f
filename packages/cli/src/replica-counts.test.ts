import { describe, expect, it } from 'vitest';
import { DEFAULT_REPLICAS, parseReplicaCounts } from './replica-counts.ts';

describe('parseReplicaCounts', () => {
  it('reads kinds and counts', () => {
    expect(parseReplicaCounts(DEFAULT_REPLICAS)).toEqual({ resize: 2, filter: 2 });
    expect(parseReplicaCounts(' filter = 3 , resize=0')).toEqual({ resize: 0, filter: 3 });
  });

  it('starts none of a kind that is left out', () => {
    expect(parseReplicaCounts('resize=1')).toEqual({ resize: 1, filter: 0 });
  });

  it.each([
    '',
    'resize',
    'resize=',
    'resize=x',
    'resize=-1',
    'resize=65',
    'gateway=1',
    'resize=1=2',
    'resize=1,resize=2',
  ])('refuses %j, naming the variable, the form and the default', (text) => {
    expect(() => parseReplicaCounts(text)).toThrow(
      /^REPLICAS=.*expected kind=count.*default resize=2,filter=2/,
    );
  });
});
