/** Round corners: alpha and background are mixed where the corners are; no other pixel is touched. */
import type { RoundCorners } from '@imagemesh/api';
import type { Pixels } from '@imagemesh/image';
import { type Opened, runToPixels } from '@imagemesh/image/codec';
import { type Colour, isOpaque, parseColour } from './colour.ts';

/** RGBA, or RGB where the background is opaque and the image is too. 8 bits a channel. */
export async function roundCorners(
  opened: Opened,
  { radius, background = '#00000000' }: RoundCorners,
): Promise<Pixels> {
  const image = opened.image.ensureAlpha();
  const pixels = await runToPixels({ ...opened, image, isGrey: false, hasAlpha: true }, 8, 'pixels');
  const { width, height, data } = pixels;
  const reach = Math.min(radius ?? Number.POSITIVE_INFINITY, Math.min(width, height) / 2);
  const outside = parseColour(background);
  for (let y = 0; y < Math.ceil(reach); y++) {
    for (let x = 0; x < Math.ceil(reach); x++) {
      const inside = coverage(x, y, reach);
      if (inside >= 1) continue;
      for (const row of new Set([y, height - 1 - y])) {
        for (const column of new Set([x, width - 1 - x])) {
          mix(data, (row * width + column) * 4, outside, inside);
        }
      }
    }
  }
  return isOpaque(background) && !opened.hasAlpha ? withoutAlpha(pixels) : pixels;
}

/** How much of the pixel lies inside the circle, by the distance of its middle from the edge. */
function coverage(x: number, y: number, radius: number): number {
  const distance = Math.hypot(radius - x - 0.5, radius - y - 0.5);
  if (x + 0.5 >= radius || y + 0.5 >= radius) return 1;
  return Math.min(1, Math.max(0, radius - distance + 0.5));
}

/** `inside` of the pixel, the rest of the colour, each by its opacity. */
function mix(data: Uint8Array, at: number, outside: Colour, inside: number): void {
  const own = ((data[at + 3] ?? 0) / 255) * inside;
  const other = (outside.alpha / 255) * (1 - inside);
  const alpha = own + other;
  const blend = (channel: number, colour: number) =>
    alpha === 0 ? 0 : Math.round((channel * own + colour * other) / alpha);
  data[at] = blend(data[at] ?? 0, outside.red);
  data[at + 1] = blend(data[at + 1] ?? 0, outside.green);
  data[at + 2] = blend(data[at + 2] ?? 0, outside.blue);
  data[at + 3] = Math.round(alpha * 255);
}

function withoutAlpha(pixels: Pixels): Pixels {
  const { width, height, data } = pixels;
  const opaque = Buffer.allocUnsafe(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    opaque[to] = data[from] ?? 0;
    opaque[to + 1] = data[from + 1] ?? 0;
    opaque[to + 2] = data[from + 2] ?? 0;
  }
  return { ...pixels, data: opaque, channels: 3 };
}
