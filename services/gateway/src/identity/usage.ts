/** What a key has taken of what it may. */
import type { KeyLimits } from '@imagemesh/keys';
import { MeshError } from '@imagemesh/rpc';
import { createTokenBucket, type TokenBucket } from './token-bucket.ts';

export interface Usage {
  /** A call begins; returns its end, to be called once. QUOTA_EXCEEDED. */
  begin(): () => void;
  /** Before a body is read whose size nobody knows yet. QUOTA_EXCEEDED. */
  check(): void;
  /** A source image, its header read. QUOTA_EXCEEDED. */
  image(cost: { readonly bytes?: number; readonly pixels?: number }): void;
}

/** Nothing is counted. */
export const unlimited: Usage = { begin: () => () => {}, check() {}, image() {} };

/** Of the average, what may come at once. */
const burstSeconds = 10;
/** A call that ends makes room; nobody knows when. */
const concurrencyRetryMs = 1000;

export function createUsage(keyId: string, limits: KeyLimits, now: () => number): Usage {
  const { callsPerSecond, concurrentCalls, bytesPerMinute, pixelsPerMinute } = limits;
  const calls = bucket(callsPerSecond, (perSecond) => ({ perSecond, capacity: perSecond * burstSeconds }));
  const bytes = bucket(bytesPerMinute, perMinute);
  const pixels = bucket(pixelsPerMinute, perMinute);
  let running = 0;

  function bucket(
    limit: number | undefined,
    shape: (limit: number) => { readonly perSecond: number; readonly capacity: number },
  ): TokenBucket | undefined {
    return limit === undefined ? undefined : createTokenBucket(shape(limit), now());
  }

  function refuseOver(of: TokenBucket | undefined, limit: keyof KeyLimits): void {
    const waitMs = of?.waitMs(now()) ?? 0;
    if (waitMs > 0) throw exceeded(limit, waitMs);
  }

  function exceeded(limit: keyof KeyLimits, retryAfterMs: number): MeshError {
    const value = String(limits[limit]);
    const description = `${limit} is ${value}`;
    return new MeshError('QUOTA_EXCEEDED', `the API key ${keyId} is over its limit: ${description}`, {
      metadata: { key: keyId, limit, limit_value: value },
      retryAfterMs,
      quota: { subject: `key:${keyId}`, description },
    });
  }

  function check(): void {
    refuseOver(bytes, 'bytesPerMinute');
    refuseOver(pixels, 'pixelsPerMinute');
  }

  return {
    begin() {
      refuseOver(calls, 'callsPerSecond');
      if (concurrentCalls !== undefined && running >= concurrentCalls)
        throw exceeded('concurrentCalls', concurrencyRetryMs);
      calls?.take(1, now());
      running++;
      let isRunning = true;
      return () => {
        if (isRunning) running--;
        isRunning = false;
      };
    },
    check,
    image(cost) {
      check();
      bytes?.take(cost.bytes ?? 0, now());
      pixels?.take(cost.pixels ?? 0, now());
    },
  };
}

function perMinute(limit: number) {
  return { perSecond: limit / 60, capacity: limit };
}
