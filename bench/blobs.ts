/**
 * MB/s and ms of storing and reading images, on files and on S3 (SeaweedFS on this machine), in one run. Every put is of new
 * bytes and durable when it counts; every get is verified. npm run bench:blobs
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '@imagemesh/store';
import { missingS3, startS3 } from '@imagemesh/testkit';

const kibibyte = 1024;
const cases = [
  { sizeBytes: 100 * kibibyte, count: 64, atOnce: 1 },
  { sizeBytes: 100 * kibibyte, count: 64, atOnce: 8 },
  { sizeBytes: 4 * kibibyte ** 2, count: 16, atOnce: 4 },
  { sizeBytes: 32 * kibibyte ** 2, count: 4, atOnce: 1 },
];

async function timed(count: number, atOnce: number, run: (at: number) => Promise<void>): Promise<number> {
  let next = 0;
  const startMs = performance.now();
  const lanes = Array.from({ length: atOnce }, async () => {
    while (next < count) await run(next++);
  });
  await Promise.all(lanes);
  return performance.now() - startMs;
}

async function measure(name: string, url: string): Promise<void> {
  const { blobs, close } = await openStore(url);
  for (const { sizeBytes, count, atOnce } of cases) {
    const images = Array.from({ length: count }, () => randomBytes(sizeBytes));
    const ids: string[] = [];
    const putMs = await timed(count, atOnce, async (at) => {
      ids[at] = (await blobs.putImage(images[at] ?? new Uint8Array(0), { maxBytes: sizeBytes })).id;
    });
    const getMs = await timed(count, atOnce, async (at) => {
      await (await blobs.readImage(ids[at] ?? '')).bytes();
    });
    const speed = (ms: number) => ((count * sizeBytes) / 1e6 / (ms / 1000)).toFixed(0);
    const each = (ms: number) => ((ms * atOnce) / count).toFixed(1);
    const size = `${(sizeBytes / 1e6).toFixed(1)} MB`;
    console.log(
      `| ${name} | ${size} | ${atOnce} | ${speed(putMs)} | ${each(putMs)} | ${speed(getMs)} | ${each(getMs)} |`,
    );
  }
  await close();
}

console.log(
  '| engine | image | at once | put MB/s | put ms | get MB/s | get ms |\n|---|---|---|---|---|---|---|',
);
const folder = await mkdtemp(join(tmpdir(), 'imagemesh-bench-'));
try {
  await measure('files', `file:${folder}`);
} finally {
  await rm(folder, { recursive: true });
}
const missing = await missingS3();
if (missing === undefined) {
  const s3 = await startS3();
  Object.assign(process.env, s3.env);
  try {
    await measure('S3', s3.storeUrl());
  } finally {
    await s3.stop();
  }
} else console.log(`S3: not measured, ${missing}`);
