/**
 * A clock that stands still while this process does.
 *
 * A balancer that stalls (garbage collection, SIGSTOP, a busy host) finds every heartbeat late when it wakes, though the
 * replicas were well and their reports lie unread in its sockets. So ages are measured by the time it was attentive: it
 * ticks every `tickMs`, and a tick that comes late counts for two at most.
 */
export class AttentiveClock {
  readonly #tickMs: number;
  #wallMs: number;
  #attentiveMs = 0;
  #missedMs = 0;

  /** `nowMs` is monotonic. */
  constructor(tickMs: number, nowMs: number) {
    this.#tickMs = tickMs;
    this.#wallMs = nowMs;
  }

  /** Time that did not count, in ms. */
  get missedMs(): number {
    return this.#missedMs;
  }

  /** Call every tickMs; returns by how many ms it came late. */
  tick(nowMs: number): number {
    const passed = Math.max(0, nowMs - this.#wallMs);
    const counted = Math.min(passed, 2 * this.#tickMs);
    this.#wallMs = nowMs;
    this.#attentiveMs += counted;
    this.#missedMs += passed - counted;
    return Math.max(0, passed - this.#tickMs);
  }

  /** Attentive ms until now. */
  at(nowMs: number): number {
    return this.#attentiveMs + Math.min(Math.max(0, nowMs - this.#wallMs), 2 * this.#tickMs);
  }
}
