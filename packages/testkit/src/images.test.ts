import { describe, expect, it } from 'vitest';
import {
  decode,
  gradient,
  noisePng,
  photoLike,
  plain,
  QUADRANT_COLOURS,
  quadrants,
  readPixel,
} from './images.ts';

describe('generated images', () => {
  it('have the colours asked for, in every quadrant', async () => {
    const bytes = await quadrants({ width: 40, height: 20 });
    expect(await readPixel(bytes, 0, 0)).toEqual(QUADRANT_COLOURS[0]);
    expect(await readPixel(bytes, 39, 0)).toEqual(QUADRANT_COLOURS[1]);
    expect(await readPixel(bytes, 0, 19)).toEqual(QUADRANT_COLOURS[2]);
    expect(await readPixel(bytes, 39, 19)).toEqual(QUADRANT_COLOURS[3]);
  });

  it('carry alpha and an orientation where asked', async () => {
    expect(await readPixel(await plain([1, 2, 3, 4]), 5, 5)).toEqual([1, 2, 3, 4]);
    const turned = await quadrants({ format: 'jpeg', orientation: 6 });
    expect(turned.includes('Exif')).toBe(true);
  });

  it('reach the ends of a gradient', async () => {
    expect(await readPixel(await gradient(), 63, 47)).toEqual([255, 255, 128]);
  });

  it('weigh what was asked, when noise', async () => {
    const bytes = await noisePng(500_000);
    expect(bytes.length / 500_000).toBeCloseTo(1, 1);
    expect(bytes.equals(await noisePng(500_000))).toBe(true);
  });

  it('compress like a photo', async () => {
    const bytes = await photoLike(320, 240);
    expect(await decode(bytes)).toMatchObject({ width: 320, height: 240, channels: 3 });
    expect((bytes.length * 8) / (320 * 240)).toBeGreaterThan(1);
  });
});
