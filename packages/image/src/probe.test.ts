import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import fc from 'fast-check';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkInput, defaultLimits } from './limits.ts';
import { type Probe, probe, probeWhole } from './probe.ts';

function plain(width = 40, height = 20, channels: 3 | 4 = 3): Sharp {
  return sharp({ create: { width, height, channels, background: { r: 9, g: 99, b: 199, alpha: 0.5 } } });
}

function noisy(): Sharp {
  const data = Buffer.from(Array.from({ length: 40 * 20 * 3 }, (_, index) => (index * 7919) & 255));
  return sharp(data, { raw: { width: 40, height: 20, channels: 3 } });
}

describe('headers', () => {
  it('reads what each encoder writes', async () => {
    const expected = { width: 40, height: 20, orientation: 1, bitDepth: 8, hasAlpha: false, frames: 1 };
    expect(probeWhole(await plain().jpeg().toBuffer())).toEqual({
      ...expected,
      format: Format.JPEG,
      channels: 3,
    });
    expect(probeWhole(await plain().jpeg({ progressive: true }).toBuffer())).toMatchObject({
      width: 40,
      height: 20,
    });
    expect(probeWhole(await plain().png().toBuffer())).toEqual({
      ...expected,
      format: Format.PNG,
      channels: 3,
    });
    expect(probeWhole(await plain().webp().toBuffer())).toEqual({
      ...expected,
      format: Format.WEBP,
      channels: 3,
    });
    expect(probeWhole(await plain().webp({ lossless: true }).toBuffer())).toMatchObject({
      width: 40,
      height: 20,
    });
    expect(probeWhole(await plain().avif().toBuffer())).toEqual({
      ...expected,
      format: Format.AVIF,
      channels: 3,
    });
  });

  it.each(['png', 'webp', 'avif'] as const)('sees alpha in %s', async (format) => {
    const bytes = await plain(40, 20, 4).toFormat(format).toBuffer();
    expect(probeWhole(bytes)).toMatchObject({ width: 40, height: 20, channels: 4, hasAlpha: true });
  });

  it('sees grey, depth, palettes and CMYK', async () => {
    expect(probeWhole(await plain().greyscale().toColourspace('b-w').jpeg().toBuffer())).toMatchObject({
      channels: 1,
    });
    expect(probeWhole(await plain().toColourspace('cmyk').jpeg().toBuffer())).toMatchObject({ channels: 4 });
    expect(probeWhole(await plain().toColourspace('rgb16').png().toBuffer())).toMatchObject({
      channels: 3,
      bitDepth: 16,
    });
    const palette = await plain(40, 20, 4).png({ palette: true }).toBuffer();
    expect(probeWhole(palette)).toMatchObject({ channels: 4, hasAlpha: true });
    expect(probeWhole(await plain().avif({ bitdepth: 10 }).toBuffer())).toMatchObject({ bitDepth: 10 });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'reads EXIF orientation %i in JPEG, PNG and WebP',
    async (orientation) => {
      for (const format of ['jpeg', 'png', 'webp'] as const) {
        const bytes = await plain().withMetadata({ orientation }).toFormat(format).toBuffer();
        expect(probeWhole(bytes)).toMatchObject({ width: 40, height: 20, orientation });
      }
    },
  );

  it('reads a big-endian EXIF block too', () => {
    const exif = Buffer.from('4d4d002a00000008000101120003000000010006000000000000', 'hex');
    const segment = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), exif]);
    const length = Buffer.from([0, segment.length + 2]);
    const frame = Buffer.from('ffc0000b080014002801011100ffda', 'hex');
    const bytes = Buffer.concat([Buffer.from('ffd8ffe1', 'hex'), length, segment, frame, Buffer.alloc(9)]);
    expect(probeWhole(bytes)).toMatchObject({ width: 40, height: 20, orientation: 6, channels: 1 });
  });

  it('gives the size of an AVIF after its own turn, as decoders do', async () => {
    for (const orientation of [1, 3, 6, 8]) {
      const bytes = await plain().withMetadata({ orientation }).avif().toBuffer();
      const { info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
      expect(probeWhole(bytes)).toMatchObject({ width: info.width, height: info.height, orientation: 1 });
    }
  });

  it('refuses animations that are not read, and those beyond the limits', async () => {
    const frames = [await plain().png().toBuffer(), await noisy().png().toBuffer()];
    const webp = await sharp(frames, { join: { animated: true } })
      .webp()
      .toBuffer();
    const limits = { ...defaultLimits, maxFrames: 1 };
    expect(probeWhole(webp).frames).toBe(2);
    checkInput(probeWhole(webp), defaultLimits);
    expect(reasonOf(() => checkInput(probeWhole(webp), limits))).toBe('TOO_MANY_PIXELS');
    const [png] = frames;
    if (png === undefined) throw new Error('no frame');
    // acTL with 7 frames, right behind IHDR.
    const control = Buffer.from('000000086163544c000000070000000000000000', 'hex');
    const animated = Buffer.concat([png.subarray(0, 33), control, png.subarray(33)]);
    expect(probeWhole(animated).frames).toBe(7);
    expect(reasonOf(() => checkInput(probeWhole(animated), defaultLimits))).toBe('ANIMATION_REFUSED');
  });
});

