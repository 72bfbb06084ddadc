import { z } from 'zod';
import { FORM_DEFAULTS, formValues } from './form.ts';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

/** What survives a reload. Every field falls back alone: one bad value never costs the others. */
export const settings = z.object({
  form: formValues.catch(FORM_DEFAULTS),
  theme: z.enum(THEMES).catch('system'),
  showsPreview: z.boolean().catch(true),
  /** On another machine than the bridge's: this tab is an engine of the bridge too. */
  lendsDevice: z.boolean().catch(false),
});
export type Settings = z.infer<typeof settings>;

export const DEFAULT_SETTINGS: Settings = settings.parse({});

const STORAGE_KEY = 'easel.settings';

/** The part of `Storage` that is used; null where the browser refuses storage. */
export type SettingsStorage = Pick<Storage, 'getItem' | 'setItem'> | null;

/** The page's storage, or null where cookies and site data are blocked. */
export function browserStorage(): SettingsStorage {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

export function parseSettings(text: string | null): Settings {
  if (text === null) return DEFAULT_SETTINGS;
  try {
    const result = settings.safeParse(JSON.parse(text));
    return result.success ? result.data : DEFAULT_SETTINGS;
  } catch {
    return DEFAULT_SETTINGS;
  }
}

export function loadSettings(storage: SettingsStorage = browserStorage()): Settings {
  try {
    return parseSettings(storage?.getItem(STORAGE_KEY) ?? null);
  } catch {
    return DEFAULT_SETTINGS;
  }
}

/** Writes all settings; false where the browser keeps nothing (blocked or full). */
export function saveSettings(
  value: Settings,
  storage: SettingsStorage = browserStorage(),
): boolean {
  try {
    storage?.setItem(STORAGE_KEY, JSON.stringify(value));
    return storage !== null;
  } catch {
    return false;
  }
}
