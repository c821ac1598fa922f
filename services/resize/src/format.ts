/** Runs the last pass into an encoded image, or into pixels for the next stage. */
import { pixelContent, writeOutput } from '@imagemesh/image/codec';
import type { Formatted, Work, WorkCall } from '@imagemesh/worker';
import { type Picture, runToPixels } from './process.ts';

export async function format(picture: Picture, { result }: Work, { limits }: WorkCall): Promise<Formatted> {
  const { opened, metadata, source } = picture;
  switch (result.kind) {
    case 'encoded': {
      const { bytes, info } = await writeOutput(opened, result.output, metadata, { limits }, source);
      return { bytes, content: { case: 'encoded', value: info } };
    }
    case 'pixels': {
      const pixels = await runToPixels(opened, 16, source);
      return { bytes: pixels.data, content: { case: 'pixels', value: pixelContent(pixels, metadata) } };
    }
    default:
      return result satisfies never;
  }
}
