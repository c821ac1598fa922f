import { MeshError } from '@imagemesh/rpc';
import { expect, test } from 'vitest';
import { toStoreError } from './file-errors.ts';

const failed = (code: string) => Object.assign(new Error(`${code}: /secret/path`), { code });

test('a full disk is STORE_FULL, which may pass', () => {
  for (const code of ['ENOSPC', 'EDQUOT']) {
    expect(toStoreError(failed(code), 'storing an image')).toMatchObject({
      reason: 'STORE_FULL',
      retryAfterMs: 10_000,
    });
  }
});

test('any other failure is STORE_FAILED and tells no path', () => {
  const error = toStoreError(failed('EIO'), 'storing an image');
  expect(error).toMatchObject({
    reason: 'STORE_FAILED',
    message: 'the store failed while storing an image (EIO)',
  });
});

test('an error that is not of the file system passes through', () => {
  for (const error of [new MeshError('CANCELLED', 'gone'), new Error('bug'), 'text']) {
    expect(toStoreError(error, 'storing')).toBe(error);
  }
});
