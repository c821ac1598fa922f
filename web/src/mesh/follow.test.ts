import { Code, ConnectError } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Following, follow } from './follow.ts';

/** A stream that the test writes. */
class Line implements AsyncIterable<string> {
  readonly #waiting: ((result: IteratorResult<string>) => void)[] = [];
  #fail: (error: unknown) => void = () => {};

  say(value: string): void {
    this.#waiting.shift()?.({ value, done: false });
  }

  end(): void {
    this.#waiting.shift()?.({ value: undefined, done: true });
  }

  break(error: unknown): void {
    this.#fail(error);
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return {
      next: () =>
        new Promise((resolve, reject) => {
          this.#waiting.push(resolve);
          this.#fail = reject;
        }),
    };
  }
}

/** As Connect tells that nothing answers. */
const unreachable = () =>
  new ConnectError('fetch failed', Code.Unknown, undefined, undefined, new TypeError('Failed to fetch'));

const page = new EventTarget();
let lines: Line[];
let signals: AbortSignal[];
let heard: string[];
let following: Following;

/** The one that is open now. */
function line(): Line {
  const last = lines.at(-1);
  if (last === undefined) throw new Error('none was opened');
  return last;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('window', page);
  [lines, signals, heard] = [[], [], []];
  following = follow<string>({
    open(signal) {
      signals.push(signal);
      lines.push(new Line());
      return line();
    },
    onMessage: (message) => heard.push(message),
  });
});

afterEach(() => {
  following.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('a followed stream', () => {
  it('is connecting until the first message, and live from then on', async () => {
    expect(following.state.value.kind).toBe('connecting');
    await pass(0);
    line().say('a');
    await pass(0);
    line().say('b');
    await pass(0);
    expect(following.state.value.kind).toBe('live');
    expect(heard).toEqual(['a', 'b']);
  });

  it('is opened again after pauses that double to 8 s, and begin anew once there was a message', async () => {
    for (const pauseMs of [500, 1000, 2000, 4000, 8000, 8000]) {
      await pass(0);
      const opened = lines.length;
      line().break(unreachable());
      await pass(0);
      expect(following.state.value).toMatchObject({
        kind: 'lost',
        failure: { kind: 'offline' },
        retryAtMs: Date.now() + pauseMs,
      });
      await pass(pauseMs - 1);
      expect(lines).toHaveLength(opened);
      await pass(1);
      expect(lines).toHaveLength(opened + 1);
    }
    line().say('back');
    await pass(0);
    expect(following.state.value.kind).toBe('live');
    line().break(unreachable());
    await pass(500);
    expect(lines).toHaveLength(8);
  });

  it('is lost when it ends, as a stream of news has no end', async () => {
    await pass(0);
    line().end();
    await pass(0);
    expect(following.state.value).toMatchObject({ kind: 'lost', failure: { kind: 'offline' } });
  });

  it("says the server's reason, and tries all the same", async () => {
    await pass(0);
    line().break(new ConnectError('a key is needed', Code.Unauthenticated));
    await pass(0);
    expect(following.state.value).toMatchObject({
      kind: 'lost',
      failure: { kind: 'key', message: 'a key is needed' },
    });
    await pass(500);
    expect(lines).toHaveLength(2);
  });

  it.each([
    ['when asked', () => following.retryNow()],
    ['when the network is back', () => page.dispatchEvent(new Event('online'))],
  ])('is opened at once %s', async (_, ask) => {
    await pass(0);
    line().break(unreachable());
    await pass(10);
    ask();
    await pass(0);
    expect(lines).toHaveLength(2);
    // The pause that was cut short opens no third.
    await pass(60_000);
    expect(lines).toHaveLength(2);
  });

  it('is aborted and opened no more once it is stopped', async () => {
    await pass(0);
    following.stop();
    expect(signals[0]?.aborted).toBe(true);
    line().break(new DOMException('aborted', 'AbortError'));
    await pass(60_000);
    expect(lines).toHaveLength(1);
    page.dispatchEvent(new Event('online'));
    await pass(60_000);
    expect(lines).toHaveLength(1);
  });

  it('opens no other where it is stopped in a pause', async () => {
    await pass(0);
    line().break(unreachable());
    await pass(100);
    following.stop();
    await pass(60_000);
    expect(lines).toHaveLength(1);
  });
});
