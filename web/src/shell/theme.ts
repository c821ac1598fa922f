/** Light or dark: as the system says, or as chosen here. */
import { effect, type Signal, signal } from '@preact/signals';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const storageName = 'imagemesh.theme';

export function createTheme(root: HTMLElement, storage: Storage): Signal<Theme> {
  const stored = storage.getItem(storageName);
  const theme = signal<Theme>(THEMES.find((known) => known === stored) ?? 'system');
  effect(() => {
    if (theme.value === 'system') {
      root.removeAttribute('data-theme');
      storage.removeItem(storageName);
    } else {
      root.setAttribute('data-theme', theme.value);
      storage.setItem(storageName, theme.value);
    }
  });
  return theme;
}
