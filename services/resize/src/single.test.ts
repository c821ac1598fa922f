import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ExtendMethod, Fit, Gravity, Kernel, OperationSchema } from '@imagemesh/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeOf } from './overlay/put-over.ts';
import { bytesOf, chequered, encodePng, pixelsOf, quadrants, run, sourceOf, workOf } from './test-images.ts';

type Init = NonNullable<MessageInitShape<typeof OperationSchema>['operation']>;

const step = (operation: Init) => create(OperationSchema, { operation });

/** The pixels of a picture after the steps. */
async function after(picture: Parameters<typeof encodePng>[0], ...steps: Init[]) {
  const result = await pixelsOf(await run(workOf(sourceOf(await encodePng(picture)), steps.map(step))));
  const { width, height, channels, data } = result;
  const at = (x: number, y: number) => [
    ...data.subarray((y * width + x) * channels, (y * width + x) * channels + channels),
  ];
  return { width, height, channels, data, at };
}

const red = [255, 0, 0];
const green = [0, 255, 0];

describe('extend', () => {
  it('shows a colour, the edge, the mirror image or the image again', async () => {
    const picture = chequered({ width: 7, height: 5 });
    const grow = (method: ExtendMethod, background = '#0A141E') =>
      after(picture, { case: 'extend', value: { left: 2, top: 1, right: 3, bottom: 2, method, background } });
    const at = (x: number, y: number) => picture.at(x, y);
    const coloured = await grow(ExtendMethod.BACKGROUND);
    expect([coloured.width, coloured.height]).toEqual([12, 8]);
    expect([coloured.at(0, 0), coloured.at(2, 1)]).toEqual([[10, 20, 30], at(0, 0)]);
    expect((await grow(ExtendMethod.COPY)).at(0, 3)).toEqual(at(0, 2));
    expect((await grow(ExtendMethod.MIRROR)).at(1, 3)).toEqual(at(0, 2));
    expect((await grow(ExtendMethod.MIRROR)).at(0, 3)).toEqual(at(1, 2));
    expect((await grow(ExtendMethod.REPEAT)).at(1, 3)).toEqual(at(6, 2));
    const clear = await grow(ExtendMethod.BACKGROUND, '#0A141E00');
    expect([clear.channels, clear.at(0, 0)[3], clear.at(2, 1)[3]]).toEqual([4, 0, 255]);
  });

  it('is taken away again by a trim, and by a crop', async () => {
    const picture = quadrants({ width: 20, height: 12 });
    const extend: Init = {
      case: 'extend',
      value: { left: 5, top: 3, right: 1, bottom: 9, background: '#000000' },
    };
    const trimmed = await after(picture, extend, { case: 'trim', value: {} });
    expect([trimmed.width, trimmed.height]).toEqual([20, 12]);
    expect(trimmed.data.equals(bytesOf(picture))).toBe(true);
    const cropped = await after(picture, extend, {
      case: 'crop',
      value: { left: 5, top: 3, width: 20, height: 12 },
    });
    expect(cropped.data.equals(bytesOf(picture))).toBe(true);
  });
});

describe('resize', () => {
  it('keeps what the gravity says, and puts the image there', async () => {
    const picture = quadrants({ width: 40, height: 20 });
    const cover = { width: 20, height: 20, fit: Fit.COVER };
    const left = await after(picture, { case: 'resize', value: { ...cover, gravity: Gravity.LEFT } });
    expect(left.at(15, 3)).toEqual(red);
    const right = await after(picture, { case: 'resize', value: { ...cover, gravity: Gravity.RIGHT } });
    expect(right.at(5, 3)).toEqual(green);
    const contain = {
      width: 40,
      height: 40,
      fit: Fit.CONTAIN,
      gravity: Gravity.BOTTOM,
      background: '#102030',
    };
    const bottom = await after(picture, { case: 'resize', value: contain });
    expect([bottom.at(3, 3), bottom.at(3, 23)]).toEqual([[16, 32, 48], red]);
  });

  it('to its own size changes nothing, with every kernel', async () => {
    const picture = chequered({ width: 23, height: 17 });
    for (const kernel of Object.values(Kernel).filter((value) => value !== Kernel.UNSPECIFIED)) {
      const same = await after(picture, { case: 'resize', value: { width: 23, height: 17, kernel } });
      expect(same.data.equals(bytesOf(picture))).toBe(true);
    }
  });

  it('takes the nearest pixel where told, also of a mirrored image', async () => {
    const picture = chequered({ width: 6, height: 4 });
    const twice: Init = { case: 'resize', value: { width: 12, height: 8, kernel: Kernel.NEAREST } };
    const result = await after(picture, { case: 'flip', value: {} }, twice);
    for (const [x, y] of [
      [0, 0],
      [5, 3],
      [11, 7],
    ] as const) {
      expect(result.at(x, y)).toEqual(picture.at(5 - (x >> 1), y >> 1));
    }
  });
});

