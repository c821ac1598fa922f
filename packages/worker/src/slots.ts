/** How many calls run at once. There is no queue here: the balancers have it. */
export interface Slots {
  readonly total: number;
  readonly running: number;
  /** A slot's release, to be called once; undefined where none is free. */
  tryAcquire(): (() => void) | undefined;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
}

export function createSlots(total: number): Slots {
  let running = 0;
  let waiting: (() => void)[] = [];
  return {
    total,
    get running() {
      return running;
    },
    tryAcquire: () => {
      if (running >= total) return undefined;
      running += 1;
      let isHeld = true;
      return () => {
        if (!isHeld) return;
        isHeld = false;
        running -= 1;
        if (running > 0) return;
        for (const resolve of waiting) resolve();
        waiting = [];
      };
    },
    idle: async () => {
      if (running > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}
