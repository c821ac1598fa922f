/** Bounded reading of a file's first bytes. */

/** Thrown inside the probes alone: the answer lies beyond the bytes at hand. */
export class BeyondHead {
  readonly bytes: number;
  constructor(bytes: number) {
    this.bytes = bytes;
  }
}

/** Reads numbers at offsets; reading beyond the head throws BeyondHead with the length that would be needed. */
export interface HeadReader {
  /** Bytes at hand. */
  readonly length: number;
  /** Bytes of the whole file; Infinity where nobody knows. */
  readonly total: number;
  u8(at: number): number;
  u16(at: number, isLittle?: boolean): number;
  /** Three bytes, little-endian. */
  u24le(at: number): number;
  u32(at: number, isLittle?: boolean): number;
  /** Four bytes as text. */
  tag(at: number): string;
  bytes(at: number, count: number): Uint8Array;
  startsWith(at: number, text: string): boolean;
}

export function createHeadReader(head: Uint8Array, total = head.length): HeadReader {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const need = (end: number) => {
    if (end > head.length) throw new BeyondHead(end);
  };
  const bytes = (at: number, count: number) => {
    need(at + count);
    return head.subarray(at, at + count);
  };
  const text = (at: number, count: number) => String.fromCharCode(...bytes(at, count));
  return {
    length: head.length,
    total,
    u8: (at) => {
      need(at + 1);
      return view.getUint8(at);
    },
    u16: (at, isLittle = false) => {
      need(at + 2);
      return view.getUint16(at, isLittle);
    },
    u24le: (at) => {
      need(at + 3);
      return view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    },
    u32: (at, isLittle = false) => {
      need(at + 4);
      return view.getUint32(at, isLittle);
    },
    tag: (at) => text(at, 4),
    bytes,
    startsWith: (at, expected) => text(at, expected.length) === expected,
  };
}
