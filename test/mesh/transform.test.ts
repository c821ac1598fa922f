import { Fit, FlipDirection, Format, ImageService } from '@imagemesh/api';
import { createGrpcClient, createSessionPool } from '@imagemesh/rpc';
import { plain, QUADRANT_COLOURS, quadrants, startMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pixelsOf, transformStream } from './calls.ts';

type Mesh = Awaited<ReturnType<typeof startMesh>>;
type Pipeline = NonNullable<Parameters<ReturnType<typeof client>['transform']>[0]['operations']>;

const [red, green, blue, yellow] = QUADRANT_COLOURS;
const white = [255, 255, 255];

let mesh: Mesh;

const client = (gateway: Mesh) =>
  createGrpcClient(ImageService, gateway.gatewayAddress, { maxMessageBytes: 16 * 1024 * 1024 });

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: false });
});
afterAll(async () => {
  await mesh?.stop();
});

/** Sends a PNG through a pipeline and gives the pixels of the result. */
async function transform(data: Uint8Array, operations: Pipeline, format: Format = Format.PNG) {
  const images = client(mesh);
  try {
    const reply = await images.transform({
      source: { source: { case: 'data', value: data } },
      operations,
      output: { format },
    });
    return { ...(await pixelsOf(reply.data)), reply };
  } finally {
    images.close();
  }
}

