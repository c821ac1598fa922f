/** What bench/operations.ts measures: an operation of each kind, and the same work on sharp where sharp has it. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { FlipDirection, Gravity, MorphologyKind, type OperationSchema } from '@imagemesh/api';
import type { Sharp } from 'sharp';

export interface Size {
  readonly width: number;
  readonly height: number;
}

type Operation = NonNullable<MessageInitShape<typeof OperationSchema>['operation']>;

export interface Case {
  readonly name: string;
  readonly service: 'resize' | 'filter';
  /** The operation for an image of that size; none only re-encodes. */
  operation(size: Size): Operation | undefined;
  /** The same on sharp. Without it the peer is native OpenCV, where it knows the name. */
  readonly sharp?: (image: Sharp, size: Size) => Sharp;
}

const half = ({ width, height }: Size) => ({
  width: Math.round(width / 2),
  height: Math.round(height / 2),
});

const middle = (size: Size) => ({
  left: Math.floor(size.width / 4),
  top: Math.floor(size.height / 4),
  ...half(size),
});

/** A hexadecimal colour that no photo's edge has, so that a trim looks at every edge and finds nothing to cut. */
const magenta = '#FF00FF';

const geometry: readonly Case[] = [
  { name: 're-encode', service: 'resize', operation: () => undefined, sharp: (image) => image },
  {
    name: 'resize ½',
    service: 'resize',
    operation: (size) => ({ case: 'resize', value: half(size) }),
    sharp: (image, size) => image.resize({ ...half(size), fit: 'fill' }),
  },
  {
    name: 'resize 800 × 600 cover',
    service: 'resize',
    operation: () => ({ case: 'resize', value: { width: 800, height: 600, fit: 2 } }),
    sharp: (image) => image.resize({ width: 800, height: 600, fit: 'cover' }),
  },
  {
    name: 'crop',
    service: 'resize',
    operation: (size) => ({ case: 'crop', value: middle(size) }),
    sharp: (image, size) => image.extract(middle(size)),
  },
  {
    name: 'crop attention',
    service: 'resize',
    operation: (size) => ({ case: 'crop', value: { ...half(size), gravity: Gravity.ATTENTION } }),
  },
  {
    name: 'rotate 90',
    service: 'resize',
    operation: () => ({ case: 'rotate', value: { angle: 90 } }),
    sharp: (image) => image.rotate(90),
  },
  {
    name: 'rotate 30',
    service: 'resize',
    operation: () => ({ case: 'rotate', value: { angle: 30 } }),
    sharp: (image) => image.rotate(30),
  },
  {
    name: 'flip',
    service: 'resize',
    operation: () => ({ case: 'flip', value: { direction: FlipDirection.HORIZONTAL } }),
    sharp: (image) => image.flop(),
  },
  {
    name: 'trim',
    service: 'resize',
    operation: () => ({ case: 'trim', value: { background: magenta } }),
    sharp: (image) => image.trim({ background: magenta }),
  },
  {
    name: 'extend',
    service: 'resize',
    operation: () => ({ case: 'extend', value: { left: 32, top: 32, right: 32, bottom: 32 } }),
    sharp: (image) => image.extend({ left: 32, top: 32, right: 32, bottom: 32, background: '#000000' }),
  },
  {
    name: 'round_corners',
    service: 'resize',
    operation: () => ({ case: 'roundCorners', value: { radius: 40 } }),
  },
  {
    name: 'text',
    service: 'resize',
    operation: () => ({ case: 'text', value: { text: 'imagemesh' } }),
  },
];

const filters: readonly Case[] = [
  filter('blur', { case: 'blur', value: {} }),
  filter('gaussian_blur', { case: 'gaussianBlur', value: {} }),
  filter('gaussian_blur 31', { case: 'gaussianBlur', value: { size: 31 } }),
  filter('median_blur', { case: 'medianBlur', value: {} }),
  filter('bilateral', { case: 'bilateral', value: {} }),
  filter('edges', { case: 'edges', value: {} }),
  filter('sobel', { case: 'sobel', value: {} }),
  filter('laplacian', { case: 'laplacian', value: {} }),
  filter('threshold', { case: 'threshold', value: {} }),
  filter('adaptive_threshold', { case: 'adaptiveThreshold', value: {} }),
  filter('morphology open', { case: 'morphology', value: { kind: MorphologyKind.OPEN } }),
  filter('sharpen', { case: 'sharpen', value: {} }),
  filter('convolve', {
    case: 'convolve',
    value: { kernel: Array.from({ length: 25 }, () => 1), width: 5, height: 5, divisor: 25 },
  }),
  filter('emboss', { case: 'emboss', value: {} }),
  filter('grayscale', { case: 'grayscale', value: {} }),
  filter('adjust', { case: 'adjust', value: { brightness: 10, contrast: 10, saturation: 20, hue: 15 } }),
  filter('invert', { case: 'invert', value: {} }),
  filter('sepia', { case: 'sepia', value: {} }),
  filter('equalize', { case: 'equalize', value: {} }),
  filter('clahe', { case: 'clahe', value: {} }),
  filter('pixelate', { case: 'pixelate', value: {} }),
  {
    name: 'blur_region',
    service: 'filter',
    operation: (size) => ({ case: 'blurRegion', value: middle(size) }),
  },
  filter('redact faces', { case: 'redactFaces', value: {} }),
  {
    name: 'perspective',
    service: 'filter',
    operation: ({ width, height }) => ({
      case: 'perspective',
      value: {
        corners: [width * 0.1, height * 0.1, width * 0.9, 0, width, height, 0, height * 0.9],
        width,
        height,
      },
    }),
  },
];

export const cases: readonly Case[] = [...geometry, ...filters];

function filter(name: string, operation: Operation): Case {
  return { name, service: 'filter', operation: () => operation };
}
