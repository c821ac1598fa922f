/** Entries as objects; a key is the key. */
import type { Entries } from './entries.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { readAll } from './s3-read.ts';

export function createS3Entries(bucket: S3Bucket): Entries {
  return {
    create: (key, value) => bucket.put(key, value, { isNew: true }),
    replace: async (key, value) => void (await bucket.put(key, value)),
    async read(key) {
      const body = await bucket.get(key);
      return body === undefined ? undefined : readAll(body);
    },
    remove: (key) => bucket.remove(key),
    async *list(folder, after) {
      for await (const { key } of bucket.list(folder, after)) yield key;
    },
  };
}
