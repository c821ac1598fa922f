/** Histogram, average and dominant colour in one walk over the pixels. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HistogramSchema } from '@imagemesh/api';
import type { Pixels } from '@imagemesh/image';

export interface Counts {
  readonly histogram: MessageInitShape<typeof HistogramSchema>;
  /** #RRGGBB */
  readonly averageColor: string;
  /** #RRGGBB */
  readonly dominantColor: string;
}

/** Pixels of 8 bits a channel and 1 to 4 channels. */
export function countPixels({ data, channels }: Pixels): Counts {
  const isGrey = channels < 3;
  const hasAlpha = channels % 2 === 0;
  const levels = () => new Uint32Array(256);
  const [red, green, blue, grey, alpha] = [levels(), levels(), levels(), levels(), levels()];
  const bins = new Float64Array(4096);
  let [sumRed, sumGreen, sumBlue, sumAlpha] = [0, 0, 0, 0];
  for (let at = 0; at < data.length; at += channels) {
    const r = data[at] ?? 0;
    const g = isGrey ? r : (data[at + 1] ?? 0);
    const b = isGrey ? r : (data[at + 2] ?? 0);
    const a = hasAlpha ? (data[at + channels - 1] ?? 0) : 255;
    add(red, r);
    add(green, g);
    add(blue, b);
    add(grey, Math.round(0.299 * r + 0.587 * g + 0.114 * b));
    add(alpha, a);
    if (a === 0) continue;
    const bin = ((r >> 4) << 8) | ((g >> 4) << 4) | (b >> 4);
    bins[bin] = (bins[bin] ?? 0) + 1;
    sumRed += r * a;
    sumGreen += g * a;
    sumBlue += b * a;
    sumAlpha += a;
  }
  const mean = (sum: number) => (sumAlpha === 0 ? 0 : Math.round(sum / sumAlpha));
  return {
    histogram: {
      ...(!isGrey && { red: [...red], green: [...green], blue: [...blue] }),
      grey: [...grey],
      ...(hasAlpha && { alpha: [...alpha] }),
    },
    averageColor: hex([mean(sumRed), mean(sumGreen), mean(sumBlue)]),
    dominantColor: dominant(bins),
  };
}

function add(levels: Uint32Array, level: number): void {
  levels[level] = (levels[level] ?? 0) + 1;
}

/** The middle of the fullest bin; black where every pixel is transparent. */
function dominant(bins: Float64Array): string {
  let best = 0;
  for (let bin = 1; bin < bins.length; bin++) if ((bins[bin] ?? 0) > (bins[best] ?? 0)) best = bin;
  if (bins[best] === 0) return '#000000';
  return hex([best >> 8, (best >> 4) & 15, best & 15].map((level) => level * 16 + 8));
}

function hex(levels: readonly number[]): string {
  return `#${levels.map((level) => level.toString(16).padStart(2, '0').toUpperCase()).join('')}`;
}