describe('a transform', () => {
  it('resizes to the exact size and keeps the colours of flat areas', async () => {
    const { width, height, at, reply } = await transform(await quadrants({ width: 400, height: 200 }), [
      { operation: { case: 'resize', value: { width: 100, height: 80 } } },
    ]);
    expect([width, height]).toEqual([100, 80]);
    expect([at(10, 10), at(90, 10), at(10, 70), at(90, 70)]).toEqual([red, green, blue, yellow]);
    expect(reply.info).toMatchObject({ format: Format.PNG, width: 100, height: 80 });
    expect(reply.report?.stages).toHaveLength(1);
  });

  it('follows the ratio when one side is given, and each fit when both are', async () => {
    const source = await quadrants({ width: 400, height: 200 });
    const sizes: [object, number[]][] = [
      [{ width: 100 }, [100, 50]],
      [{ height: 100 }, [200, 100]],
      [{ width: 100, height: 100, fit: Fit.INSIDE }, [100, 50]],
      [{ width: 100, height: 100, fit: Fit.OUTSIDE }, [200, 100]],
      [{ width: 100, height: 100, fit: Fit.COVER }, [100, 100]],
      [{ width: 100, height: 100, fit: Fit.CONTAIN }, [100, 100]],
      [{ width: 800, height: 100 }, [800, 100]],
    ];
    for (const [value, size] of sizes) {
      const { width, height } = await transform(source, [{ operation: { case: 'resize', value } }]);
      expect([width, height], JSON.stringify(value)).toEqual(size);
    }
  });

  it('crops, turns and mirrors pixels exactly, in the order given', async () => {
    const source = await quadrants({ width: 40, height: 20 });
    const right = await transform(source, [
      { operation: { case: 'crop', value: { left: 20, top: 0, width: 20, height: 20 } } },
    ]);
    expect([right.width, right.height, right.at(0, 0), right.at(19, 19)]).toEqual([20, 20, green, yellow]);

    const turned = await transform(source, [{ operation: { case: 'rotate', value: { angle: 90 } } }]);
    expect([turned.width, turned.height]).toEqual([20, 40]);
    expect([turned.at(0, 0), turned.at(19, 0), turned.at(0, 39), turned.at(19, 39)]).toEqual([
      blue,
      red,
      yellow,
      green,
    ]);

    const mirrored = await transform(source, [
      { operation: { case: 'flip', value: { direction: FlipDirection.HORIZONTAL } } },
      { operation: { case: 'crop', value: { width: 1, height: 1 } } },
    ]);
    expect(mirrored.at(0, 0)).toEqual(green);
    const cropped = await transform(source, [
      { operation: { case: 'crop', value: { width: 1, height: 1 } } },
      { operation: { case: 'flip', value: { direction: FlipDirection.HORIZONTAL } } },
    ]);
    expect(cropped.at(0, 0)).toEqual(red);
  });

  it('brings all eight EXIF orientations upright', async () => {
    // Which quadrant of the stored image shows top left, top right, bottom left and bottom right of the upright one.
    const upright = ['0123', '1032', '3210', '2301', '0213', '2031', '3120', '1302'];
    for (const [at, places] of upright.entries()) {
      const orientation = at + 1;
      const size = orientation > 4 ? { width: 32, height: 64 } : { width: 64, height: 32 };
      const source = await quadrants({ ...size, format: 'jpeg', orientation });
      const result = await transform(source, [{ operation: { case: 'resize', value: { width: 64 } } }]);
      expect([result.width, result.height], `orientation ${orientation}`).toEqual([64, 32]);
      const corners = [result.at(8, 8), result.at(56, 8), result.at(8, 24), result.at(56, 24)];
      const expected = [...places].map((place) => nearestColour(QUADRANT_COLOURS[Number(place)] ?? []));
      expect(corners.map(nearestColour), `orientation ${orientation}`).toEqual(expected);
    }
  });

  it("blurs with OpenCV's 5×5 box", async () => {
    const { at } = await transform(await quadrants({ width: 40, height: 40 }), [
      { operation: { case: 'blur', value: {} } },
    ]);
    expect(at(5, 5)).toEqual(red);
    // Left of the border between red and green: 3 of the 5 columns are red; right of it 2 are.
    expect(at(19, 5)).toEqual([153, 102, 0]);
    expect(at(20, 5)).toEqual([102, 153, 0]);
  });

  it('finds edges where the colours meet and nowhere else', async () => {
    const { width, height, reply, at } = await transform(await quadrants({ width: 40, height: 40 }), [
      { operation: { case: 'edges', value: {} } },
    ]);
    expect([width, height, reply.info?.channels]).toEqual([40, 40, 1]);
    expect(at(5, 5)[0]).toBe(0);
    const row = Array.from({ length: 40 }, (_, x) => at(x, 8)[0]);
    expect(row.filter((value) => value === 255)).toHaveLength(1);
    expect(row.every((value) => value === 0 || value === 255)).toBe(true);
    expect([19, 20]).toContain(row.indexOf(255));
  });

  it('runs a pipeline over both services in order, in the fewest stages', async () => {
    const { width, height, at, reply } = await transform(await quadrants({ width: 400, height: 400 }), [
      { operation: { case: 'resize', value: { width: 40, height: 40 } } },
      { operation: { case: 'blur', value: {} } },
      { operation: { case: 'crop', value: { left: 20, top: 0, width: 20, height: 20 } } },
    ]);
    expect([width, height]).toEqual([20, 20]);
    expect(at(15, 5)).toEqual(green);
    const [redPart, greenPart] = at(0, 5);
    expect(redPart).toBeGreaterThan(60);
    expect(greenPart).toBeGreaterThan(120);
    expect(reply.report?.stages.map((stage) => stage.operations)).toEqual([['resize'], ['blur', 'crop']]);
  });

  it('keeps the format unless told otherwise and encodes to each', async () => {
    const source = await quadrants({ width: 64, height: 64, format: 'jpeg' });
    const kept = await transform(source, [], Format.UNSPECIFIED);
    expect(kept.reply.info?.format).toBe(Format.JPEG);
    for (const format of [Format.JPEG, Format.PNG, Format.WEBP, Format.AVIF]) {
      const { reply, width } = await transform(source, [], format);
      expect(reply.info?.format).toBe(format);
      expect(width).toBe(64);
    }
  });

  it('keeps alpha through filters and flattens it for JPEG', async () => {
    const source = await plain([255, 0, 0, 0], { width: 32, height: 32 });
    const blurred = await transform(source, [{ operation: { case: 'blur', value: {} } }]);
    expect([blurred.channels, blurred.at(16, 16)[3]]).toEqual([4, 0]);
    const flat = await transform(source, [], Format.JPEG);
    expect(nearestColour(flat.at(16, 16))).toBe('white');
  });

  it('streams the same result as the unary call', async () => {
    const source = await quadrants({ width: 400, height: 200 });
    const pool = createSessionPool(mesh.gatewayAddress);
    const operations: Pipeline = [{ operation: { case: 'resize', value: { width: 100, height: 80 } } }];
    const { bytes, header } = await transformStream(pool, { operations }, source);
    const { reply } = await transform(source, operations, Format.UNSPECIFIED);
    expect(bytes.equals(reply.data)).toBe(true);
    expect(header.info?.width).toBe(100);
    await pool.close();
  });
});

function nearestColour(pixel: readonly number[]): string {
  const colours = { red, green, blue, yellow, white };
  const distance = (colour: readonly number[]) =>
    colour.reduce((sum, value, channel) => sum + (value - (pixel[channel] ?? pixel[0] ?? 0)) ** 2, 0);
  return Object.entries(colours).reduce((best, entry) =>
    distance(entry[1]) < distance(best[1]) ? entry : best,
  )[0];
}
