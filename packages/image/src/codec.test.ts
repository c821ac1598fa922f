import { create } from '@bufbuild/protobuf';
import { Format, MetadataPolicy, type Output, OutputSchema, PixelContentSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { configureSharp, decode, encode, pixelContent, readMetadata } from './codec.ts';
import { defaultLimits } from './limits.ts';
import { noMetadata } from './metadata/read-blocks.ts';
import { probeWhole } from './probe.ts';
import type { Metadata, Pixels, Source } from './source.ts';

const options = { limits: defaultLimits, timeoutMs: 10_000 };
const width = 64;
const height = 48;

beforeAll(() => configureSharp());

/** Pixels without any pattern that an encoder could guess, the same in each run. */
function noise(channels: 1 | 2 | 3 | 4): Pixels {
  let state = 1;
  const data = Buffer.from(
    Array.from({ length: width * height * channels }, () => {
      state = (state * 48271) % 2147483647;
      return state & 255;
    }),
  );
  return { data, width, height, channels, bitDepth: 8 };
}

function flat(): Sharp {
  return sharp({ create: { width, height, channels: 3, background: { r: 200, g: 50, b: 50 } } });
}

function encoded(bytes: Uint8Array): Source {
  return { kind: 'encoded', bytes, header: probeWhole(bytes) };
}

function output(init: { format: Format } & Partial<Omit<Output, '$typeName'>>): Output {
  return create(OutputSchema, init);
}

describe('pixels', () => {
  it.each([
    ['PNG', { format: Format.PNG }],
    ['lossless WebP', { format: Format.WEBP, lossless: true }],
    ['lossless AVIF', { format: Format.AVIF, lossless: true }],
    ['TIFF', { format: Format.TIFF }],
    ['uncompressed TIFF', { format: Format.TIFF, effort: 0 }],
  ] as const)('come back from %s exactly', async (_, init) => {
    for (const channels of [3, 4] as const) {
      const pixels = noise(channels);
      const { bytes, info } = await encode(pixels, output(init), noMetadata, options);
      expect(info).toMatchObject({ width, height, format: init.format, sizeBytes: BigInt(bytes.length) });
      const back = await decode(encoded(bytes), {}, options);
      expect(back).toMatchObject({ width, height, channels });
      expect(Buffer.compare(back.data, pixels.data)).toBe(0);
    }
  });

  it('of grey images stay grey, in PNG and JPEG alike; with alpha they are decoded as RGBA', async () => {
    const grey = await encode(noise(1), output({ format: Format.PNG }), noMetadata, options);
    expect(grey.info.channels).toBe(1);
    expect(Buffer.compare((await decode(encoded(grey.bytes), {}, options)).data, noise(1).data)).toBe(0);
    const clear = await encode(noise(2), output({ format: Format.PNG }), noMetadata, options);
    expect(clear.info.channels).toBe(2);
    const back = await decode(encoded(clear.bytes), {}, options);
    expect(back.channels).toBe(4);
    const samples = [...noise(2).data];
    const asColour = samples.flatMap((value, index) => (index % 2 === 0 ? [value, value, value] : [value]));
    expect(Buffer.compare(back.data, Buffer.from(asColour))).toBe(0);
    const { bytes, info } = await encode(noise(1), output({ format: Format.JPEG }), noMetadata, options);
    expect(info.channels).toBe(1);
    expect(await decode(encoded(bytes), {}, options)).toMatchObject({ channels: 1 });
    expect(await decode(encoded(bytes), { channels: 3 }, options)).toMatchObject({ channels: 3 });
  });

  it('of CMYK become RGB', async () => {
    const bytes = await flat().toColourspace('cmyk').jpeg().toBuffer();
    expect(await decode(encoded(bytes), {}, options)).toMatchObject({ channels: 3 });
  });

  it('are sRGB, whatever the profile and the depth', async () => {
    const shallow = await flat().withIccProfile('p3').png().toBuffer();
    const deep = await flat().toColourspace('rgb16').withIccProfile('p3').png().toBuffer();
    const plain = await flat().toColourspace('rgb16').png().toBuffer();
    for (const bytes of [shallow, deep, plain]) {
      const { data } = await decode(encoded(bytes), {}, options);
      for (const [index, value] of [200, 50, 50].entries()) {
        expect(Math.abs((data[index] ?? 0) - value)).toBeLessThanOrEqual(1);
      }
    }
  });

  it('keep 16 bits where they are wanted', async () => {
    const samples = new Uint16Array(width * height * 3).map((_, index) => (index * 257) & 65535);
    const pixels: Pixels = { data: new Uint8Array(samples.buffer), width, height, channels: 3, bitDepth: 16 };
    const { bytes, info } = await encode(pixels, output({ format: Format.PNG }), noMetadata, options);
    expect(info.bitDepth).toBe(16);
    const deep = await decode(encoded(bytes), { bitDepth: 16 }, options);
    expect(Buffer.compare(deep.data, pixels.data)).toBe(0);
    const shallow = await decode(encoded(bytes), {}, options);
    expect(shallow.data[3 * 100]).toBe((samples[3 * 100] ?? 0) >> 8);
    const jpeg = await encode(pixels, output({ format: Format.JPEG }), noMetadata, options);
    expect(jpeg.info.bitDepth).toBe(8);
  });

  it('of the stage before pass without a copy, also from an odd address', async () => {
    const pixels = noise(3);
    const content = create(PixelContentSchema, { width, height, channels: 3, bitDepth: 8 });
    const source: Source = { kind: 'pixels', bytes: pixels.data, content };
    expect((await decode(source, {}, options)).data).toBe(pixels.data);
    const odd = new Uint8Array(width * height * 6 + 1).subarray(1).fill(1);
    const deep: Source = { kind: 'pixels', bytes: odd, content: { ...content, bitDepth: 16 } };
    expect(await decode(deep, {}, options)).toMatchObject({ channels: 3, bitDepth: 8 });
  });
});

describe('encoding', () => {
  it('puts the background behind transparent pixels of a JPEG', async () => {
    const clear: Pixels = { data: Buffer.alloc(width * height * 4), width, height, channels: 4, bitDepth: 8 };
    const colours: [string | undefined, number[]][] = [
      [undefined, [255, 255, 255]],
      ['#204060', [32, 64, 96]],
    ];
    for (const [background, expected] of colours) {
      const wanted = output({
        format: Format.JPEG,
        quality: 100,
        ...(background !== undefined && { background }),
      });
      const { bytes } = await encode(clear, wanted, noMetadata, options);
      const { data } = await decode(encoded(bytes), {}, options);
      for (const [index, value] of expected.entries())
        expect(Math.abs((data[index] ?? 0) - value)).toBeLessThan(3);
    }
  });

  it('makes fewer bytes of lower quality and of more effort', async () => {
    for (const format of [Format.JPEG, Format.WEBP, Format.AVIF]) {
      const size = async (init: Partial<Output>) =>
        (await encode(noise(3), output({ format, ...init }), noMetadata, options)).bytes.length;
      expect(await size({ quality: 20 })).toBeLessThan(await size({ quality: 90 }));
    }
    const jpeg = async (effort: number) =>
      (await encode(noise(3), output({ format: Format.JPEG, effort }), noMetadata, options)).bytes.length;
    expect(await jpeg(5)).toBeLessThan(await jpeg(4));
  });

  it('writes coarse-to-fine scans when asked', async () => {
    for (const format of [Format.JPEG, Format.PNG]) {
      const { bytes } = await encode(noise(3), output({ format, progressive: true }), noMetadata, options);
      expect((await sharp(bytes).metadata()).isProgressive).toBe(true);
    }
  });

  it('refuses lossless where the format is not WebP or AVIF, and results over the limit', async () => {
    const lossless = encode(noise(3), output({ format: Format.JPEG, lossless: true }), noMetadata, options);
    await expect(lossless).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
      violations: [{ field: 'output.lossless' }],
    });
    const limits = { ...defaultLimits, maxResultBytes: 100 };
    const large = encode(noise(3), output({ format: Format.PNG }), noMetadata, { ...options, limits });
    await expect(large).rejects.toMatchObject({ reason: 'RESULT_TOO_LARGE' });
  });
});

