/** Formats, header-only probing, limits and geometry: pure, without sharp. What decodes is in `codec.ts`. */
export {
  type CodedFormat,
  codedFormats,
  type FormatNames,
  formatList,
  formatNames,
  formatOfExtension,
  formatOfMime,
  isCodedFormat,
} from './formats.ts';
export * from './geometry/index.ts';
export { type ImageHeader, type Size, toImageInfo, uprightSize } from './info.ts';
export {
  checkFilterPixels,
  checkFormatSize,
  checkFrames,
  checkInput,
  checkPixels,
  defaultLimits,
  holdsSize,
  type ImageLimits,
  leadingCrops,
  limitsEnvDocs,
  limitsFromEnv,
} from './limits.ts';
export {
  inverseTurn,
  isUpright,
  type Rect,
  type Turn,
  thenTurn,
  turnedRect,
  turnedSize,
  turnOfOrientation,
  upright,
} from './orientation.ts';
export { policyOf, type ResolvedOutput, resolveOutput } from './output.ts';
export type { FrameCounter } from './probe/frame-walk.ts';
export { countFrames, maxProbeBytes, type Probe, probe, probeWhole } from './probe.ts';
export {
  type EncodedSource,
  type FrameTiming,
  frameCount,
  frameOf,
  joinFrames,
  type Metadata,
  type Pixels,
  pixelBytes,
  type Source,
  sourceFrames,
  sourceSize,
} from './source.ts';
