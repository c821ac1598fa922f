/** Images made for tests: known pixels, known sizes. Never photos. */
import sharp from 'sharp';
import { seededRandom } from './seeded-random.ts';

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'avif';
/** Red, green, blue and where there is one alpha, 0 to 255. */
export type Colour = readonly number[];

export interface ImageOptions {
  /** Default 64. */
  readonly width?: number;
  /** Default 48. */
  readonly height?: number;
  /** Default png. */
  readonly format?: ImageFormat;
  /** Of JPEG, WebP and AVIF; default 100. */
  readonly quality?: number;
  /** EXIF orientation to write, 1 to 8. Default none. */
  readonly orientation?: number;
}

/** Of the quadrants: top left, top right, bottom left, bottom right. */
export const QUADRANT_COLOURS = [
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
  [255, 255, 0],
] as const satisfies readonly Colour[];

/** Four plain quadrants: shows which way is up, and exact colours in each half. */
export function quadrants(
  options: ImageOptions & { readonly colours?: readonly Colour[] } = {},
): Promise<Buffer> {
  const { width = 64, height = 48, colours = QUADRANT_COLOURS } = options;
  return paint(options, (x, y) => colours[(y < height / 2 ? 0 : 2) + (x < width / 2 ? 0 : 1)] ?? [0, 0, 0]);
}

/** One colour; with four channels, alpha too. */
export function plain(colour: Colour, options: ImageOptions = {}): Promise<Buffer> {
  return paint(options, () => colour);
}

/** Red grows to the right, green grows downwards, blue stays at 128. */
export function gradient(options: ImageOptions = {}): Promise<Buffer> {
  const { width = 64, height = 48 } = options;
  return paint(options, (x, y) => [
    Math.round((255 * x) / Math.max(1, width - 1)),
    Math.round((255 * y) / Math.max(1, height - 1)),
    128,
  ]);
}

/** Noise that does not compress: a PNG of about `bytes` bytes (within a few percent, from 100 kB up). */
export async function noisePng(bytes: number, seed = 1): Promise<Buffer> {
  const side = Math.max(8, Math.round(Math.sqrt(bytes / 3)));
  const pixels = Buffer.allocUnsafe(side * side * 3);
  const random = seededRandom(seed);
  const whole = pixels.length - (pixels.length % 4);
  for (let at = 0; at < whole; at += 4) pixels.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  pixels.fill(7, whole);
  return sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}

/** A picture with shapes and texture, which compresses about as a photo does. Equal for equal arguments. */
export async function photoLike(width: number, height: number, quality = 90): Promise<Buffer> {
  const random = seededRandom(42);
  const circles = Array.from({ length: 60 }, () => {
    const [x, y, radius] = [random() * width, random() * height, (0.02 + 0.1 * random()) * width];
    const colour = `hsl(${Math.round(random() * 360)} 60% ${Math.round(30 + random() * 50)}%)`;
    return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius.toFixed(1)}" fill="${colour}" fill-opacity="0.7"/>`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <linearGradient id="sky" x2="0" y2="1"><stop stop-color="#7fb2e5"/><stop offset="1" stop-color="#f2e3c6"/></linearGradient>
    <rect width="100%" height="100%" fill="url(#sky)"/>${circles.join('')}</svg>`;
  const grain = Buffer.alloc(width * height * 3);
  for (let at = 0; at < grain.length; at += 1) grain[at] = 112 + Math.floor(random() * 32);
  const texture = await sharp(grain, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  return sharp(Buffer.from(svg))
    .flatten()
    .composite([{ input: texture, blend: 'overlay' }])
    .jpeg({ quality })
    .toBuffer();
}

export interface Picture {
  readonly data: Buffer;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** The pixels as they are stored, without the orientation applied; grey comes as three equal channels. */
export async function decode(bytes: Uint8Array): Promise<Picture> {
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

/** The channels of one pixel. */
export async function readPixel(bytes: Uint8Array, x: number, y: number): Promise<number[]> {
  return pixelAt(await decode(bytes), x, y);
}

export function pixelAt({ data, width, channels }: Picture, x: number, y: number): number[] {
  const at = (y * width + x) * channels;
  return [...data.subarray(at, at + channels)];
}

/** A drawn face that detectors take for one: its box is about the middle three quarters of the image. */
export function portrait(options: ImageOptions = {}): Promise<Buffer> {
  const { width = 160, height = 160 } = options;
  const layers: readonly (readonly [x: number, y: number, rx: number, ry: number, colour: Colour])[] = [
    [0.5, 0.25, 0.32, 0.2, [60, 40, 30]],
    [0.5, 0.525, 0.29, 0.38, [220, 170, 140]],
    ...[0.385, 0.615].flatMap((x) => [
      [x, 0.4, 0.085, 0.02, [80, 50, 40]] as const,
      [x, 0.47, 0.07, 0.035, [160, 110, 90]] as const,
      [x, 0.47, 0.03, 0.03, [40, 30, 30]] as const,
    ]),
    [0.5, 0.59, 0.045, 0.025, [190, 130, 100]],
    [0.5, 0.73, 0.12, 0.035, [150, 70, 70]],
  ];
  const side = Math.min(width, height);
  return paint({ width, height, ...options }, (column, row) => {
    const [x, y] = [(column - (width - side) / 2) / side, (row - (height - side) / 2) / side];
    return layers.reduce<Colour>(
      (under, [cx, cy, rx, ry, colour]) => {
        const distance = Math.hypot((x - cx) / rx, (y - cy) / ry);
        // Edges are as soft as a lens makes them.
        const share = Math.min(1, Math.max(0, 0.5 + ((1 - distance) * Math.min(rx, ry)) / 0.02));
        return mix(under, colour, share);
      },
      [150, 170, 190],
    );
  });
}

function mix(a: Colour, b: Colour, share: number): Colour {
  const [red, green, blue] = [0, 1, 2].map((at) =>
    Math.round((a[at] ?? 0) * (1 - share) + (b[at] ?? 0) * share),
  );
  return [red ?? 0, green ?? 0, blue ?? 0];
}

async function paint(options: ImageOptions, colourAt: (x: number, y: number) => Colour): Promise<Buffer> {
  const { width = 64, height = 48, format = 'png', quality = 100, orientation } = options;
  const channels = colourAt(0, 0).length === 4 ? 4 : 3;
  const pixels = Buffer.alloc(width * height * channels);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1)
      pixels.set(colourAt(x, y).slice(0, channels), (y * width + x) * channels);
  }
  let image = sharp(pixels, { raw: { width, height, channels } });
  if (orientation !== undefined) image = image.withMetadata({ orientation });
  switch (format) {
    case 'png':
      return image.png().toBuffer();
    case 'jpeg':
      return image.jpeg({ quality, chromaSubsampling: '4:4:4' }).toBuffer();
    case 'webp':
      return image.webp({ quality, lossless: quality === 100 }).toBuffer();
    case 'avif':
      return image.avif({ quality, lossless: quality === 100 }).toBuffer();
  }
}
