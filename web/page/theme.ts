import type { Theme } from './settings.ts';

/** Tells the style sheet which theme to use; `system` leaves it to the browser. */
export function applyTheme(theme: Theme, root: HTMLElement = document.documentElement): void {
  if (theme === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme;
}
