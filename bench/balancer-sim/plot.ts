/** A bar chart as SVG: for each scenario, how many times the clairvoyant figure each policy has. */

export interface Bar {
  readonly scenario: string;
  readonly policy: string;
  /** 1 is as good as knowing everything. */
  readonly ratio: number;
}

const colours: Readonly<Record<string, string>> = {
  'weighted round robin': '#b8b8c8',
  'two choices': '#8fa8c8',
  'two choices, peak EWMA': '#6a8fc0',
  'least connections': '#c8a060',
  'central queue': '#7aa870',
  imagemesh: '#c03a4b',
};
const left = 130;
const chartWidth = 600;
const barHeight = 9;
const gap = 14;
/** Ratios beyond are cut off. */
const mostRatio = 8;

/** Policies drawn, in this order. */
export const drawn: readonly string[] = Object.keys(colours);

export function barChart(title: string, bars: readonly Bar[]): string {
  const names = [...new Set(bars.map(({ scenario }) => scenario))];
  const groupHeight = drawn.length * barHeight + gap;
  const top = 58;
  const height = top + names.length * groupHeight + 20;
  const x = (ratio: number) =>
    left + (Math.log2(Math.min(mostRatio, ratio)) / Math.log2(mostRatio)) * chartWidth;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + chartWidth + 60} ${height}" font-family="sans-serif" font-size="11">`,
    `<title>${title}</title>`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    text(left, 18, title, 'font-size="14"'),
    ...drawn.map((policy, index) => {
      const at = left + (index % 6) * 124;
      return `<rect x="${at}" y="28" width="9" height="9" fill="${colours[policy]}"/>${text(at + 12, 37, policy, 'font-size="9"')}`;
    }),
    ...[1, 2, 4, 8].map(
      (ratio) =>
        `<line x1="${x(ratio)}" x2="${x(ratio)}" y1="${top - 8}" y2="${height - 16}" stroke="#ddd"/>${text(x(ratio), height - 4, `${ratio} ×`, 'text-anchor="middle"')}`,
    ),
  ];
  for (const [group, name] of names.entries()) {
    const y = top + group * groupHeight;
    parts.push(text(left - 6, y + (drawn.length * barHeight) / 2 + 4, name, 'text-anchor="end"'));
    for (const [index, policy] of drawn.entries()) {
      const ratio = bars.find((bar) => bar.scenario === name && bar.policy === policy)?.ratio ?? 1;
      const width = Math.max(1, x(Math.max(1, ratio)) - left);
      const label = text(left + width + 3, y + index * barHeight + 8, ratio.toFixed(2), 'font-size="8"');
      parts.push(
        `<rect x="${left}" y="${y + index * barHeight}" width="${width.toFixed(1)}" height="${barHeight - 1}" fill="${colours[policy]}"/>${label}`,
      );
    }
  }
  return `${parts.join('\n')}\n</svg>\n`;
}

function text(x: number, y: number, value: string, attributes: string): string {
  return `<text x="${x.toFixed(1)}" y="${y}" fill="#333" ${attributes}>${value}</text>`;
}
