/** The picture that docs/operations.md tries every operation on: a landscape, painted pixel by pixel. */
import { seededRandom } from '@imagemesh/testkit';
import sharp from 'sharp';

export const sceneSize = { width: 240, height: 180 };

type Colour = readonly [red: number, green: number, blue: number];

export async function paintScene(): Promise<Buffer> {
  const { width, height } = sceneSize;
  const random = seededRandom(7);
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const grain = (random() - 0.5) * 10;
      const colour = colourAt(x, y).map((level) => Math.min(255, Math.max(0, Math.round(level + grain))));
      data.set(colour, (y * width + x) * 3);
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

function colourAt(x: number, y: number): Colour {
  if (isIn(x, y, 60, 118, 46, 34)) return houseAt(x - 60, y - 118);
  // The roof.
  if (y >= 96 && y < 118 && Math.abs(x - 83) <= (y - 94) * 1.15) return [150, 50, 40];
  if (Math.hypot(x - 190, y - 42) < 17) return [255, 214, 90];
  if (y > 150 + 4 * Math.sin(x / 17)) return waterAt(x, y);
  if (y > 128 + 14 * Math.sin(x / 38 + 1)) return [62 + 20 * Math.sin(x / 9), 128, 52];
  if (y > 60 + Math.abs(x - 150) * 0.62) return mountainAt(x, y);
  // The sky.
  return [110 + y * 0.7, 165 + y * 0.4, 235];
}

function houseAt(x: number, y: number): Colour {
  if (isIn(x, y, 19, 14, 9, 20)) return [80, 50, 30];
  if (isIn(x, y, 5, 8, 10, 10) || isIn(x, y, 32, 8, 10, 10)) return [250, 235, 150];
  return y % 6 === 0 ? [190, 180, 165] : [222, 212, 196];
}

function mountainAt(x: number, y: number): Colour {
  const isSnow = y < 84 + 5 * Math.sin(x / 3);
  const shade = x < 150 ? 1 : 0.72;
  return isSnow ? [240 * shade, 244 * shade, 250 * shade] : [120 * shade, 112 * shade, 118 * shade];
}

function waterAt(x: number, y: number): Colour {
  const wave = Math.sin(x / 6 + y / 2) > 0.75 ? 40 : 0;
  return [40 + wave, 96 + wave, 160 + wave];
}

function isIn(x: number, y: number, left: number, top: number, width: number, height: number): boolean {
  return x >= left && x < left + width && y >= top && y < top + height;
}
