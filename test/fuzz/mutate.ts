/** Damaged images: small ones of every format, broken in the ways that files break. The same for the same chance. */
import sharp from 'sharp';

/** A picture of each format and of each way of storing it that decoders treat differently. */
export async function seedImages(): Promise<readonly Buffer[]> {
  const width = 48;
  const height = 36;
  const data = Buffer.alloc(width * height * 4);
  for (let at = 0; at < data.length; at++) data[at] = (at * 31 + (at >> 7) * 17) & 255;
  const rgba = () => sharp(data, { raw: { width, height, channels: 4 } });
  const rgb = () => rgba().removeAlpha();
  const frames = [
    await rgba().png().toBuffer(),
    await rgba().flip().png().toBuffer(),
    await rgba().flop().png().toBuffer(),
  ];
  const moving = () => sharp(frames, { join: { animated: true } });
  return Promise.all(
    [
      rgb().jpeg(),
      rgb().jpeg({ progressive: true }),
      rgb().withMetadata({ orientation: 6 }).jpeg(),
      rgb().toColourspace('cmyk').jpeg(),
      rgba().png(),
      rgb().png({ progressive: true }),
      rgb().png({ palette: true }),
      rgb().toColourspace('rgb16').png(),
      rgba().webp(),
      rgba().webp({ lossless: true }),
      moving().webp(),
      rgb().avif({ effort: 0 }),
      rgba().gif(),
      moving().gif(),
      rgb().tiff({ compression: 'lzw' }),
      rgb().tiff({ compression: 'jpeg' }),
      rgba().tiff({ compression: 'deflate', tile: true, tileWidth: 16, tileHeight: 16 }),
    ].map((image) => image.toBuffer()),
  );
}

export type Chance = () => number;

/** One image, broken. */
export function mutate(seeds: readonly Buffer[], chance: Chance): Buffer {
  const pick = () => seeds[Math.floor(chance() * seeds.length)] ?? Buffer.alloc(0);
  const bytes = Buffer.from(pick());
  switch (Math.floor(chance() * 5)) {
    case 0:
      return bytes.subarray(0, Math.floor(chance() * bytes.length));
    case 1:
      return flipBits(bytes, 1 + Math.floor(chance() * 16), bytes.length, chance);
    case 2:
      // Headers decide most.
      return flipBits(bytes, 1 + Math.floor(chance() * 4), Math.min(96, bytes.length), chance);
    case 3: {
      const other = pick();
      const cut = Math.floor(chance() * Math.min(bytes.length, other.length, 200));
      return Buffer.concat([bytes.subarray(0, cut), other.subarray(cut)]);
    }
    default:
      return setExtreme(bytes, chance);
  }
}

function flipBits(bytes: Buffer, count: number, within: number, chance: Chance): Buffer {
  for (let left = count; left > 0; left--) {
    const at = Math.floor(chance() * within);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(chance() * 8));
  }
  return bytes;
}

/** Lengths and sizes are two or four bytes: as small or large as they get. */
function setExtreme(bytes: Buffer, chance: Chance): Buffer {
  const size = chance() < 0.5 ? 2 : 4;
  const at = Math.floor(chance() * Math.max(1, Math.min(bytes.length, 400) - size));
  const value = [0, 1, 0x7f, 0x80, 0xff][Math.floor(chance() * 5)] ?? 0;
  bytes.fill(value, at, at + size);
  return bytes;
}
