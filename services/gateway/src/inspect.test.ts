import { Format } from '@imagemesh/api';
import { defaultLimits } from '@imagemesh/image';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { createImageInspector, inspectWhole } from './inspect.ts';

const noWhole = async (): Promise<void> => {
  throw new Error('the whole is not needed');
};

/** The header of a PNG; no more of it is read here. */
function png(width: number, height: number): Buffer {
  const head = Buffer.alloc(64);
  Buffer.from('\x89PNG\r\n\x1a\n', 'latin1').copy(head);
  head.writeUInt32BE(13, 8);
  head.write('IHDR', 12, 'latin1');
  head.writeUInt32BE(width, 16);
  head.writeUInt32BE(height, 20);
  head[24] = 8;
  head[25] = 2;
  head.writeUInt32BE(20, 33);
  head.write('IDAT', 37, 'latin1');
  return head;
}

describe('createImageInspector', () => {
  it('finds size and format however the bytes are cut', async () => {
    for (const step of [1, 7, 64]) {
      const inspector = createImageInspector(defaultLimits);
      const bytes = png(300, 200);
      for (let at = 0; at < bytes.length; at += step) inspector.push(bytes.subarray(at, at + step));
      inspector.end(bytes.length);
      expect(await inspector.finish(bytes.length, noWhole)).toMatchObject({
        format: Format.PNG,
        width: 300,
        height: 200,
        sizeBytes: 64n,
      });
    }
  });

  it('waits for the end of a TIFF whose directory stands there', async () => {
    const pixels = { create: { width: 700, height: 600, channels: 3, background: '#123456' } } as const;
    const tiff = await sharp(pixels).tiff({ compression: 'none' }).toBuffer();
    const inspector = createImageInspector(defaultLimits);
    for (let at = 0; at < tiff.length; at += 65_536) inspector.push(tiff.subarray(at, at + 65_536));
    inspector.end(tiff.length);
    expect(await inspector.finish(tiff.length, async (use) => use(tiff))).toMatchObject({
      format: Format.TIFF,
      width: 700,
    });
    const small = createImageInspector({ ...defaultLimits, maxInputPixels: 1000 });
    for (let at = 0; at < tiff.length; at += 65_536) small.push(tiff.subarray(at, at + 65_536));
    small.end(tiff.length);
    await expect(small.finish(tiff.length, async (use) => use(tiff))).rejects.toMatchObject({
      reason: 'TOO_MANY_PIXELS',
    });
  });

  it('refuses too many pixels before the bytes of them came', () => {
    const inspector = createImageInspector(defaultLimits);
    expect(() => inspector.push(png(60_000, 60_000))).toThrow(
      expect.objectContaining({ reason: 'TOO_MANY_PIXELS' }),
    );
  });

  it('counts the frames of an animation while it comes, however its bytes are cut', async () => {
    for (const format of ['gif', 'webp'] as const) {
      const bytes = await animation(format, 7);
      for (const step of [1, 13, 4096, bytes.length]) {
        const inspector = createImageInspector(defaultLimits);
        for (let at = 0; at < bytes.length; at += step) inspector.push(bytes.subarray(at, at + step));
        inspector.end(bytes.length);
        expect((await inspector.finish(bytes.length, noWhole)).frames, `${format}, ${step}`).toBe(7);
      }
    }
  });

  it('counts the frames of a GIF whose first one is longer than a head', async () => {
    const noise = { width: 1200, height: 1200, channels: 3, background: '#000' } as const;
    const frame = await sharp({ create: { ...noise, noise: { type: 'gaussian', mean: 128, sigma: 60 } } })
      .png()
      .toBuffer();
    const bytes = await sharp([frame, await solid(1)], { join: { animated: true } })
      .gif({ effort: 1 })
      .toBuffer();
    const inspector = createImageInspector(defaultLimits);
    for (let at = 0; at < bytes.length; at += 65_536) inspector.push(bytes.subarray(at, at + 65_536));
    inspector.end(bytes.length);
    expect(bytes.length).toBeGreaterThan(1024 * 1024);
    expect((await inspector.finish(bytes.length, noWhole)).frames).toBe(2);
  });

  it('refuses too many frames as soon as they begin', async () => {
    const bytes = await animation('gif', 9);
    const inspector = createImageInspector({ ...defaultLimits, maxFrames: 3 });
    let pushed = 0;
    expect(() => {
      for (const byte of bytes) {
        pushed += 1;
        inspector.push(Uint8Array.of(byte));
      }
    }).toThrow(
      expect.objectContaining({ reason: 'TOO_MANY_PIXELS', metadata: { frames: '4', maxFrames: '3' } }),
    );
    expect(pushed).toBeLessThan(bytes.length * 0.6);
  });

  it('refuses what is not an image after its first bytes', () => {
    const inspector = createImageInspector(defaultLimits);
    expect(() => inspector.push(Buffer.from('hello, this is certainly not an image at all'))).toThrow(
      expect.objectContaining({ reason: 'NOT_AN_IMAGE' }),
    );
  });

  it('refuses no bytes, a few bytes, and an image that ends in its header', () => {
    const ended = (bytes: Uint8Array) => () => {
      const inspector = createImageInspector(defaultLimits);
      inspector.push(bytes);
      inspector.end(bytes.length);
    };
    expect(ended(Buffer.alloc(0))).toThrow(expect.objectContaining({ reason: 'NOT_AN_IMAGE' }));
    expect(ended(Buffer.from('ab'))).toThrow(expect.objectContaining({ reason: 'NOT_AN_IMAGE' }));
    expect(ended(png(10, 10).subarray(0, 20))).toThrow(expect.objectContaining({ reason: 'DAMAGED_IMAGE' }));
  });

  it('gives up on an image whose size does not come within a megabyte', () => {
    const inspector = createImageInspector(defaultLimits);
    const comment = Buffer.alloc(65_537);
    comment.writeUInt16BE(0xfffe, 0);
    comment.writeUInt16BE(65_535, 2);
    inspector.push(Buffer.of(0xff, 0xd8));
    expect(() => {
      for (let count = 0; count < 17; count++) inspector.push(comment);
    }).toThrow(expect.objectContaining({ reason: 'DAMAGED_IMAGE' }));
  });

  it('reads a WebP again whole when its orientation lies beyond its head', async () => {
    const bytes = webpWithOrientation(6, 1_500_000);
    const inspector = createImageInspector(defaultLimits);
    for (let at = 0; at < bytes.length; at += 65_536) inspector.push(bytes.subarray(at, at + 65_536));
    inspector.end(bytes.length);
    expect(await inspector.finish(bytes.length, async (use) => use(bytes))).toMatchObject({
      format: Format.WEBP,
      orientation: 6,
    });
    expect(inspectWhole(bytes, defaultLimits).orientation).toBe(6);
  });
});

