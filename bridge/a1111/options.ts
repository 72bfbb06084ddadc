import type { BridgeServices } from '../services.ts';
import {
  type CheckpointEntry,
  currentCheckpoint,
  findCheckpoint,
  listCheckpoints,
} from './checkpoints.ts';
import { ApiError } from './errors.ts';
import { readBoolean, readNumber, readText } from './lenient.ts';
import { OPTIONS, type OptionEntry, optionEntry } from './option-table.ts';

/** Every known option with its value: the defaults, what was set, and what is worked out on reading. */
export type Options = Readonly<Record<string, unknown>>;

/** A number among the options; `fallback` for what is none. */
export function optionNumber(options: Options, key: string, fallback: number): number {
  const value = options[key];
  return typeof value === 'number' ? value : fallback;
}

export interface OptionsView {
  readonly options: Options;
  readonly checkpoints: readonly CheckpointEntry[];
  readonly current: CheckpointEntry;
}

/** Options as they stand now; `defaults` are the command line's. `sd_model_checkpoint` is one of the titles that sd-models lists, letter for letter. */
export async function readOptions(
  services: BridgeServices,
  defaults: Readonly<Record<string, unknown>> = {},
): Promise<OptionsView> {
  const checkpoints = await listCheckpoints(services.models);
  const current = currentCheckpoint(checkpoints, services);
  const stored = services.settings.get();
  const options: Record<string, unknown> = {};
  for (const entry of OPTIONS) {
    const isFolder = entry.key.startsWith('outdir_');
    const fallback = isFolder ? services.outputs.folder : (defaults[entry.key] ?? entry.default);
    options[entry.key] = entry.status === 'read only' ? fallback : (stored[entry.key] ?? fallback);
  }
  options.sd_model_checkpoint = current.title;
  options.sd_checkpoint_hash = current.sha256 ?? '';
  return { options, checkpoints, current };
}

function refusal(key: string, msg: string, type: string): ApiError {
  return new ApiError(422, [{ loc: ['body', key], msg, type }]);
}

function readLike(entry: OptionEntry, value: unknown): unknown {
  switch (typeof entry.default) {
    case 'boolean':
      return readBoolean(value);
    case 'number':
      return readNumber(value);
    case 'string':
      return readText(value);
    default:
      return Array.isArray(value) && value.every((item) => typeof item === 'string')
        ? value.slice(0, 100)
        : undefined;
  }
}

/** A value for one option, in the option's type and range; throws a 422 naming the key and what it takes. */
function coerceOption(entry: OptionEntry, value: unknown): unknown {
  const read = readLike(entry, value);
  const { key, choices, min, max } = entry;
  if (read === undefined) {
    const kind = Array.isArray(entry.default) ? 'list of text' : typeof entry.default;
    throw refusal(key, `value is not a valid ${kind}`, 'type_error');
  }
  if (typeof read === 'string' && read.length > 4096) {
    throw refusal(key, 'ensure this value has at most 4096 characters', 'value_error');
  }
  if (choices && !choices.includes(String(read))) {
    const permitted = choices.join(', ');
    throw refusal(key, `unexpected value; permitted: ${permitted}`, 'value_error.const');
  }
  if (typeof read === 'number' && (read < (min ?? -1e9) || read > (max ?? 1e9))) {
    const range = `${min ?? -1e9} to ${max ?? 1e9}`;
    throw refusal(key, `ensure this value is from ${range}`, 'value_error');
  }
  return read;
}

/**
 * The changes that a posted options object asks for. Unknown and read-only keys, nulls and values that are in force
 * already are left out, so that a whole options object can be posted back. A checkpoint comes out as its name.
 */
export function optionChanges(
  posted: Readonly<Record<string, unknown>>,
  { options, checkpoints, current }: OptionsView,
): Record<string, unknown> {
  const changes: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(posted)) {
    const entry = optionEntry(key);
    if (!entry || entry.status === 'read only' || value === null) continue;
    if (JSON.stringify(value) === JSON.stringify(options[key])) continue;
    if (key === 'sd_model_checkpoint') {
      const wanted = readText(value)?.trim() ?? '';
      if (wanted === '' || wanted === 'None') continue;
      const found = findCheckpoint(checkpoints, wanted);
      if (!found) throw new ApiError(422, `model '${wanted.slice(0, 200)}' not found`);
      if (found.name !== current.name) changes[key] = found.name;
      continue;
    }
    const coerced = coerceOption(entry, value);
    if (JSON.stringify(coerced) !== JSON.stringify(options[key])) changes[key] = coerced;
  }
  return changes;
}

/** What a request's `override_settings` come to: options with the known keys replaced, and the checkpoint meant. */
export interface Overridden {
  readonly options: Options;
  /** Name of the checkpoint that the request or the options choose; null is the one in use. */
  readonly checkpoint: string | null;
  /** The overrides as options could be set to them, for requests that ask to keep them. */
  readonly changes: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

/** Options that may be overridden but have no effect, where a value other than the default deserves a word. */
function inertNote(entry: OptionEntry, value: unknown): string | null {
  if (entry.status !== 'no effect') return null;
  const isDefault = String(value).toLowerCase() === String(entry.default).toLowerCase();
  return isDefault ? null : `The setting ${entry.key} had no effect: ${entry.about}.`;
}

/**
 * Applies `override_settings`. Unknown keys are ignored (A1111 fails on them); an empty or unknown checkpoint keeps
 * the current one; a value of the wrong type is ignored with a note.
 */
export function applyOverrides(
  overrides: Readonly<Record<string, unknown>>,
  view: OptionsView,
  stored: Readonly<Record<string, unknown>>,
): Overridden {
  const options: Record<string, unknown> = { ...view.options };
  const changes: Record<string, unknown> = {};
  const notes: string[] = [];
  let checkpoint = stored.sd_model_checkpoint ? view.current.name : null;
  for (const [key, value] of Object.entries(overrides)) {
    const entry = optionEntry(key);
    if (!entry || entry.status === 'read only' || value === null) continue;
    if (key === 'sd_model_checkpoint') {
      const wanted = readText(value)?.trim() ?? '';
      const found = findCheckpoint(view.checkpoints, wanted);
      if (found) {
        checkpoint = found.name;
        changes[key] = found.name;
      } else if (wanted !== '' && wanted !== 'None') {
        const name = wanted.slice(0, 200);
        notes.push(`There is no checkpoint "${name}"; ${view.current.title} was used.`);
      }
      continue;
    }
    try {
      const coerced = coerceOption(entry, value);
      options[key] = coerced;
      changes[key] = coerced;
      const note = inertNote(entry, coerced);
      if (note) notes.push(note);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      notes.push(`The setting ${key} was ignored: ${error.message}.`);
    }
  }
  return { options, checkpoint, changes, notes };
}
