/** A clock that stands still until told. */

export interface FakeClock {
  /** For code that takes a clock. */
  readonly nowMs: () => number;
  advance(ms: number): void;
}

export function createFakeClock(startMs = 1_000_000): FakeClock {
  let now = startMs;
  return {
    nowMs: () => now,
    advance(ms) {
      now += ms;
    },
  };
}
