/** What Output's fields mean to each encoder. */
import { Format } from '@imagemesh/api';
import type { Sharp } from 'sharp';
import type { ResolvedOutput } from '../output.ts';
import type { FrameTiming } from '../source.ts';

/** Effort 0 to 9 as documented at Output.effort. */
export function encoder(image: Sharp, output: ResolvedOutput, animation?: FrameTiming): Sharp {
  const { format, quality, effort, isLossless, isProgressive } = output;
  const chromaSubsampling = output.isSubsampled ? '4:2:0' : '4:4:4';
  const timing = animation === undefined ? {} : { delay: [...animation.delaysMs], loop: animation.plays };
  switch (format) {
    case Format.JPEG:
      // Optimised tables cost as much as all the rest of encoding (design: 24-27 ms against 9 ms at 2 MP).
      return image.jpeg({
        quality,
        chromaSubsampling,
        progressive: isProgressive,
        optimiseCoding: effort >= 5,
        trellisQuantisation: effort >= 8,
        overshootDeringing: effort >= 8,
      });
    case Format.PNG:
      return image.png({ compressionLevel: effort, progressive: isProgressive });
    case Format.WEBP:
      return image.webp({
        quality,
        effort: Math.round((effort * 2) / 3),
        lossless: isLossless,
        exact: isLossless,
        ...timing,
      });
    case Format.AVIF:
      return image.avif({ quality, effort: Math.floor(effort / 2), lossless: isLossless, chromaSubsampling });
    case Format.GIF:
      return image.gif({ effort: Math.max(1, effort), ...timing });
    case Format.TIFF:
      return image.tiff(
        effort === 0 ? { compression: 'none' } : { compression: 'deflate', predictor: 'horizontal' },
      );
    default:
      return format satisfies never;
  }
}
