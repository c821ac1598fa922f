/**
 * gRPC's framing of messages, pure: a prefix (1 byte flag, 4 bytes length, big-endian), then the message.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *
 * Chunk messages have one field that matters: number 2, bytes. They are read straight off the stream: the payload of
 * each is handed out as views of the incoming buffers, without building a message.
 */
import { MeshError } from './errors.ts';

const PREFIX_BYTES = 5;
/** Most payload of one chunk message. */
export const MAX_CHUNK_BYTES = 1024 * 1024;
/** Most bytes of one chunk message: payload, its tag and length, and a little for fields we do not know. */
export const MAX_CHUNK_MESSAGE_BYTES = MAX_CHUNK_BYTES + 64;
/** Most bytes of any other message, as gRPC clients have it. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

const chunkTag = (2 << 3) | 2;

/** A message with its prefix, in one buffer: one copy. */
export function frameMessage(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.byteLength);
  frame[0] = 0;
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** What goes before a payload of that size to make a whole framed chunk message. */
export function chunkHead(payloadBytes: number): Buffer {
  const lengthBytes = varintBytes(payloadBytes);
  const head = Buffer.allocUnsafe(PREFIX_BYTES + 1 + lengthBytes);
  head[0] = 0;
  head.writeUInt32BE(1 + lengthBytes + payloadBytes, 1);
  head[PREFIX_BYTES] = chunkTag;
  let rest = payloadBytes;
  for (let at = PREFIX_BYTES + 1; at < head.byteLength; at++) {
    head[at] = (rest & 0x7f) | (at === head.byteLength - 1 ? 0 : 0x80);
    rest >>>= 7;
  }
  return head;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}

/** Takes in bytes as they come. */
export interface FrameParser {
  /** Uses bytes from `from` on; returns the position after the last one used. Throws MeshError on a broken frame. */
  push(bytes: Buffer, from: number): number;
  /** Whether it wants no more bytes. */
  readonly isDone: boolean;
  /** The stream is over. Throws MeshError if that is in the middle of a frame. */
  end(): void;
}

/** Collects 5 prefix bytes over any splits, and checks them. */
class Prefix {
  #filled = 0;
  #flag = 0;
  #length = 0;

  get isEmpty(): boolean {
    return this.#filled === 0;
  }

