import { expect, test } from 'vitest';
import { checkStoreUrl } from './open-store.ts';
import { parseS3Url } from './s3-location.ts';

test('a URL names bucket, prefix, endpoint and region', () => {
  expect(parseS3Url('s3://images')).toEqual({
    bucket: 'images',
    prefix: '',
    region: 'us-east-1',
    endpoint: undefined,
  });
  expect(
    parseS3Url('s3://my.images/mesh/one/?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu-central-1'),
  ).toEqual({
    bucket: 'my.images',
    prefix: 'mesh/one/',
    region: 'eu-central-1',
    endpoint: 'http://127.0.0.1:9000',
  });
  expect(parseS3Url('s3://images/a?endpoint=https://s3.example.org').endpoint).toBe('https://s3.example.org');
});

test.each([
  's3:images',
  's3://',
  's3://UPPER_case',
  's3://images/a b',
  's3://images:9000/a',
  's3://images/a?endpoint=ftp://host',
  's3://images/a?endpoint=http://key:hush-hush@host',
  's3://images/a?endpoint=http://host/path',
  's3://images/a?region=EU',
  's3://images/a?secret=hush-hush',
  's3://key:hush-hush@images/a',
])('%s is refused without being repeated', (url) => {
  expect(() => checkStoreUrl(url)).toThrow(/^STORE_URL is not understood: .*; the form is s3:/);
  expect(() => checkStoreUrl(url)).not.toThrow('hush-hush');
});