describe('metadata', () => {
  const xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/">hello</x:xmpmeta>';
  const formats = ['jpeg', 'png', 'webp', 'avif'] as const;
  const codes = { jpeg: Format.JPEG, png: Format.PNG, webp: Format.WEBP, avif: Format.AVIF };

  const rich = (format: (typeof formats)[number]) =>
    flat()
      .withExif({
        IFD0: { Copyright: 'Somebody', Artist: 'An artist', Make: 'SecretCam' },
        IFD3: { GPSLatitudeRef: 'N' },
      })
      .withXmp(xmp)
      .toFormat(format)
      .toBuffer();

  it.each(formats.flatMap((from) => formats.map((to) => [from, to] as const)))(
    '%s to %s: KEEP, SAFE and STRIP',
    async (from, to) => {
      const source = encoded(await rich(from));
      const result = async (policy: MetadataPolicy) => {
        const metadata = await readMetadata(source, policy);
        const { bytes } = await encode(noise(3), output({ format: codes[to] }), metadata, options);
        // It must still be an image, of the same size, to us and to libvips.
        expect(probeWhole(bytes)).toMatchObject({ width, height });
        await sharp(bytes).raw().toBuffer();
        return sharp(bytes).metadata();
      };
      const kept = await result(MetadataPolicy.KEEP);
      expect(kept.exif?.toString('latin1')).toMatch(/Somebody/);
      expect(kept.exif?.toString('latin1')).toMatch(/SecretCam/);
      expect(kept.xmp?.toString()).toBe(xmp);
      const safe = await result(MetadataPolicy.UNSPECIFIED);
      expect(safe.exif?.toString('latin1')).toMatch(/An artist/);
      expect(safe.exif?.toString('latin1')).toMatch(/Somebody/);
      expect(safe.exif?.toString('latin1')).not.toMatch(/SecretCam/);
      expect(safe.xmp).toBeUndefined();
      const bare = await result(MetadataPolicy.STRIP);
      expect([bare.exif, bare.xmp]).toEqual([undefined, undefined]);
    },
  );

  it('never says an orientation, and leaves the source as it was', async () => {
    const bytes = await flat().withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const before = Buffer.from(bytes);
    const metadata = await readMetadata(encoded(bytes), MetadataPolicy.KEEP);
    const { info } = await encode(noise(3), output({ format: Format.JPEG }), metadata, options);
    expect(info.orientation).toBe(1);
    expect(bytes.equals(before)).toBe(true);
  });

  it('travels between stages with the pixels', async () => {
    const metadata = await readMetadata(encoded(await rich('jpeg')), MetadataPolicy.KEEP);
    const content = pixelContent(noise(3), metadata);
    const later: Source = { kind: 'pixels', bytes: noise(3).data, content };
    expect((await readMetadata(later, MetadataPolicy.KEEP)).xmp).toEqual(metadata.xmp);
    expect(pixelContent(noise(3), noMetadata).metadata).toBeUndefined();
  });

  it('keeps IPTC in JPEG', async () => {
    const iptc = Buffer.from('8BIM\x04\x04\0\0\0\0\0\x04abcd', 'latin1');
    const metadata: Metadata = { ...noMetadata, iptc };
    const { bytes } = await encode(noise(3), output({ format: Format.JPEG }), metadata, options);
    expect(Buffer.from((await readMetadata(encoded(bytes), MetadataPolicy.KEEP)).iptc)).toEqual(iptc);
  });
});

