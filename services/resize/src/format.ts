/** Runs the last pass into an encoded image, into pixels for the next stage, or into measurements. */
import type { Pixels } from '@imagemesh/image';
import { pixelContent, runToPixels, writeOutput, writePixels } from '@imagemesh/image/codec';
import type { Formatted, Work, WorkCall } from '@imagemesh/worker';
import { analyze } from './analyze.ts';
import type { Picture } from './process.ts';

export async function format(picture: Picture, { result }: Work, call: WorkCall): Promise<Formatted> {
  const { metadata } = picture;
  switch (result.kind) {
    case 'encoded': {
      const { output, alternative } = result;
      const options = { limits: call.limits, timeoutMs: call.remainingMs(), alternative };
      const { bytes, info, encoding } = await (picture.kind === 'frames'
        ? writePixels(picture.pixels, output, metadata, options)
        : writeOutput(picture.opened, output, metadata, options, picture.source));
      return { bytes, content: { case: 'encoded', value: info }, encoding };
    }
    case 'pixels': {
      const pixels = await pixelsOf(picture, 16);
      return { bytes: pixels.data, content: { case: 'pixels', value: pixelContent(pixels, metadata) } };
    }
    case 'analysis': {
      const value = await analyze(await pixelsOf(picture, 8), call);
      return { bytes: new Uint8Array(0), content: { case: 'analysis', value } };
    }
    case 'faces':
      throw new Error('validate refuses it');
    default:
      return result satisfies never;
  }
}

async function pixelsOf(picture: Picture, bitDepth: 8 | 16): Promise<Pixels> {
  return picture.kind === 'frames' ? picture.pixels : runToPixels(picture.opened, bitDepth, picture.source);
}
