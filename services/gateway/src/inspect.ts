/**
 * Reads an image's header while its bytes are still coming, so that what is not an image, or has too many pixels, is
 * refused after its first kilobytes.
 */
import { Format, type ImageInfo } from '@imagemesh/api';
import {
  checkInput,
  countFrames,
  type FrameCounter,
  type ImageHeader,
  type ImageLimits,
  maxProbeBytes,
  probe,
  probeWhole,
  toImageInfo,
} from '@imagemesh/image';
import { MeshError } from '@imagemesh/rpc';

export interface ImageInspector {
  /** Sees the next bytes. Throws what is wrong with the image. */
  push(bytes: Uint8Array): void;
  /** All bytes came. Throws what is wrong with an image that ends here. */
  end(sizeBytes: number): void;
  /** What the header says, after `end`. `withWhole` is called only where what came did not tell all. */
  finish(sizeBytes: number, withWhole: WithWhole): Promise<ImageInfo>;
}

/** Has the whole image read, in as much memory as it has bytes, which is free again when it settles. */
export type WithWhole = (use: (bytes: Uint8Array) => void) => Promise<void>;

export function createImageInspector(limits: ImageLimits): ImageInspector {
  let head: Uint8Array = new Uint8Array(0);
  /** A probe with fewer bytes would only ask for more. */
  let neededBytes = 1;
  let header: ImageHeader | undefined;
  /** A WebP's orientation stands behind its pixels, beyond any head. */
  let isProvisional = false;
  /** A TIFF's header may stand anywhere: it is read at the end. */
  let isLate = false;
  /** The head only tells that there are several frames. */
  let counter: FrameCounter | undefined;

  const settle = (found: ImageHeader) => {
    checkInput(found, limits);
    header = found;
    head = new Uint8Array(0);
  };

  /** The number of frames, once there is a counter: too many are refused as soon as they begin. */
  const count = (bytes: Uint8Array) => {
    if (header === undefined || counter === undefined) return;
    counter.push(bytes);
    if (counter.frames > header.frames) settle({ ...header, frames: counter.frames });
  };

  const settleHead = (found: ImageHeader) => {
    const start = head;
    settle(found);
    if (found.frames > 1 || found.format === Format.GIF) counter = countFrames(found.format);
    count(start);
  };

  return {
    push(bytes) {
      if (header !== undefined) return count(bytes);
      if (isLate || bytes.length === 0) return;
      head = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
      if (head.length < neededBytes) return;
      const found = probe(head, Number.POSITIVE_INFINITY);
      if (found.kind === 'image') {
        settleHead(found.header);
      } else if (head.length < maxProbeBytes) {
        neededBytes = Math.min(found.bytes, maxProbeBytes);
      } else if (isTiffHead(head)) {
        isLate = true;
        head = new Uint8Array(0);
      } else {
        const provisional = probeWhole(head);
        settleHead(provisional);
        isProvisional = provisional.format === Format.WEBP;
      }
    },

    end(sizeBytes) {
      if (sizeBytes === 0) throw new MeshError('NOT_AN_IMAGE', 'the image is empty');
      if (header === undefined && !isLate) settle(probeWhole(head));
    },

    async finish(sizeBytes, withWhole) {
      if (isProvisional || isLate) await withWhole((bytes) => settle(probeWhole(bytes)));
      if (header === undefined) throw new MeshError('INTERNAL', 'an image was not probed');
      const frames = counter === undefined ? header.frames : Math.max(1, counter.frames);
      return toImageInfo({ ...header, frames }, sizeBytes);
    },
  };
}

function isTiffHead(head: Uint8Array): boolean {
  const start = Buffer.from(head.subarray(0, 4)).toString('latin1');
  return start === 'II*\0' || start === 'MM\0*';
}

/** What the header of a whole image says, within the limits. */
export function inspectWhole(bytes: Uint8Array, limits: ImageLimits): ImageInfo {
  const header = probeWhole(bytes);
  checkInput(header, limits);
  return toImageInfo(header, bytes.length);
}
