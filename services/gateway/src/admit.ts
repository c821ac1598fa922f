/** Whether a call may come in: so many at once, and so much to decode at once, and no more. */
import type { ImageInfo } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';

export interface Admission {
  /** Calls in now. */
  readonly inFlight: number;
  /** What their images take decoded, as far as the headers tell. */
  readonly decodedBytes: number;
  /** Runs a call on an image; OVERLOADED where there are too many, or they are too large. */
  run<Result>(info: ImageInfo, call: () => Promise<Result>): Promise<Result>;
}

export interface AdmissionLimits {
  readonly maxCalls: number;
  readonly decodedBytesMax: number;
}

export function createAdmission({ maxCalls, decodedBytesMax }: AdmissionLimits): Admission {
  let inFlight = 0;
  let decodedBytes = 0;
  return {
    get inFlight() {
      return inFlight;
    },
    get decodedBytes() {
      return decodedBytes;
    },
    async run(info, call) {
      const bytes = estimateDecodedBytes(info);
      if (inFlight >= maxCalls) {
        throw new MeshError('OVERLOADED', 'too many calls at once; try again shortly', {
          metadata: { limit: 'MAX_CALLS', limit_calls: String(maxCalls) },
        });
      }
      // One call always fits: how large it may be is for other limits to say.
      if (inFlight > 0 && decodedBytes + bytes > decodedBytesMax) {
        throw new MeshError('OVERLOADED', 'too many large images at once; try again shortly', {
          metadata: {
            limit: 'DECODED_BYTES_MAX',
            limit_bytes: String(decodedBytesMax),
            used_bytes: String(decodedBytes),
            image_bytes: String(bytes),
          },
        });
      }
      inFlight++;
      decodedBytes += bytes;
      try {
        return await call();
      } finally {
        inFlight--;
        decodedBytes -= bytes;
      }
    },
  };
}

/** Every frame, in the channels and the depth of the header; where it does not tell, RGBA of 8 bits. */
export function estimateDecodedBytes({ width, height, frames, channels, bitDepth }: ImageInfo): number {
  const bytesPerChannel = bitDepth > 8 ? 2 : 1;
  return width * height * Math.max(1, frames) * (channels === 0 ? 4 : channels) * bytesPerChannel;
}
