/** Group commit: what many callers need at once is done once for all of them. */

interface Run {
  readonly running: Promise<void>;
  /** For those that came since it began. */
  next?: Promise<void>;
}

/**
 * Runs the action for the key, after the call, at least once before the call's promise settles. Calls that come while it
 * runs share the next run, and its error.
 */
export function createGroupRuns(action: (key: string) => Promise<void>): (key: string) => Promise<void> {
  const runs = new Map<string, Run>();

  function begin(key: string): Promise<void> {
    const run: Run = { running: action(key) };
    runs.set(key, run);
    const end = () => {
      if (run.next === undefined) runs.delete(key);
    };
    run.running.then(end, end);
    return run.running;
  }

  return (key) => {
    const run = runs.get(key);
    if (run === undefined) return begin(key);
    run.next ??= run.running.catch(() => {}).then(() => begin(key));
    return run.next;
  };
}
