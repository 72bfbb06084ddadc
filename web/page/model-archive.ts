import { isAbortError, serializeError } from '../../protocol/errors.ts';
import type { CompiledInfo, ExportedModel } from '../shared/engine.ts';
import type { ActionContext } from './actions.ts';
import { readCompiled } from './compiled-models.ts';
import { t } from './strings/strings.ts';

type Context = Pick<ActionContext, 'state' | 'engine'>;

/** Where a file is written to that a person chose; not in every browser, nor in the type library. */
export type SavePicker = (options: { suggestedName: string }) => Promise<{
  createWritable(): Promise<WritableStream<Uint8Array>>;
}>;

/** The browser around an export; tests put their own in its place. */
export interface SaveBrowser {
  readonly pick: SavePicker | undefined;
  /** Hands a file to the browser's downloads. */
  download(exported: ExportedModel): void;
}

/** How long a download's address stays good: the browser reads from it as it writes. */
const ADDRESS_LIFE_MS = 10 * 60_000;

const saveBrowser = (): SaveBrowser => ({
  pick: (globalThis as { showSaveFilePicker?: SavePicker }).showSaveFilePicker?.bind(globalThis),
  download({ fileName, file }) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = fileName;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), ADDRESS_LIFE_MS);
  },
});

/**
 * Saves a compiled model as one file: streamed into the place that a person chooses, else handed to the
 * browser's downloads. The bytes come from the browser's storage a piece at a time either way.
 */
export async function exportCompiled(
  { state, engine }: Context,
  { key, name, precision }: CompiledInfo,
  { pick, download }: SaveBrowser = saveBrowser(),
): Promise<void> {
  const { busy, problem, notes } = state.compiled;
  if (busy.value !== null) return;
  problem.value = null;
  notes.value = [];
  try {
    // First of all: the browser lets a page ask for a place only just after a click.
    const place = await pick?.({ suggestedName: `${name}-${precision}.easel` });
    busy.value = t.compiled.exporting(name);
    const exported = await engine.exportCompiled(key);
    if (place) await exported.file.stream().pipeTo(await place.createWritable());
    else download(exported);
    notes.value = [t.compiled.exported(name)];
  } catch (error) {
    // The person closed the dialog.
    if (!isAbortError(error)) problem.value = serializeError(error);
  } finally {
    busy.value = null;
  }
}

/** Takes the compiled model out of a file and lists it. */
export async function importCompiled(context: Context, file: Blob): Promise<void> {
  const { state, engine } = context;
  const { busy, problem, notes } = state.compiled;
  if (busy.value !== null) return;
  problem.value = null;
  notes.value = [];
  busy.value = t.compiled.importing;
  try {
    const imported = await engine.importCompiled(file);
    notes.value = [t.compiled.imported(imported.name), ...imported.notes];
  } catch (error) {
    problem.value = serializeError(error);
  } finally {
    busy.value = null;
  }
  await readCompiled(context);
}
