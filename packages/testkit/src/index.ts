/** For tests: a whole mesh of real processes, a real nats-server, made images, a clock and chance under control. */
export { createFakeClock, type FakeClock } from './fake-clock.ts';
export {
  type Colour,
  decode,
  gradient,
  type ImageFormat,
  type ImageOptions,
  noisePng,
  type Picture,
  photoLike,
  pixelAt,
  plain,
  portrait,
  QUADRANT_COLOURS,
  quadrants,
  readPixel,
} from './images.ts';
export { type MeshOptions, startMesh, type TestMesh } from './mesh.ts';
export { startNats, type TestNats } from './nats.ts';
export { type NatsCluster, startNatsCluster } from './nats-cluster.ts';
export { startNatsWith } from './nats-with.ts';
export { startProcess, type TestProcess } from './process.ts';
export { missingS3, startS3, type TestS3 } from './s3.ts';
export { seededRandom } from './seeded-random.ts';
