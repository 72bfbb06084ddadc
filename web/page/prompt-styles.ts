import { batch, computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { z } from 'zod';
import { GENERATION_LIMITS } from '../../protocol/generation.ts';
import { applyNamedStyles, type PromptStyle } from '../../protocol/styles.ts';
import type { BridgeApi } from './bridge-api.ts';
import type { FormValues } from './form.ts';
import type { SettingsStorage } from './settings.ts';

const STORAGE_KEY = 'easel.styles';
const MAX_STYLES = 1000;

/** Saved prompts that are put around or behind those typed. */
export interface StylesState {
  /** Saved in this browser. */
  readonly own: Signal<readonly PromptStyle[]>;
  /** Of the bridge's `styles.csv`. */
  readonly shared: Signal<readonly PromptStyle[]>;
  /** Both; of equal names this browser's. */
  readonly all: ReadonlySignal<readonly PromptStyle[]>;
  /** Names of those that the next picture is made with, in order. */
  readonly chosen: Signal<readonly string[]>;
}

export function createStylesState(): StylesState {
  const own = signal<readonly PromptStyle[]>([]);
  const shared = signal<readonly PromptStyle[]>([]);
  const all = computed(() => {
    const byName = new Map([...shared.value, ...own.value].map((style) => [style.name, style]));
    return [...byName.values()];
  });
  return { own, shared, all, chosen: signal<readonly string[]>([]) };
}

const text = z.string().max(GENERATION_LIMITS.maxPromptCharacters).nullable();
const name = z.string().min(1).max(200);
const promptStyle = z.object({ name, prompt: text, negativePrompt: text });
const kept = z.object({
  own: z.array(promptStyle).max(MAX_STYLES).catch([]),
  chosen: z.array(name).max(MAX_STYLES).catch([]),
});

/** `GET /sdapi/v1/prompt-styles`. */
const promptStyleList = z.array(z.object({ name, prompt: text, negative_prompt: text }));

/** Reads what this browser has kept; what makes no sense is passed over. */
export function loadStyles(styles: StylesState, storage: SettingsStorage): void {
  try {
    const parsed = kept.safeParse(JSON.parse(storage?.getItem(STORAGE_KEY) ?? '{}'));
    if (!parsed.success) return;
    styles.own.value = parsed.data.own;
    styles.chosen.value = parsed.data.chosen;
  } catch {
    // Blocked storage or a broken text: the page goes on without.
  }
}

/** False where the browser refuses. */
export function saveStyles({ own, chosen }: StylesState, storage: SettingsStorage): boolean {
  try {
    storage?.setItem(STORAGE_KEY, JSON.stringify({ own: own.value, chosen: chosen.value }));
    return storage !== null;
  } catch {
    return false;
  }
}

/** Asks the bridge for its styles; without an answer those known stay. */
export async function fetchStyles(styles: StylesState, api: Pick<BridgeApi, 'get'>): Promise<void> {
  try {
    const listed = await api.get('sdapi/v1/prompt-styles', promptStyleList);
    styles.shared.value = listed.map(({ negative_prompt: negativePrompt, ...style }) => ({
      ...style,
      negativePrompt,
    }));
  } catch {
    // A bridge that is gone is told of elsewhere on the page.
  }
}

/** Saves prompts under a name, in the place of a style of this browser that has it. */
export function addStyle(styles: StylesState, style: PromptStyle): void {
  const others = styles.own.value.filter((one) => one.name !== style.name);
  styles.own.value = [...others, style];
}

/** Deletes a style of this browser; one of the bridge with the same name comes to light. */
export function removeStyle(styles: StylesState, removed: string): void {
  batch(() => {
    styles.own.value = styles.own.value.filter((style) => style.name !== removed);
    const isLeft = styles.all.value.some((style) => style.name === removed);
    if (!isLeft) styles.chosen.value = styles.chosen.value.filter((one) => one !== removed);
  });
}

export function toggleStyle({ chosen }: StylesState, toggled: string): void {
  chosen.value = chosen.value.includes(toggled)
    ? chosen.value.filter((one) => one !== toggled)
    : [...chosen.value, toggled];
}

/** The form with the chosen styles in its prompts; without any it is the form itself. */
export function withStyles(values: FormValues, { all, chosen }: StylesState): FormValues {
  return { ...values, ...applyNamedStyles(values, chosen.value, all.value) };
}
