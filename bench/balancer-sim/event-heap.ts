/** What happens in virtual time, in order. */
interface Event {
  readonly atMs: number;
  readonly order: number;
  run(): void;
}

/** A binary heap; events of the same time come in the order in which they were added. */
export class EventHeap {
  readonly #events: Event[] = [];
  #order = 0;

  add(atMs: number, run: () => void): void {
    const events = this.#events;
    events.push({ atMs, run, order: this.#order++ });
    let child = events.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#isBefore(child, parent)) break;
      this.#swap(child, parent);
      child = parent;
    }
  }

  take(): Event | undefined {
    const events = this.#events;
    const [first] = events;
    const last = events.pop();
    if (last === undefined || events.length === 0) return first;
    events[0] = last;
    for (let parent = 0; ; ) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < events.length && this.#isBefore(child, least)) least = child;
      }
      if (least === parent) return first;
      this.#swap(least, parent);
      parent = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [one, other] = [this.#events[a], this.#events[b]];
    if (one === undefined || other === undefined) return false;
    return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#events[a], this.#events[b]];
    if (one === undefined || other === undefined) return;
    this.#events[a] = other;
    this.#events[b] = one;
  }
}
