/** The median of some figures; NaN of none. */
export function median(figures: readonly number[]): number {
  return percentile(figures, 50);
}

/** The p-th percentile (nearest rank) of some figures; NaN of none. */
export function percentile(figures: readonly number[], p: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  const rank = Math.min(sorted.length, Math.max(1, Math.ceil((p / 100) * sorted.length)));
  return sorted[rank - 1] ?? Number.NaN;
}
