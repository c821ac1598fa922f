/** Sends damaged images through a mesh and tells what came of them. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Format, ImageService, MorphologyKind, type OperationSchema } from '@imagemesh/api';
import { createGrpcClient, deadlineIn, toMeshError } from '@imagemesh/rpc';
import { seededRandom, type TestMesh } from '@imagemesh/testkit';
import sharp from 'sharp';
import { mutate, seedImages } from './mutate.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly count: number;
  /** Beside the small ones made here. */
  readonly images?: readonly Buffer[];
  readonly onProgress?: (done: number) => void;
}

export interface FuzzSummary {
  /** How many images had each end: "OK", or the reason of the error. */
  readonly ends: ReadonlyMap<string, number>;
  /** INTERNAL, a deadline that passed, a result that does not decode: with the image. */
  readonly failures: readonly { readonly index: number; readonly what: string; readonly bytes: Buffer }[];
}

type Pipeline = NonNullable<MessageInitShape<typeof OperationSchema>['operation']>[];

const pipelines: readonly Pipeline[] = [
  [],
  [{ case: 'resize', value: { width: 20 } }],
  [{ case: 'blur', value: {} }],
  [
    { case: 'rotate', value: { angle: 33 } },
    { case: 'trim', value: {} },
  ],
  [
    { case: 'redactFaces', value: {} },
    { case: 'cropToFaces', value: {} },
  ],
  [
    { case: 'resize', value: { percent: 50 } },
    { case: 'morphology', value: { kind: MorphologyKind.OPEN } },
  ],
  [
    { case: 'edges', value: {} },
    { case: 'text', value: { text: 'x' } },
  ],
];
const formats = [Format.UNSPECIFIED, Format.PNG, Format.WEBP, Format.JPEG];

/** At most this for an image; more is a hang. */
const deadlineMs = 20_000;
const atOnce = 4;

/** The same images and pipelines for the same seed. */
export async function fuzz(
  mesh: TestMesh,
  { seed, count, images = [], onProgress }: FuzzOptions,
): Promise<FuzzSummary> {
  const chance = seededRandom(seed);
  const seeds = [...(await seedImages()), ...images];
  const client = createGrpcClient(ImageService, mesh.gatewayAddress, { maxMessageBytes: 64 * 1024 * 1024 });
  const ends = new Map<string, number>();
  const failures: { index: number; what: string; bytes: Buffer }[] = [];
  let next = 0;

  async function work(): Promise<void> {
    while (next < count) {
      const index = next++;
      const bytes = mutate(seeds, chance);
      const operations = pipelines[Math.floor(chance() * pipelines.length)] ?? [];
      const format = formats[Math.floor(chance() * formats.length)] ?? Format.PNG;
      const end = await send(bytes, operations, format);
      ends.set(end, (ends.get(end) ?? 0) + 1);
      if (isFailure(end)) failures.push({ index, what: end, bytes });
      onProgress?.(index + 1);
    }
  }

  async function send(data: Buffer, operations: Pipeline, format: Format): Promise<string> {
    try {
      const { data: result } = await client.transform(
        {
          source: { source: { case: 'data', value: data } },
          operations: operations.map((operation) => ({ operation })),
          output: { format, effort: 0 },
        },
        { deadline: deadlineIn(deadlineMs) },
      );
      await sharp(result, { animated: true }).raw().toBuffer();
      return 'OK';
    } catch (error) {
      const { reason, message } = toMeshError(error);
      return reason === 'INTERNAL' ? `INTERNAL: ${message}` : reason;
    }
  }

  try {
    await Promise.all(Array.from({ length: atOnce }, work));
  } finally {
    client.close();
  }
  return { ends, failures };
}

function isFailure(end: string): boolean {
  return /^(INTERNAL|DEADLINE_EXCEEDED|REPLICA_LOST|NO_REPLICA|CANCELLED)/.test(end);
}
