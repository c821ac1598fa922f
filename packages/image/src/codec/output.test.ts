import { create } from '@bufbuild/protobuf';
import { ChromaSubsampling, ColorPolicy, Format, type Output, OutputSchema } from '@imagemesh/api';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { configureSharp, decode, encode, openSource, writeOutput } from '../codec.ts';
import { formatNames } from '../formats.ts';
import { defaultLimits } from '../limits.ts';
import { noMetadata } from '../metadata/read-blocks.ts';
import { probeWhole } from '../probe.ts';
import { frameOf, joinFrames, type Pixels, type Source } from '../source.ts';

const options = { limits: defaultLimits, timeoutMs: 10_000 };

beforeAll(() => configureSharp());

/** A slope with some grain: it has details at every quality. */
function scene(width = 96, height = 64, shift = 0): Pixels {
  const data = new Uint8Array(width * height * 3);
  for (let at = 0; at < data.length; at++) {
    const x = Math.floor(at / 3) % width;
    data[at] = (x * 2 + shift + ((at * 7919) % 23)) & 255;
  }
  return { data, width, height, channels: 3, bitDepth: 8 };
}

function output(init: Partial<Omit<Output, '$typeName'>>): Output {
  return create(OutputSchema, init);
}

function sourceOf(bytes: Uint8Array): Source {
  return { kind: 'encoded', bytes, header: probeWhole(bytes) };
}

describe('animations', () => {
  const animation = { delaysMs: [40, 100, 70], plays: 3 };
  const colours = ['#ff0000', '#00ff00', '#0000ff'];

  async function frames(): Promise<Pixels> {
    const still = await Promise.all(
      colours.map(async (background): Promise<Pixels> => {
        const { data, info } = await sharp({ create: { width: 20, height: 10, channels: 4, background } })
          .raw()
          .toBuffer({ resolveWithObject: true });
        return { data, width: info.width, height: info.height, channels: 4, bitDepth: 8 };
      }),
    );
    return joinFrames(still, animation);
  }

  it.each([Format.GIF, Format.WEBP] as const)('keep frames, delays and plays (format %i)', async (format) => {
    const given = await frames();
    const { bytes, info } = await encode(
      given,
      output({ format, lossless: format === Format.WEBP }),
      noMetadata,
      options,
    );
    expect(info).toMatchObject({ format, width: 20, height: 10, frames: 3 });
    const back = await decode(sourceOf(bytes), {}, options);
    expect(back).toMatchObject({ width: 20, height: 10, channels: 4, animation });
    for (const index of [0, 1, 2]) expect(frameOf(back, index).data).toEqual(frameOf(given, index).data);
    const second = await decode(sourceOf(bytes), {}, { ...options, frame: 1 });
    expect([...second.data.subarray(0, 3)]).toEqual([0, 255, 0]);
    expect(second.animation).toBeUndefined();
  });
});

describe('GIF and TIFF', () => {
  it('are read from either byte order and any place of the directory', async () => {
    const { data, width, height } = scene();
    const raw = { width, height, channels: 3 } as const;
    for (const compression of ['none', 'lzw', 'jpeg', 'deflate'] as const) {
      const bytes = await sharp(data, { raw })
        .withMetadata({ orientation: 6 })
        .tiff({ compression })
        .toBuffer();
      expect(probeWhole(bytes)).toMatchObject({
        format: Format.TIFF,
        width,
        height,
        orientation: 6,
        channels: 3,
        bitDepth: 8,
        frames: 1,
      });
      expect(await decode(sourceOf(bytes), {}, options)).toMatchObject({ width: height, height: width });
    }
  });

  it('hold transparency', async () => {
    const clear = await sharp({ create: { width: 8, height: 8, channels: 4, background: '#00000000' } })
      .raw()
      .toBuffer();
    const pixels: Pixels = { data: clear, width: 8, height: 8, channels: 4, bitDepth: 8 };
    for (const format of [Format.GIF, Format.TIFF]) {
      const { bytes } = await encode(pixels, output({ format }), noMetadata, options);
      const back = await decode(sourceOf(bytes), { channels: 4 }, options);
      expect(back.data[3], formatNames(probeWhole(bytes).format).name).toBe(0);
    }
  });
});

