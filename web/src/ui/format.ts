/** Numbers for people. */

/** "1.2 MB": powers of ten, as file managers show them. */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let at = 0;
  for (; value >= 999.5 && at < units.length - 1; at++) value /= 1000;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

/** "340 ms", "2.4 s", "3 min". */
export function durationText(ms: number): string {
  if (ms === 0) return '0 ms';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
}

/** "−87 %", "+4 %". */
export function changeText(from: number, to: number): string {
  if (from <= 0) return '';
  const percent = Math.round((to / from - 1) * 100);
  return `${percent > 0 ? '+' : percent < 0 ? '−' : '±'}${Math.abs(percent)} %`;
}

/** "FORMAT_WEBP" → "WebP"; "GRAVITY_TOP_LEFT" → "Top left", given the values it is one of. */
export function choiceText(value: string, values: readonly string[]): string {
  const known = formats[value];
  if (known !== undefined) return known;
  const words = value.slice(commonPrefix(values).length).replaceAll('_', ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const formats: Readonly<Record<string, string>> = {
  FORMAT_JPEG: 'JPEG',
  FORMAT_PNG: 'PNG',
  FORMAT_WEBP: 'WebP',
  FORMAT_AVIF: 'AVIF',
  FORMAT_GIF: 'GIF',
  FORMAT_TIFF: 'TIFF',
  FORMAT_AUTO: 'Auto',
  COLOR_POLICY_SRGB: 'sRGB',
};

/** What all begin with, up to an underscore. */
function commonPrefix(values: readonly string[]): string {
  const [first = ''] = values;
  const parts = first.split('_');
  for (let count = parts.length - 1; count > 0; count--) {
    const prefix = `${parts.slice(0, count).join('_')}_`;
    if (values.every((value) => value.startsWith(prefix))) return prefix;
  }
  return '';
}

/** "gaussian_blur" → "Gaussian blur". */
export function nameText(name: string): string {
  const words = name.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** "12", "3.4", "12k". */
export function countText(value: number): string {
  if (value >= 10_000) return `${Math.round(value / 1000)}k`;
  return value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

/** "12 s ago". */
export function agoText(thenMs: number, nowMs: number): string {
  const ms = Math.max(0, nowMs - thenMs);
  return ms < 1500 ? 'just now' : `${ms < 60_000 ? `${Math.round(ms / 1000)} s` : durationText(ms)} ago`;
}

/** "14:03:07", here. */
export function clockText(ms: number): string {
  return new Date(ms).toLocaleTimeString('en-GB');
}
