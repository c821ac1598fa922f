/** Animations in sharp: all frames one below the other. */
import sharp from 'sharp';
import type { Pixels } from '../source.ts';
import { frameCount } from '../source.ts';
import { type CodecOptions, channelCount, type Opened, timeoutSeconds } from './open-source.ts';

/** Opens 8-bit frames that are in memory. */
export function openAnimation(pixels: Pixels, { limits, timeoutMs }: CodecOptions): Opened {
  const { data, width, height } = pixels;
  const channels = channelCount(pixels.channels);
  const image = sharp(data, {
    raw: { width, height: height * frameCount(pixels), channels, pageHeight: height },
    limitInputPixels: limits.maxAnimationPixels,
  }).timeout({ seconds: timeoutSeconds(timeoutMs) });
  const hasAlpha = channels === 2 || channels === 4;
  return {
    image,
    isGrey: channels < 3,
    hasAlpha,
    bitDepth: 8,
    needsProfileFix: false,
    iccProfile: undefined,
  };
}
