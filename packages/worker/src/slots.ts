/** How many calls run at once. There is no queue here: the balancers have it. */
export interface Slots {
  readonly total: number;
  readonly running: number;
  /** Those that run for others than `owner`. */
  runningForOthers(owner: string): number;
  /** A slot's release, to be called once; undefined where none is free. */
  tryAcquire(owner: string): (() => void) | undefined;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
}

export function createSlots(total: number): Slots {
  let running = 0;
  const runningFor = new Map<string, number>();
  const count = (owner: string, change: number) => {
    running += change;
    const left = (runningFor.get(owner) ?? 0) + change;
    if (left === 0) runningFor.delete(owner);
    else runningFor.set(owner, left);
  };
  let waiting: (() => void)[] = [];
  return {
    total,
    get running() {
      return running;
    },
    runningForOthers: (owner) => running - (runningFor.get(owner) ?? 0),
    tryAcquire: (owner) => {
      if (running >= total) return undefined;
      count(owner, 1);
      let isHeld = true;
      return () => {
        if (!isHeld) return;
        isHeld = false;
        count(owner, -1);
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
