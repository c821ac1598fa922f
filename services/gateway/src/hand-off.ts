/**
 * Turns pushing into pulling, one item at a time: `put` resolves when the reader has taken the item and asks for the
 * next. So a fast writer waits for a slow reader and nothing piles up.
 */
export interface HandOff<Item> {
  /** Resolves when the reader wants more; rejects if the reader has stopped. */
  put(item: Item): Promise<void>;
  /** The reader sees the end, or the error. */
  end(error?: unknown): void;
  /** For one reader. */
  readonly items: AsyncIterable<Item>;
}

export function createHandOff<Item>(): HandOff<Item> {
  let offered:
    | { readonly item: Item; readonly taken: () => void; readonly refused: (why: unknown) => void }
    | undefined;
  let isTaken = false;
  let end: { readonly error: unknown } | undefined;
  let isAbandoned = false;
  let wake: (() => void) | undefined;
  const stopped = () => new Error('the reader has stopped');

  async function next(): Promise<IteratorResult<Item, undefined>> {
    if (isTaken) offered?.taken();
    if (isTaken) offered = undefined;
    isTaken = false;
    while (offered === undefined) {
      if (end?.error !== undefined) throw end.error;
      if (end !== undefined) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    isTaken = true;
    return { done: false, value: offered.item };
  }

  return {
    put: (item) =>
      new Promise<void>((taken, refused) => {
        if (isAbandoned) {
          refused(stopped());
          return;
        }
        offered = { item, taken, refused };
        wake?.();
      }),
    end(error) {
      end ??= { error };
      wake?.();
    },
    items: {
      [Symbol.asyncIterator]: () => ({
        next,
        async return() {
          isAbandoned = true;
          if (offered !== undefined) offered.refused(stopped());
          offered = undefined;
          return { done: true, value: undefined };
        },
      }),
    },
  };
}
