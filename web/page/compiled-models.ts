import { batch, type Signal, signal } from '@preact/signals';
import { serializeError } from '../../protocol/errors.ts';
import type { CompiledInfo, StorageInfo } from '../shared/engine.ts';
import type { ActionContext } from './actions.ts';
import type { Problem } from './state.ts';

/** What the Models view shows of the browser's storage. */
export interface CompiledState {
  /** Null until the engine has answered. */
  readonly models: Signal<readonly CompiledInfo[] | null>;
  readonly storage: Signal<StorageInfo | null>;
  /** Whether the browser promised not to delete it by itself; null where it does not say. */
  readonly isKept: Signal<boolean | null>;
  /** What is being exported or imported, as a sentence. */
  readonly busy: Signal<string | null>;
  /** What the last export or import had to say. */
  readonly notes: Signal<readonly string[]>;
  readonly problem: Signal<Problem | null>;
}

export function createCompiledState(): CompiledState {
  return {
    models: signal(null),
    storage: signal(null),
    isKept: signal(null),
    busy: signal(null),
    notes: signal([]),
    problem: signal(null),
  };
}

type Context = Pick<ActionContext, 'state' | 'engine'>;

/** The browser's promise to keep this page's storage; tests put their own in its place. */
export interface StorageKeeper {
  persisted(): Promise<boolean>;
  persist(): Promise<boolean>;
}

const browserKeeper = () => globalThis.navigator?.storage as StorageKeeper | undefined;

/** Reads what is compiled and how much room it takes. */
export async function readCompiled(
  { state, engine }: Context,
  keeper: StorageKeeper | undefined = browserKeeper(),
): Promise<void> {
  const { models, storage, isKept, problem } = state.compiled;
  try {
    const [found, use] = await Promise.all([engine.listCompiled(), engine.storageEstimate()]);
    const kept = (await keeper?.persisted?.()) ?? null;
    batch(() => {
      models.value = found;
      storage.value = use;
      isKept.value = kept;
    });
  } catch (error) {
    problem.value = serializeError(error);
  }
}

/** Deletes one compiled model, or with null all of them. */
export async function deleteCompiled(context: Context, key: string | null): Promise<void> {
  const { engine, state } = context;
  state.compiled.problem.value = null;
  try {
    await (key === null ? engine.deleteAllCompiled() : engine.deleteCompiled(key));
  } catch (error) {
    state.compiled.problem.value = serializeError(error);
  }
  await readCompiled(context);
}

/** Asks the browser to keep this page's storage; only on what a person did, as some browsers ask back. */
export async function keepStorage(
  { compiled }: Context['state'],
  keeper: StorageKeeper | undefined = browserKeeper(),
): Promise<void> {
  if (!keeper?.persist || compiled.isKept.value === true) return;
  compiled.isKept.value = await keeper.persist().catch(() => null);
}