describe('target_bytes', () => {
  it.each([Format.JPEG, Format.WEBP, Format.AVIF] as const)(
    'finds the highest quality that fits (format %i)',
    async (format) => {
      const pixels = scene(200, 150);
      const sizes = new Map<number, number>();
      for (const quality of [10, 30, 31, 32]) {
        const { bytes } = await encode(pixels, output({ format, quality, effort: 0 }), noMetadata, options);
        sizes.set(quality, bytes.length);
      }
      const targetBytes = BigInt(sizes.get(31) ?? 0);
      const { bytes, encoding } = await encode(
        pixels,
        output({ format, effort: 0, targetBytes }),
        noMetadata,
        options,
      );
      expect(bytes.length).toBeLessThanOrEqual(Number(targetBytes));
      expect(encoding.quality).toBeGreaterThanOrEqual(31);
      expect(encoding.attempts).toBeLessThanOrEqual(8);
    },
  );

  it('says how small the result can be where nothing fits', async () => {
    const tiny = output({ format: Format.JPEG, targetBytes: 100n });
    await expect(encode(scene(), tiny, noMetadata, options)).rejects.toMatchObject({
      reason: 'RESULT_TOO_LARGE',
      metadata: { targetBytes: '100', leastBytes: expect.stringMatching(/^\d+$/) },
    });
  });
});

describe('the choice of two formats', () => {
  it('is the one with fewer bytes', async () => {
    const pixels = scene();
    const alone = async (format: Format) =>
      (await encode(pixels, output({ format }), noMetadata, options)).bytes.length;
    const [png, jpeg] = [await alone(Format.PNG), await alone(Format.JPEG)];
    const either = await encode(pixels, output({ format: Format.PNG }), noMetadata, {
      ...options,
      alternative: Format.JPEG,
    });
    expect(either.bytes.length).toBe(Math.min(png, jpeg));
    expect(either.encoding.attempts).toBe(2);
  });

  it('is in the one that keeps to the bytes wanted where the other cannot', async () => {
    const pixels = scene();
    const least = async (format: Format) => {
      const { bytes } = await encode(pixels, output({ format, quality: 1 }), noMetadata, options);
      return bytes.length;
    };
    const [avif, jpeg] = [await least(Format.AVIF), await least(Format.JPEG)];
    expect(avif).toBeLessThan(jpeg);
    const targetBytes = BigInt(jpeg - 1);
    for (const [format, alternative] of [
      [Format.AVIF, Format.JPEG],
      [Format.JPEG, Format.AVIF],
    ] as const) {
      const kept = await encode(pixels, output({ format, targetBytes }), noMetadata, {
        ...options,
        alternative,
      });
      expect(kept.info.format).toBe(Format.AVIF);
      expect(kept.bytes.length).toBeLessThan(jpeg);
    }
    const neither = encode(pixels, output({ format: Format.JPEG, targetBytes: 100n }), noMetadata, {
      ...options,
      alternative: Format.AVIF,
    });
    await expect(neither).rejects.toMatchObject({ reason: 'RESULT_TOO_LARGE' });
  });
});

describe('chroma subsampling', () => {
  it('is 4:2:0 in JPEG unless told', async () => {
    const of = async (chromaSubsampling?: ChromaSubsampling) => {
      const init = { format: Format.JPEG, ...(chromaSubsampling && { chromaSubsampling }) };
      const { bytes } = await encode(scene(), output(init), noMetadata, options);
      return (await sharp(bytes).metadata()).chromaSubsampling;
    };
    expect(await of()).toBe('4:2:0');
    expect(await of(ChromaSubsampling.CHROMA_SUBSAMPLING_444)).toBe('4:4:4');
  });
});

describe('colour profiles', () => {
  it('are kept with the numbers, in every format that has them', async () => {
    const { data, width, height } = scene();
    const wide = await sharp(data, { raw: { width, height, channels: 3 } })
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const stored = await sharp(wide, { ignoreIcc: true }).raw().toBuffer();
    const { icc } = await sharp(wide).metadata();
    const keep = { ...options, color: ColorPolicy.KEEP };
    for (const format of [Format.PNG, Format.TIFF, Format.WEBP, Format.AVIF, Format.JPEG]) {
      const lossless = format === Format.WEBP || format === Format.AVIF;
      const opened = await openSource(sourceOf(wide), keep);
      const { bytes } = await writeOutput(
        opened,
        output({ format, lossless, quality: 100 }),
        noMetadata,
        keep,
        'encoded',
      );
      const name = formatNames(probeWhole(bytes).format).name;
      expect((await sharp(bytes).metadata()).icc?.equals(icc ?? Buffer.alloc(0)), name).toBe(true);
      if (format === Format.JPEG) continue;
      expect((await sharp(bytes, { ignoreIcc: true }).raw().toBuffer()).equals(stored), name).toBe(true);
    }
    const converted = await decode(sourceOf(wide), {}, options);
    expect(Buffer.from(converted.data).equals(stored)).toBe(false);
  });
});
