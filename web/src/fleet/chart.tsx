/** A chart of the last minutes. The one door to uPlot. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Track } from './history.ts';

export interface Line {
  readonly label: string;
  readonly values: Track;
  /** A custom property of the style sheet. */
  readonly color: string;
}

interface ChartProps {
  readonly title: string;
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Changes when the values have. */
  readonly version: number;
  /** Width of the window shown, in seconds. */
  readonly spanSeconds: number;
}

export function Chart({ title, times, lines, format, version, spanSeconds }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const labels = lines.map(({ label }) => label).join('\n');

  // A chart is made anew for other lines, not for other values.
  useEffect(() => {
    const target = box.current;
    if (target === null) return;
    const made = new uPlot(
      optionsOf(target, lines, format, spanSeconds),
      [[], ...lines.map(() => [])],
      target,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize(sizeOf(target)));
    observer.observe(target);
    const unwatch = watchTheme(() => made.redraw(false, true));
    return () => {
      unwatch();
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [labels, spanSeconds]);

  // The tracks are the same arrays, grown.
  useEffect(() => {
    const now = times.at(-1) ?? 0;
    plot.current?.setData([times.map((time) => time - now), ...lines.map(({ values }) => values)]);
  }, [version, labels, spanSeconds]);

  const now = lines.flatMap(({ label, values }) => {
    const last = values.at(-1);
    return last === null || last === undefined ? [] : [`${label} ${format(last)}`];
  });
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div
        ref={box}
        class="plot"
        role="img"
        aria-label={`${title}, now: ${now.join(', ') || 'nothing yet'}`}
      />
    </figure>
  );
}

function optionsOf(
  target: HTMLElement,
  lines: readonly Line[],
  format: (value: number) => string,
  spanSeconds: number,
): uPlot.Options {
  const css = (name: string) => getComputedStyle(target).getPropertyValue(name).trim();
  const textPx = Number.parseFloat(css('--small')) || 12;
  const axis = {
    stroke: () => css('--soft'),
    grid: { stroke: () => css('--line'), width: 1 },
    ticks: { show: false },
    font: `${textPx - 1}px system-ui, sans-serif`,
  };
  return {
    ...sizeOf(target),
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { points: { size: 5 }, y: false },
    scales: {
      x: { time: false, range: () => [-spanSeconds, 0] },
      y: { range: (_plot, _min, max) => [0, Math.max(max ?? 0, 1) * 1.1] },
    },
    axes: [
      { ...axis, size: 2 * textPx, incrs: [10, 30, 60], values: (_self, splits) => splits.map(agoText) },
      { ...axis, size: 4.5 * textPx, values: (_self, splits) => splits.map(format) },
    ],
    series: [
      {},
      ...lines.map(({ label, color }) => ({
        label,
        stroke: () => css(color),
        width: 1.5,
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}

/** Colours are drawn, and so must be again with another theme: the system's, or the one chosen here. */
function watchTheme(onChange: () => void): () => void {
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  const chosen = new MutationObserver(onChange);
  system.addEventListener('change', onChange);
  chosen.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  return () => {
    system.removeEventListener('change', onChange);
    chosen.disconnect();
  };
}

/** The style sheet gives it. */
function sizeOf({ clientWidth, clientHeight }: HTMLElement): { width: number; height: number } {
  return { width: Math.max(100, clientWidth), height: Math.max(60, clientHeight) };
}

/** Seconds from now, negative. */
function agoText(at: number): string {
  if (at === 0) return 'now';
  return at % 60 === 0 ? `−${-at / 60} min` : `−${-at} s`;
}