describe('damage', () => {
  it.each(['jpeg', 'png', 'webp', 'avif'] as const)(
    'in %s is DAMAGED_IMAGE, never INTERNAL',
    async (format) => {
      const { data } = noise(3);
      const original = await sharp(data, { raw: { width, height, channels: 3 } })
        .toFormat(format)
        .toBuffer();
      for (let run = 0; run < 60; run++) {
        const bytes = Buffer.from(
          run % 3 === 0 ? original.subarray(0, original.length - 1 - run * 3) : original,
        );
        for (let edit = 0; edit < 4; edit++)
          bytes[(run * 7919 + edit * 104729) % bytes.length] = (run * 31 + edit) & 255;
        try {
          await decode(encoded(bytes), {}, options);
        } catch (error) {
          expect(error).toBeInstanceOf(MeshError);
          const allowed = [
            'DAMAGED_IMAGE',
            'NOT_AN_IMAGE',
            'UNSUPPORTED_FORMAT',
            'TOO_MANY_PIXELS',
            'OUTPUT_TOO_LARGE',
          ];
          expect(allowed).toContain((error as MeshError).reason);
        }
      }
    },
  );

  it.each(['jpeg', 'png', 'webp', 'avif'] as const)('by truncation of %s is refused', async (format) => {
    const { data } = noise(3);
    const whole = await sharp(data, { raw: { width, height, channels: 3 } })
      .toFormat(format)
      .toBuffer();
    const half = whole.subarray(0, Math.floor(whole.length * 0.7));
    await expect(async () => decode(encoded(half), {}, options)).rejects.toMatchObject({
      reason: 'DAMAGED_IMAGE',
    });
  });

  it('cannot reach loaders of other formats', async () => {
    await expect(
      sharp(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')).png().toBuffer(),
    ).rejects.toThrow();
    const netpbm = Buffer.from('P6 1 1 255\nabc', 'latin1');
    await expect(sharp(netpbm).png().toBuffer()).rejects.toThrow();
  });
});