describe('smart crops', () => {
  it('have the size asked for and show the part with something on it', async () => {
    const picture = {
      width: 120,
      height: 40,
      at: (x: number, y: number) =>
        x > 85 && x < 115 ? [(x * 91) & 255, (y * 53) & 255, (x * y) & 255] : [128, 128, 128],
    };
    for (const gravity of [Gravity.ATTENTION, Gravity.ENTROPY]) {
      const { width, height, at } = await after(picture, {
        case: 'crop',
        value: { width: 40, height: 40, gravity },
      });
      expect([width, height]).toEqual([40, 40]);
      expect([at(20, 10), at(20, 25)]).not.toContainEqual([128, 128, 128]);
    }
  });
});

describe('corners', () => {
  it('become transparent or a colour, and nothing else changes', async () => {
    const picture = quadrants({ width: 40, height: 30 });
    const round = await after(picture, { case: 'roundCorners', value: { radius: 10 } });
    expect([round.at(0, 0)[3], round.at(39, 29)[3], round.at(10, 0), round.at(20, 15)[3]]).toEqual([
      0,
      0,
      [...red, 255],
      255,
    ]);
    const flat = await after(picture, { case: 'roundCorners', value: { radius: 10, background: '#0000FF' } });
    expect([flat.channels, flat.at(0, 0), flat.at(12, 12)]).toEqual([3, [0, 0, 255], red]);
    const put = await after(
      picture,
      { case: 'roundCorners', value: {} },
      { case: 'flatten', value: { background: '#00FF00' } },
    );
    expect([put.channels, put.at(0, 0)]).toEqual([3, green]);
  });
});

describe('text', () => {
  it('is written in its colour, at its place, and its markup is not read', async () => {
    const picture = { width: 200, height: 80, at: () => [0, 0, 0] };
    const write = (text: string) =>
      after(picture, {
        case: 'text',
        value: { text, size: 24, color: '#FF0000', gravity: Gravity.TOP_LEFT },
      });
    const plain = await write('a');
    const marked = await write('<b>a</b>');
    const inkOf = ({ data }: { data: Buffer }) => data.filter((level) => level > 0).length;
    expect(inkOf(plain)).toBeGreaterThan(20);
    expect(inkOf(marked)).toBeGreaterThan(inkOf(plain) * 3);
    expect(plain.data.filter((_, at) => at % 3 !== 0).every((level) => level === 0)).toBe(true);
    expect(plain.at(190, 70)).toEqual([0, 0, 0]);
    expect(plain.channels).toBe(3);
    expect((await write(' \n ')).data.every((level) => level === 0)).toBe(true);
  });
});

describe('the place of an overlay', () => {
  it('is as far from its edges as the offsets say', () => {
    const side = fc.integer({ min: 1, max: 500 });
    const offset = fc.integer({ min: -600, max: 600 });
    fc.assert(
      fc.property(
        side,
        side,
        side,
        side,
        offset,
        offset,
        (width, height, layerWidth, layerHeight, offsetX, offsetY) => {
          const [size, layer] = [
            { width, height },
            { width: layerWidth, height: layerHeight },
          ];
          const place = (gravity: Gravity) => placeOf(size, layer, { gravity, offsetX, offsetY });
          expect(place(Gravity.TOP_LEFT)).toEqual({ left: offsetX, top: offsetY });
          expect(place(Gravity.BOTTOM_RIGHT)).toEqual({
            left: width - layerWidth - offsetX,
            top: height - layerHeight - offsetY,
          });
        },
      ),
    );
  });
});
