/**
 * Where the filter's codec work should run: JPEG → 5×5 blur → JPEG in one worker thread with OpenCV.
 *
 *   node --import tsx --conditions=source bench/filter-data-path.ts [photo.jpg]
 *
 * thread: the thread decodes, and encodes from a view of the wasm heap. view: the event loop's side decodes, the
 * thread encodes from a view. copy: the event loop's side decodes and encodes; the pixels are copied out of the heap.
 * The ways take turns in each round; figures are medians over the rounds. Try it with
 * MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=268435456 as well.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import sharp from 'sharp';
import { median } from './statistics.ts';

interface Raster {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

const ways = ['thread', 'view', 'copy'] as const;
type Way = (typeof ways)[number];
type Ask = { way: Way; jpeg?: Uint8Array; raster?: Raster };

const sizes = [
  { name: '2 MP', width: 1920, height: 1080, calls: 10 },
  { name: '12 MP', width: 4000, height: 3000, calls: 3 },
];
const rounds = 5;

sharp.concurrency(1);
sharp.cache(false);
if (isMainThread) await measure();
else await serve();

async function measure(): Promise<void> {
  const [path] = process.argv.slice(2);
  const noise = { type: 'gaussian', mean: 128, sigma: 30 } as const;
  const source =
    path === undefined
      ? await sharp({ create: { width: 1500, height: 1200, channels: 3, background: '#888', noise } })
          .blur(2)
          .png()
          .toBuffer()
      : await readFile(path);
  const worker = new Worker(
    `import('tsx/esm/api').then(({ register }) => { register(); return import('${import.meta.url}'); })`,
    { eval: true },
  );
  await new Promise((resolve) => worker.once('message', resolve));
  console.log('size    way         ms   CPU-ms');
  for (const { name, width, height, calls } of sizes) {
    const jpeg = await sharp(source).resize(width, height, { fit: 'fill' }).jpeg().toBuffer();
    const figures = new Map(ways.map((way) => [way, { ms: [] as number[], cpu: [] as number[] }]));
    for (let round = -1; round < rounds; round++) {
      for (const [way, { ms, cpu }] of figures) {
        const before = process.cpuUsage();
        const start = performance.now();
        for (let call = 0; call < calls; call++) await run(worker, way, jpeg);
        const { user, system } = process.cpuUsage(before);
        // The first round warms up.
        if (round < 0) continue;
        ms.push((performance.now() - start) / calls);
        cpu.push((user + system) / 1000 / calls);
      }
    }
    for (const [way, { ms, cpu }] of figures) {
      const row = [median(ms), median(cpu)].map((figure) => figure.toFixed(1).padStart(8));
      console.log(name.padEnd(7), way.padEnd(6), ...row);
    }
  }
  await worker.terminate();
}

async function run(worker: Worker, way: Way, jpeg: Uint8Array): Promise<void> {
  const ask = (message: Ask, transfer: ArrayBufferLike[]) =>
    new Promise<Uint8Array | Raster>((resolve) => {
      worker.once('message', resolve);
      worker.postMessage(
        message,
        transfer.filter((buffer) => buffer instanceof ArrayBuffer),
      );
    });
  if (way === 'thread') {
    const copy = new Uint8Array(jpeg);
    await ask({ way, jpeg: copy }, [copy.buffer]);
    return;
  }
  const raster = await decode(jpeg);
  const answer = await ask({ way, raster }, [raster.data.buffer]);
  if (way === 'copy' && 'data' in answer) await encode(answer);
}

async function serve(): Promise<void> {
  // The part of OpenCV that is used here.
  interface OpenCv {
    Mat: new (...of: number[]) => { data: Uint8Array; delete(): void };
    Size: new (width: number, height: number) => object;
    CV_8UC3: number;
    blur(source: object, target: object, size: object): void;
  }
  const folder = new URL('../third_party/opencv/', import.meta.url);
  const load = createRequire(import.meta.url)(fileURLToPath(new URL('opencv.cjs', folder)));
  const cv: OpenCv = await load({ wasmBinary: await readFile(new URL('opencv.wasm', folder)) });
  parentPort?.on('message', async ({ way, jpeg, raster: given }: Ask) => {
    const raster = given ?? (await decode(jpeg ?? new Uint8Array(0)));
    const { width, height } = raster;
    const source = new cv.Mat(height, width, cv.CV_8UC3);
    source.data.set(raster.data);
    const target = new cv.Mat();
    cv.blur(source, target, new cv.Size(5, 5));
    source.delete();
    const result =
      way === 'copy'
        ? target.data.slice()
        : new Uint8Array(await encode({ data: target.data, width, height }));
    target.delete();
    parentPort?.postMessage(way === 'copy' ? { data: result, width, height } : result, [result.buffer]);
  });
  parentPort?.postMessage('ready');
}

async function decode(jpeg: Uint8Array): Promise<Raster> {
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  return {
    data: new Uint8Array(data.buffer, data.byteOffset, data.length),
    width: info.width,
    height: info.height,
  };
}

function encode({ data, width, height }: Raster): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ optimiseCoding: false })
    .toBuffer();
}