describe('refusals', () => {
  it.each<[string, string | Buffer, string, string]>([
    ['nothing', '', 'NOT_AN_IMAGE', 'empty'],
    ['text', 'hello, this is not an image at all, is it?', 'NOT_AN_IMAGE', 'not an image'],
    ['one byte', 'x', 'NOT_AN_IMAGE', 'not an image'],
    ['a GIF without a frame', `GIF89a\x01\0\x01\0\0\0\0;${'\0'.repeat(20)}`, 'DAMAGED_IMAGE', 'no frame'],
    [
      'a TIFF whose directory is far away',
      'II*\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
      'DAMAGED_IMAGE',
      'ends inside',
    ],
    ['BigTIFF', 'II+\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'UNSUPPORTED_FORMAT', 'BigTIFF'],
    ['SVG', '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', 'UNSUPPORTED_FORMAT', 'SVG'],
    ['PDF', '%PDF-1.7 and so on, and so on, and so on', 'UNSUPPORTED_FORMAT', 'PDF'],
    ['HEIC', '\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\0\0\0\0\0', 'UNSUPPORTED_FORMAT', 'HEIC'],
    ['JPEG XL', '\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0', 'UNSUPPORTED_FORMAT', 'JPEG XL'],
    ['BMP', `BM${'\0'.repeat(60)}`, 'UNSUPPORTED_FORMAT', 'BMP'],
    ['ICO', `\0\0\x01\0\x01\0${'\0'.repeat(30)}`, 'UNSUPPORTED_FORMAT', 'ICO'],
    [
      'half a JPEG header',
      Buffer.from('ffd8ffe000104a46494600010100000100010000ff', 'hex'),
      'DAMAGED_IMAGE',
      'ends inside',
    ],
  ])('%s', (_, bytes, reason, words) => {
    const error = errorOf(() => probeWhole(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes));
    expect(error.reason).toBe(reason);
    expect(error.message).toContain(words);
  });

  it('refuses too many pixels from the header alone', () => {
    const header = {
      format: Format.PNG,
      orientation: 1,
      channels: 3,
      bitDepth: 8,
      hasAlpha: false,
      frames: 1,
    } as const;
    expect(reasonOf(() => checkInput({ ...header, width: 65536, height: 1 }, defaultLimits))).toBe(
      'TOO_MANY_PIXELS',
    );
    expect(reasonOf(() => checkInput({ ...header, width: 20000, height: 5001 }, defaultLimits))).toBe(
      'TOO_MANY_PIXELS',
    );
    checkInput({ ...header, width: 20000, height: 5000 }, defaultLimits);
  });
});

describe('hostile bytes', () => {
  const samples: Buffer[] = [];
  beforeAll(async () => {
    const exif = { IFD0: { Copyright: 'me', Artist: 'you' } };
    for (const format of ['jpeg', 'png', 'webp', 'avif'] as const) {
      samples.push(await noisy().withExif(exif).toFormat(format).toBuffer());
      samples.push(await plain(40, 20, 4).withMetadata({ orientation: 5 }).toFormat(format).toBuffer());
    }
  });

  it('only ever answers or throws a MeshError, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => answers(bytes)),
      { numRuns: 2000 },
    );
  });

  it('survives mutations of real headers', () => {
    const mutation = fc.record({
      sample: fc.nat(),
      edits: fc.array(fc.tuple(fc.nat({ max: 700 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 12 }),
      cut: fc.option(fc.nat({ max: 900 })),
    });
    fc.assert(
      fc.property(mutation, ({ sample, edits, cut }) => {
        const original = samples[sample % samples.length] ?? Buffer.alloc(0);
        const bytes = Buffer.from(cut === null ? original : original.subarray(0, cut));
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        answers(bytes);
      }),
      { numRuns: 5000 },
    );
  });

  it('gives the same answer piece by piece as for the whole, in few rounds', () => {
    for (const bytes of samples) {
      let length = 1;
      let rounds = 0;
      let found: Probe = probe(bytes.subarray(0, length), bytes.length);
      while (found.kind === 'more') {
        expect(found.bytes).toBeGreaterThan(length);
        expect(found.bytes).toBeLessThanOrEqual(bytes.length);
        length = found.bytes;
        found = probe(bytes.subarray(0, length), bytes.length);
        expect(++rounds).toBeLessThan(20);
      }
      expect(found.header).toEqual(probeWhole(bytes));
    }
  });

  it('asks for more of a file whose length nobody knows', () => {
    const [jpeg] = samples;
    const found = probe((jpeg ?? Buffer.alloc(0)).subarray(0, 40), Number.POSITIVE_INFINITY);
    expect(found.kind).toBe('more');
  });
});

function answers(bytes: Uint8Array): void {
  try {
    const found = probe(bytes);
    if (found.kind === 'image') {
      expect(found.header.width).toBeGreaterThan(0);
      expect(found.header.height).toBeGreaterThan(0);
      expect([1, 2, 3, 4, 5, 6, 7, 8]).toContain(found.header.orientation);
    } else {
      throw new Error('asked for more than the whole file');
    }
  } catch (error) {
    expect(error).toBeInstanceOf(MeshError);
    expect(['NOT_AN_IMAGE', 'UNSUPPORTED_FORMAT', 'DAMAGED_IMAGE']).toContain((error as MeshError).reason);
  }
}

function errorOf(run: () => unknown): MeshError {
  try {
    run();
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

function reasonOf(run: () => unknown): string {
  return errorOf(run).reason;
}
