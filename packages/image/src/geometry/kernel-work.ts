/** What filters cost that look at a neighbourhood. */
import { MorphologyShape, type Operation } from '@imagemesh/api';

/**
 * Taps of the operation's kernel for each pixel: 0 for operations without one, two sides where rows and columns are done
 * one after the other, else the area. The time of a filter grows with taps times pixels.
 */
export function kernelTaps({ operation }: Operation): number {
  switch (operation.case) {
    case 'gaussianBlur':
      return 2 * gaussianSide(operation.value.sigma, operation.value.size);
    case 'blurRegion':
      return 2 * gaussianSide(operation.value.sigma ?? 10);
    case 'sharpen':
      return 2 * gaussianSide(operation.value.radius ?? 1);
    case 'adaptiveThreshold':
      return 2 * (operation.value.size ?? 11);
    case 'bilateral':
      return (operation.value.diameter ?? 9) ** 2;
    case 'convolve':
      return operation.value.kernel.length;
    case 'morphology': {
      const { size = 3, iterations = 1, shape } = operation.value;
      const isSeparable = (shape ?? MorphologyShape.UNSPECIFIED) <= MorphologyShape.RECTANGLE;
      return (isSeparable ? 2 * size : size ** 2) * iterations;
    }
    default:
      // Box and median blurs take the same time whatever their size; the rest have small kernels.
      return 0;
  }
}

/** The side of the kernel that a Gaussian has. */
export function gaussianSide(sigma: number | undefined, size?: number): number {
  return size ?? (sigma === undefined ? 5 : Math.min(255, Math.round(6 * sigma + 1) | 1));
}
