import { type Signal, signal } from '@preact/signals';
import { serializeError } from '../../protocol/errors.ts';
import {
  OPTION_LIST_PATH,
  type OptionDescription,
  type OptionValues,
  optionList,
  optionValues,
} from '../../protocol/option-list.ts';
import type { BridgeApi } from './bridge-api.ts';
import type { Problem } from './state.ts';

const VALUES_PATH = 'sdapi/v1/options';

/** The bridge's options as the settings show them. */
export interface OptionsState {
  readonly list: Signal<readonly OptionDescription[]>;
  /** As the bridge has them now, whoever set them. */
  readonly values: Signal<OptionValues>;
  readonly query: Signal<string>;
  /** Options without effect and those that cannot be set are hidden until asked for. */
  readonly showsAll: Signal<boolean>;
  /** What went wrong last, by option; the empty key is for all of them. */
  readonly problems: Signal<Readonly<Record<string, Problem>>>;
}

export function createOptionsState(): OptionsState {
  return {
    list: signal<readonly OptionDescription[]>([]),
    values: signal<OptionValues>({}),
    query: signal(''),
    showsAll: signal(false),
    problems: signal<Readonly<Record<string, Problem>>>({}),
  };
}

function setProblem(state: OptionsState, key: string, problem: Problem | null): void {
  const { [key]: _before, ...others } = state.problems.value;
  state.problems.value = problem === null ? others : { ...others, [key]: problem };
}

/** Reads what other programs may have changed. */
export async function readOptions(state: OptionsState, api: BridgeApi): Promise<void> {
  try {
    const [{ options }, values] = await Promise.all([
      api.get(OPTION_LIST_PATH, optionList),
      api.get(VALUES_PATH, optionValues),
    ]);
    state.list.value = options;
    if (JSON.stringify(values) !== JSON.stringify(state.values.value)) state.values.value = values;
    setProblem(state, '', null);
  } catch (error) {
    setProblem(state, '', serializeError(error));
  }
}

/** Sets one option for every client; where the bridge refuses, the old value comes back with its reason. */
export async function setOption(
  state: OptionsState,
  api: BridgeApi,
  key: string,
  value: unknown,
): Promise<void> {
  const before = state.values.value;
  state.values.value = { ...before, [key]: value };
  try {
    await api.post(VALUES_PATH, { [key]: value });
    setProblem(state, key, null);
    await readOptions(state, api);
  } catch (error) {
    state.values.value = { ...state.values.value, [key]: before[key] };
    setProblem(state, key, serializeError(error));
  }
}

/** The value that a field's text means for an option; null where it is no number. */
export function valueOfText({ default: fallback }: OptionDescription, text: string): unknown {
  if (typeof fallback === 'number') {
    const number = Number(text);
    return text.trim() === '' || !Number.isFinite(number) ? null : number;
  }
  if (Array.isArray(fallback)) {
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }
  return text;
}

/** The options that a search finds by key or description; only those that do something, unless all are wanted. */
export function findOptions(
  list: readonly OptionDescription[],
  query: string,
  showsAll: boolean,
): readonly OptionDescription[] {
  const words = query
    .toLowerCase()
    .split(/[\s_]+/)
    .filter((word) => word !== '');
  return list.filter(({ key, about, status }) => {
    if (!showsAll && status !== 'works') return false;
    const text = `${key} ${about}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
