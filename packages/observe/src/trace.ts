/** W3C trace context (https://www.w3.org/TR/trace-context/): which trace a call belongs to, and its span in it. */
import { randomBytes } from 'node:crypto';

export interface TraceContext {
  /** 32 lower-case hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hexadecimal digits, not all zero. */
  readonly spanId: string;
  /** Whether spans of this trace are recorded. */
  readonly sampled: boolean;
}

/** That many random bytes; the default is the system's. */
export type RandomBytes = (count: number) => Uint8Array;

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The context in a traceparent header; undefined if absent or malformed, whereupon a new trace begins. */
export function parseTraceparent(
  header: string | readonly string[] | null | undefined,
): TraceContext | undefined {
  if (typeof header !== 'string' || header.length > 256) return undefined;
  const [, version, traceId, spanId, flags, rest] = pattern.exec(header.trim()) ?? [];
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined)
    return undefined;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** A new trace with its first span. */
export function newTrace(rng: RandomBytes = randomBytes): TraceContext {
  return { traceId: randomHex(16, rng), spanId: randomHex(8, rng), sampled: true };
}

/** A new span of the same trace. */
export function childOf(parent: TraceContext, rng: RandomBytes = randomBytes): TraceContext {
  return { ...parent, spanId: randomHex(8, rng) };
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

function randomHex(bytes: number, rng: RandomBytes): string {
  const hex = Buffer.from(rng(bytes)).toString('hex');
  // All zeroes is the one invalid id.
  return /[1-9a-f]/.test(hex) ? hex : `${hex.slice(1)}1`;
}
