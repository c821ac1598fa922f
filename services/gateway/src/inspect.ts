/**
 * Reads an image's header while its bytes are still coming, so that what is not an image, or has too many pixels, is
 * refused after its first kilobytes.
 */
import type { ImageInfo } from '@imagemesh/api';
import {
  checkInput,
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
  /** What the header says, after `end`. `readWhole` is called only where the head did not tell all. */
  finish(sizeBytes: number, readWhole: () => Promise<Uint8Array>): Promise<ImageInfo>;
}

export function createImageInspector(limits: ImageLimits): ImageInspector {
  let head: Uint8Array = new Uint8Array(0);
  /** A probe with fewer bytes would only ask for more. */
  let neededBytes = 1;
  let header: ImageHeader | undefined;
  /** A WebP's orientation stands behind its pixels, beyond any head. */
  let isProvisional = false;
  /** A TIFF's header may stand anywhere: it is read at the end. */
  let isLate = false;

  const settle = (found: ImageHeader) => {
    checkInput(found, limits);
    header = found;
    head = new Uint8Array(0);
  };

  return {
    push(bytes) {
      if (header !== undefined || isLate || bytes.length === 0) return;
      head = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
      if (head.length < neededBytes) return;
      const found = probe(head, Number.POSITIVE_INFINITY);
      if (found.kind === 'image') {
        settle(found.header);
      } else if (head.length < maxProbeBytes) {
        neededBytes = Math.min(found.bytes, maxProbeBytes);
      } else if (isTiffHead(head)) {
        isLate = true;
        head = new Uint8Array(0);
      } else {
        settle(probeWhole(head));
        isProvisional = true;
      }
    },

    end(sizeBytes) {
      if (sizeBytes === 0) throw new MeshError('NOT_AN_IMAGE', 'the image is empty');
      if (header === undefined && !isLate) settle(probeWhole(head));
    },

    async finish(sizeBytes, readWhole) {
      if (isProvisional || isLate) settle(probeWhole(await readWhole()));
      if (header === undefined) throw new MeshError('INTERNAL', 'an image was not probed');
      return toImageInfo(header, sizeBytes);
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