  /** Takes one byte; the message's length once the prefix is whole, else -1. */
  take(byte: number, maxBytes: number): number {
    if (this.#filled === 0) this.#flag = byte;
    else this.#length = this.#length * 256 + byte;
    if (++this.#filled < PREFIX_BYTES) return -1;
    const length = this.#length;
    if (this.#flag === 1) {
      throw new MeshError(
        'COMPRESSION_UNSUPPORTED',
        'compressed messages are not supported here; send identity encoding',
      );
    }
    if (this.#flag !== 0) throw new MeshError('INVALID_REQUEST', 'the stream is not made of gRPC messages');
    if (length > maxBytes) {
      throw new MeshError(
        'BODY_TOO_LARGE',
        `a message of ${length} bytes is over the limit of ${maxBytes} bytes`,
        {
          metadata: { limit: String(maxBytes), size: String(length) },
        },
      );
    }
    this.#filled = 0;
    this.#length = 0;
    return length;
  }
}

function truncated(): MeshError {
  return new MeshError('INVALID_REQUEST', 'the stream ended in the middle of a message');
}

/** Reads one message whole. A view if it came in one piece, else one copy. */
export class MessageParser implements FrameParser {
  message: Buffer | undefined;
  readonly #prefix = new Prefix();
  readonly #maxBytes: number;
  readonly #reserve: ((sizeBytes: number) => void) | undefined;
  #parts: Buffer[] = [];
  #left = -1;

  /** `reserve` is told the size before the message is kept. */
  constructor(maxBytes: number, reserve?: (sizeBytes: number) => void) {
    this.#maxBytes = maxBytes;
    this.#reserve = reserve;
  }

  get isDone(): boolean {
    return this.message !== undefined;
  }

  push(bytes: Buffer, from: number): number {
    let at = from;
    while (this.#left === -1 && at < bytes.byteLength)
      this.#left = this.#prefix.take(bytes[at++] ?? 0, this.#maxBytes);
    if (this.#left === -1) return at;
    if (this.#parts.length === 0) this.#reserve?.(this.#left);
    const end = Math.min(bytes.byteLength, at + this.#left);
    this.#parts.push(bytes.subarray(at, end));
    this.#left -= end - at;
    if (this.#left === 0)
      this.message = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    return end;
  }

  end(): void {
    if (!this.#prefix.isEmpty || this.#left > 0) throw truncated();
  }
}

type Phase = 'prefix' | 'tag' | 'length' | 'payload' | 'varint' | 'skip';

/** Reads chunk messages to the end of the stream and emits their payloads. Fields it does not know are passed over. */
export class ChunkParser implements FrameParser {
  readonly isDone = false;
  readonly #emit: (payload: Buffer) => void;
  readonly #prefix = new Prefix();
  #phase: Phase = 'prefix';
  /** Bytes left of the message, of the field being read or skipped. */
  #messageLeft = 0;
  #fieldLeft = 0;
  #varint = 0;
  #varintShift = 0;
  #isChunk = false;
  #hasChunk = false;

  /** `emit` gets views of what is pushed, in order. */
  constructor(emit: (payload: Buffer) => void) {
    this.#emit = emit;
  }

  push(bytes: Buffer, from: number): number {
    const end = bytes.byteLength;
    let at = from;
    while (at < end) {
      if (this.#phase === 'prefix') {
        const length = this.#prefix.take(bytes[at++] ?? 0, MAX_CHUNK_MESSAGE_BYTES);
        if (length <= 0) continue;
        this.#messageLeft = length;
        this.#hasChunk = false;
        this.#phase = 'tag';
      } else if (this.#phase === 'payload' || this.#phase === 'skip') {
        const take = Math.min(this.#fieldLeft, end - at);
        if (this.#phase === 'payload') this.#emit(bytes.subarray(at, at + take));
        at += take;
        this.#fieldLeft -= take;
        this.#messageLeft -= take;
        if (this.#fieldLeft === 0) this.#nextField();
      } else {
        this.#messageLeft--;
        if (this.#takeVarint(bytes[at++] ?? 0)) this.#tookVarint();
      }
    }
    return at;
  }

  end(): void {
    if (this.#phase !== 'prefix' || !this.#prefix.isEmpty) throw truncated();
  }

  #takeVarint(byte: number): boolean {
    // Multiplied, not shifted: lengths up to 2^53 compare right. Longer ones are only ever values to skip.
    this.#varint += (byte & 0x7f) * 2 ** this.#varintShift;
    this.#varintShift += 7;
    if (byte < 0x80) return true;
    if (this.#varintShift >= 70 || this.#messageLeft === 0) throw malformed();
    return false;
  }

  #tookVarint(): void {
    const value = this.#varint;
    this.#varint = 0;
    this.#varintShift = 0;
    switch (this.#phase) {
      case 'tag':
        this.#startField(value);
        return;
      case 'length':
        this.#startBytes(value);
        return;
      default:
        this.#nextField();
    }
  }

  #startField(tag: number): void {
    const field = Math.floor(tag / 8);
    if (field === 0) throw malformed();
    if (field === 1) {
      throw new MeshError(
        'INVALID_REQUEST',
        'only chunks may follow the first message of a stream; got another first message',
        {
          violations: [
            { field: 'message', description: 'only chunks may follow the first message of a stream' },
          ],
        },
      );
    }
    this.#isChunk = tag === chunkTag;
    if (this.#isChunk && this.#hasChunk) throw malformed();
    switch (tag & 7) {
      case 0:
        this.#phase = 'varint';
        break;
      case 1:
        this.#startBytes(8);
        return;
      case 2:
        this.#phase = 'length';
        break;
      case 5:
        this.#startBytes(4);
        return;
      default:
        throw malformed();
    }
    if (this.#messageLeft === 0) throw malformed();
  }

  #startBytes(length: number): void {
    if (length > this.#messageLeft) throw malformed();
    this.#fieldLeft = length;
    this.#phase = this.#isChunk ? 'payload' : 'skip';
    this.#hasChunk ||= this.#isChunk;
    if (length === 0) this.#nextField();
  }

  #nextField(): void {
    this.#phase = this.#messageLeft === 0 ? 'prefix' : 'tag';
  }
}

function malformed(): MeshError {
  return new MeshError('INVALID_REQUEST', 'a message of the stream is not valid protobuf');
}
