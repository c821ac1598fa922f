/** Text over the image. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Font, Gravity, type Text } from '@imagemesh/api';
import type { Pixels, Size } from '@imagemesh/image';
import type { CodecOptions, Opened } from '@imagemesh/image/codec';
import { translateSharpError } from '@imagemesh/image/codec';
import sharp from 'sharp';
import { type Colour, parseColour } from '../colour.ts';
import { putOver } from './put-over.ts';

const fontFolder = join(
  dirname(createRequire(import.meta.url).resolve('dejavu-fonts-ttf/package.json')),
  'ttf',
);

/** Pango's description of each font and the file that it is in: nothing depends on the fonts of the machine. */
const fonts: Readonly<Record<Font, { readonly name: string; readonly file: string }>> = {
  [Font.UNSPECIFIED]: { name: 'DejaVu Sans', file: 'DejaVuSans.ttf' },
  [Font.SANS]: { name: 'DejaVu Sans', file: 'DejaVuSans.ttf' },
  [Font.SANS_BOLD]: { name: 'DejaVu Sans Bold', file: 'DejaVuSans-Bold.ttf' },
  [Font.SERIF]: { name: 'DejaVu Serif', file: 'DejaVuSerif.ttf' },
  [Font.SERIF_BOLD]: { name: 'DejaVu Serif Bold', file: 'DejaVuSerif-Bold.ttf' },
  [Font.MONO]: { name: 'DejaVu Sans Mono', file: 'DejaVuSansMono.ttf' },
};

/** Adds the text to an image of that size. */
export async function addText(
  opened: Opened,
  size: Size,
  {
    text = '',
    font = Font.SANS,
    size: em = 32,
    color = '#FFFFFF',
    gravity = Gravity.BOTTOM,
    offsetX = 0,
    offsetY = 0,
  }: Text,
  options: CodecOptions,
): Promise<Opened> {
  const layer = await drawText(text, font, em, parseColour(color));
  // Nothing but blanks.
  if (layer === undefined) return opened;
  return putOver(opened, size, layer, { gravity, offsetX, offsetY }, options);
}

/** The text as an RGBA layer, as small as it goes. 72 dpi, where a point is a pixel. */
async function drawText(text: string, font: Font, em: number, colour: Colour): Promise<Pixels | undefined> {
  if (text.trim() === '') return undefined;
  const { name, file } = fonts[font] ?? fonts[Font.SANS];
  const pango = {
    text: escapeMarkup(text),
    font: `${name} ${em}`,
    fontfile: join(fontFolder, file),
    dpi: 72,
  };
  try {
    // One channel: how much of each pixel the letters cover.
    const { data, info } = await sharp({ text: pango })
      .toColourspace('b-w')
      .extractChannel(0)
      .raw()
      .toBuffer({ resolveWithObject: true });
    const rgba = Buffer.alloc(info.width * info.height * 4);
    for (const [at, cover] of data.entries()) {
      rgba[at * 4] = colour.red;
      rgba[at * 4 + 1] = colour.green;
      rgba[at * 4 + 2] = colour.blue;
      rgba[at * 4 + 3] = Math.round((cover * colour.alpha) / 255);
    }
    return { data: rgba, width: info.width, height: info.height, channels: 4, bitDepth: 8 };
  } catch (error) {
    throw translateSharpError(error, 'pixels');
  }
}

/** Pango reads markup; people write what they mean. Control characters but for line feeds are left out. */
function escapeMarkup(text: string): string {
  const names: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
  return [...text]
    .filter((character) => character === '\n' || character >= ' ')
    .map((character) => names[character] ?? character)
    .join('');
}
