import { THEMES, type Theme } from '../settings.ts';
import { VIEWS } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { EaselMark, HalfIcon, MoonIcon, SunIcon } from './icons.tsx';

const THEME_ICONS = { system: HalfIcon, light: SunIcon, dark: MoonIcon } as const;

function ThemeButton() {
  const { state } = useApp();
  const theme = state.theme.value;
  const ThemeIcon = THEME_ICONS[theme];
  const next: Theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system';
  return (
    <button
      type="button"
      class="icon-button"
      title={t.theme[theme]}
      onClick={() => {
        state.theme.value = next;
      }}
    >
      <ThemeIcon />
      <span class="visually-hidden">{t.theme[theme]}</span>
    </button>
  );
}

/** Name, views and theme. */
export function Header() {
  const { state } = useApp();
  return (
    <header class="header">
      <button type="button" class="skip-link" onClick={skipToContent}>
        {t.skipToContent}
      </button>
      <a class="wordmark" href="#create">
        <EaselMark />
        {t.appName}
      </a>
      <nav aria-label={t.nav.label}>
        {VIEWS.map((view) => (
          <a
            key={view}
            href={`#${view}`}
            aria-current={state.view.value === view ? 'page' : undefined}
          >
            {t.nav[view]}
          </a>
        ))}
      </nav>
      <ThemeButton />
    </header>
  );
}

/** A button, not a link: the address's fragment names the view. */
function skipToContent(): void {
  const target = document.querySelector<HTMLElement>('#content :is(textarea, input, button, a)');
  target?.focus();
}
