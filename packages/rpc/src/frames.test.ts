/** Framing under any split of the bytes, and hostile frames. */
import { create, toBinary } from '@bufbuild/protobuf';
import { ResizeRequestSchema } from '@imagemesh/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ChunkParser,
  chunkHead,
  type FrameParser,
  frameMessage,
  MAX_CHUNK_MESSAGE_BYTES,
  MessageParser,
} from './frames.ts';

/** Pushes the bytes in pieces of the given sizes, over and over. */
function pushSplit(parser: FrameParser, bytes: Buffer, sizes: readonly number[]): void {
  let at = 0;
  for (let i = 0; at < bytes.byteLength; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    const piece = bytes.subarray(at, at + size);
    let used = 0;
    while (used < piece.byteLength) {
      used = parser.push(piece, used);
      if (parser.isDone) return;
    }
    at += piece.byteLength;
  }
}

function readChunks(bytes: Buffer, sizes: readonly number[] = [bytes.byteLength]): Buffer {
  const parts: Buffer[] = [];
  const parser = new ChunkParser((payload) => parts.push(Buffer.from(payload)));
  pushSplit(parser, bytes, sizes);
  parser.end();
  return Buffer.concat(parts);
}

const splits = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });

function prefixed(message: Uint8Array): Buffer {
  return frameMessage(message);
}

describe('a chunk message', () => {
  it('is the same bytes as protobuf makes of it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (chunk) => {
        const request = create(ResizeRequestSchema, { message: { case: 'chunk', value: chunk } });
        const ours = Buffer.concat([chunkHead(chunk.byteLength), chunk]);
        expect(ours).toEqual(frameMessage(toBinary(ResizeRequestSchema, request)));
      }),
    );
  });

  it('is read the same however its bytes are split', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), splits, (chunks, sizes) => {
        const framed = chunks.flatMap((chunk) => [chunkHead(chunk.byteLength), chunk]);
        expect(readChunks(Buffer.concat(framed), sizes)).toEqual(Buffer.concat(chunks));
      }),
    );
  });

  it('may have fields that we do not know, before and after', () => {
    const unknown = Buffer.from([
      ...[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // 3: varint, ten bytes
      ...[0x21, 1, 2, 3, 4, 5, 6, 7, 8], // 4: fixed64
      ...[0x2d, 1, 2, 3, 4], // 5: fixed32
      ...[0x32, 3, 0x12, 0x01, 0x41], // 6: bytes that look like a chunk
      ...[0x3a, 0], // 7: empty bytes
    ]);
    const chunk = Buffer.from([0x12, 2, 0xca, 0xfe]);
    const framed = prefixed(Buffer.concat([unknown, chunk, unknown]));
    for (const size of [1, 2, 3, 7, 1000])
      expect(readChunks(framed, [size])).toEqual(Buffer.from([0xca, 0xfe]));
  });

  it('may be empty, or have an empty chunk', () => {
    const framed = Buffer.concat([prefixed(Buffer.alloc(0)), prefixed(Buffer.from([0x12, 0]))]);
    expect(readChunks(framed, [1])).toEqual(Buffer.alloc(0));
  });

  it.each([
    ['a length over the limit', prefixOf(0, MAX_CHUNK_MESSAGE_BYTES + 1), 'BODY_TOO_LARGE'],
    ['an absurd length', prefixOf(0, 0xffffffff), 'BODY_TOO_LARGE'],
    ['a compressed message', prefixOf(1, 10), 'COMPRESSION_UNSUPPORTED'],
    ['a flag that is none', prefixOf(0x50, 10), 'INVALID_REQUEST'],
    ['half a prefix', Buffer.from([0, 0, 0]), 'INVALID_REQUEST'],
    ['half a message', Buffer.from([0, 0, 0, 0, 4, 0x12, 2]), 'INVALID_REQUEST'],
    ['a chunk longer than its message', prefixed(Buffer.from([0x12, 9, 1])), 'INVALID_REQUEST'],
    ['a message that ends in a tag', prefixed(Buffer.from([0x12])), 'INVALID_REQUEST'],
    ['a message that ends in a length', prefixed(Buffer.from([0x12, 0x80])), 'INVALID_REQUEST'],
    ['two chunks in one message', prefixed(Buffer.from([0x12, 1, 1, 0x12, 1, 1])), 'INVALID_REQUEST'],
    ['a first message again', prefixed(Buffer.from([0x0a, 1, 0])), 'INVALID_REQUEST'],
    ['a group', prefixed(Buffer.from([0x1b, 0x1c])), 'INVALID_REQUEST'],
    ['field 0', prefixed(Buffer.from([0x02, 0])), 'INVALID_REQUEST'],
    ['an endless number', prefixed(Buffer.from([0x18, ...Array(11).fill(0xff)])), 'INVALID_REQUEST'],
  ])('is refused: %s', (_, bytes, reason) => {
    for (const size of [1, 3, 1000]) {
      expect(() => readChunks(bytes, [size])).toThrow(expect.objectContaining({ reason }));
    }
  });

  it('never makes anything but a MeshError of garbage, nor emits more than it was given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), splits, (garbage, sizes) => {
        let emitted = 0;
        const parser = new ChunkParser((payload) => {
          emitted += payload.byteLength;
        });
        try {
          pushSplit(parser, Buffer.concat([Buffer.from([0, 0, 0, 0, 30]), garbage]), sizes);
          parser.end();
        } catch (error) {
          expect(error).toMatchObject({ name: 'MeshError' });
        }
        expect(emitted).toBeLessThanOrEqual(garbage.byteLength);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a whole message', () => {
  it('is read the same however its bytes are split, and leaves what follows', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.uint8Array({ maxLength: 20 }),
        splits,
        (message, rest, sizes) => {
          const parser = new MessageParser(1000);
          const bytes = Buffer.concat([frameMessage(message), rest]);
          let at = 0;
          for (let i = 0; !parser.isDone; i++) {
            const piece = bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1));
            at += parser.push(piece, 0);
          }
          expect(parser.message).toEqual(Buffer.from(message));
          expect(bytes.subarray(at)).toEqual(Buffer.from(rest));
        },
      ),
    );
  });

  it('is refused over its limit before its bytes are kept', () => {
    expect(() => new MessageParser(10).push(prefixOf(0, 11), 0)).toThrow(
      expect.objectContaining({ reason: 'BODY_TOO_LARGE', metadata: { limit: '10', size: '11' } }),
    );
  });
});

function prefixOf(flag: number, length: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return prefix;
}
