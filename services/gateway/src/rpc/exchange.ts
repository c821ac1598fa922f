/** Hands values from one side to the other, one at a time: `put` settles once the value is taken. */
export interface Exchange<Value> {
  /** Resolves when the value is taken, or nobody takes values any more. */
  put(value: Value): Promise<void>;
  /** No more values; with an error, the taking side throws it. */
  end(error?: unknown): void;
  /** What was put, until the end. */
  items(): AsyncIterable<Value>;
  /** Nobody takes values any more. */
  abandon(): void;
}

export function createExchange<Value>(): Exchange<Value> {
  let offered: { readonly value: Value; readonly taken: () => void } | undefined;
  let ended: { readonly error: unknown } | undefined;
  let isAbandoned = false;
  let wake: () => void = () => {};

  return {
    put(value) {
      if (isAbandoned) return Promise.resolve();
      return new Promise((resolve) => {
        offered = { value, taken: resolve };
        wake();
      });
    },
    end(error) {
      ended = { error };
      wake();
    },
    async *items() {
      for (;;) {
        if (offered !== undefined) {
          const { value, taken } = offered;
          offered = undefined;
          try {
            yield value;
          } finally {
            // Also when nobody reads on.
            taken();
          }
        } else if (ended !== undefined) {
          if (ended.error !== undefined) throw ended.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
    abandon() {
      isAbandoned = true;
      offered?.taken();
      offered = undefined;
    },
  };
}
