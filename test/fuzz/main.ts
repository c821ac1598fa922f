/**
 * Fuzzes a whole mesh with damaged images:
 *
 *   npm run fuzz [-- --count 20000 --seed 1 --images folder]
 *
 * Ends with 1 and writes the images to fuzz-failures/ where one of them had the end INTERNAL, took too long or took a process
 * down. The same seed gives the same images.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startMesh } from '@imagemesh/testkit';
import { fuzz } from './fuzz.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    images: { type: 'string' },
  },
});
const count = Number(values.count);
const { images: folder } = values;
const images =
  folder === undefined
    ? []
    : await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))));
const mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: false });
const pids = () => mesh.replicaNames().map((name) => `${name} ${mesh.process(name).pid}`);
const before = pids();
try {
  const { ends, failures } = await fuzz(mesh, {
    seed: Number(values.seed),
    count,
    images,
    onProgress: (done) => {
      if (done % 1000 === 0) process.stderr.write(`${done} of ${count}\n`);
    },
  });
  for (const [end, times] of [...ends].sort((a, b) => b[1] - a[1]))
    process.stdout.write(`${String(times).padStart(6)} ${end}\n`);
  const lost = before.filter((replica) => !pids().includes(replica));
  process.stdout.write(
    `seed ${values.seed}: ${count} images, ${failures.length} failures, ${lost.length} processes lost\n`,
  );
  if (failures.length > 0) await mkdir('fuzz-failures', { recursive: true });
  for (const { index, what, bytes } of failures) {
    process.stdout.write(`fuzz-failures/${index}: ${what}\n`);
    await writeFile(`fuzz-failures/${index}`, bytes);
  }
  if (failures.length + lost.length > 0) process.exitCode = 1;
} finally {
  await mesh.stop();
}