async function animation(format: 'gif' | 'webp', frames: number): Promise<Buffer> {
  const parts = await Promise.all(Array.from({ length: frames }, (_, at) => solid(at)));
  return sharp(parts, { join: { animated: true } })
    .toFormat(format)
    .toBuffer();
}

function solid(at: number): Promise<Buffer> {
  const background = { r: 20 * at, g: 255 - 20 * at, b: 90 };
  return sharp({ create: { width: 12, height: 8, channels: 3, background } })
    .png()
    .toBuffer();
}

function webpWithOrientation(orientation: number, pixelBytes: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const head = Buffer.alloc(8);
    head.write(type, 0, 'latin1');
    head.writeUInt32LE(data.length, 4);
    return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
  };
  const canvas = Buffer.alloc(10);
  canvas[0] = 0x08;
  canvas.writeUIntLE(99, 4, 3);
  canvas.writeUIntLE(49, 7, 3);
  const exif = Buffer.from('4d4d002a000000080001011200030000000100060000' + '00000000', 'hex');
  exif.writeUInt16BE(orientation, 18);
  const body = Buffer.concat([
    chunk('VP8X', canvas),
    chunk('VP8 ', Buffer.alloc(pixelBytes)),
    chunk('EXIF', exif),
  ]);
  const head = Buffer.alloc(12);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(body.length + 4, 4);
  head.write('WEBP', 8, 'latin1');
  return Buffer.concat([head, body]);
}
