import { serializeError } from '../../protocol/errors.ts';
import type { AddedModel, LocalFile } from '../shared/engine.ts';
import { type ActionContext, chooseCheckpoint } from './actions.ts';
import { keepStorage } from './compiled-models.ts';

type Context = Pick<ActionContext, 'state' | 'engine'>;

/** What may matter to a model; pickled files too, so that they can be refused by name. */
const WANTED = /\.(safetensors|json|txt|ya?ml|onnx|onnx[._]data(_\d+)?|data|pb|ckpt|pt|pth|bin)$/i;
/** Enough for any model; a whole home folder dropped by mistake ends here. */
const MAX_FILES = 2_000;
const MAX_DEPTH = 6;

/**
 * Adds files as the models they are, and loads the first checkpoint among them, so that it is compiled
 * while its file is at hand.
 */
export async function addModelFiles(
  context: ActionContext,
  read: () => Promise<readonly LocalFile[]>,
): Promise<void> {
  const { state, engine } = context;
  const { modelFiles } = state;
  const { isReading, problem } = modelFiles;
  if (isReading.value) return;
  problem.value = null;
  modelFiles.added.value = [];
  isReading.value = true;
  try {
    void keepStorage(state);
    const added = await engine.addFiles(await read());
    isReading.value = false;
    modelFiles.added.value = added;
    const first = added.find(({ kind }) => kind === 'checkpoint');
    if (first) await chooseCheckpoint(context, first.name);
  } catch (error) {
    problem.value = serializeError(error);
  } finally {
    isReading.value = false;
  }
}

/** Takes an added model off its list. */
export async function forgetModelFiles(
  { state, engine }: ActionContext,
  { name, kind }: AddedModel,
): Promise<void> {
  state.modelFiles.problem.value = null;
  try {
    await engine.forgetFiles(name, kind);
  } catch (error) {
    state.modelFiles.problem.value = serializeError(error);
  }
}

/** Finds out whose files wait for a permission, as after a reload. */
export async function readLockedFiles({ state, engine }: Context): Promise<void> {
  try {
    state.modelFiles.locked.value = await engine.lockedFiles();
  } catch (error) {
    state.modelFiles.problem.value = serializeError(error);
  }
}

/** Not in every browser, and not in the type library. */
interface AskingHandle {
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>;
}

/** Asks the browser to let files of an earlier visit be read; only on what a person did. */
export async function allowFilesAgain(context: Context): Promise<void> {
  const { locked, problem } = context.state.modelFiles;
  problem.value = null;
  try {
    for (const handle of locked.value.flatMap(({ handles }) => handles)) {
      // One that is refused stays in the list; the others are of use without it.
      await (handle as AskingHandle).requestPermission?.({ mode: 'read' });
    }
    await context.engine.refreshModels();
  } catch (error) {
    problem.value = serializeError(error);
  }
  await readLockedFiles(context);
}

/** Files of a file or folder input. */
export function chosenFiles(files: Iterable<File>): LocalFile[] {
  return [...files]
    .filter(({ name }) => WANTED.test(name))
    .slice(0, MAX_FILES)
    .map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** A dropped thing: a handle where the browser has those, else an entry. */
type Dropped = Promise<FileSystemHandle | null> | FileSystemEntry | null;

/** Not in every browser, and not in the type library. */
interface HandleItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

/**
 * Everything below what was dropped that may belong to a model. Must be called while the drop event is
 * handled: its data is gone afterwards.
 */
export function droppedFiles(data: DataTransfer): () => Promise<LocalFile[]> {
  const dropped: Dropped[] = [...data.items]
    .filter(({ kind }) => kind === 'file')
    .map((item) => {
      const withHandle: HandleItem = item as HandleItem;
      return withHandle.getAsFileSystemHandle?.() ?? item.webkitGetAsEntry();
    });
  return async () => {
    const found: LocalFile[] = [];
    for (const each of dropped) {
      const thing = await each;
      if (!thing) continue;
      if ('kind' in thing) await walkHandle(thing, '', found);
      else await walkEntry(thing, '', found);
    }
    return found;
  };
}

function isWanted(name: string, path: string, found: readonly LocalFile[]): boolean {
  return WANTED.test(name) && found.length < MAX_FILES && path.split('/').length <= MAX_DEPTH;
}

async function walkHandle(handle: FileSystemHandle, above: string, found: LocalFile[]) {
  const path = `${above}${handle.name}`;
  if (handle.kind === 'file') {
    const fileHandle = handle as FileSystemFileHandle;
    if (isWanted(handle.name, path, found)) {
      found.push({ path, file: await fileHandle.getFile(), handle: fileHandle });
    }
  } else if (path.split('/').length < MAX_DEPTH) {
    for await (const child of (handle as FileSystemDirectoryHandle).values()) {
      await walkHandle(child, `${path}/`, found);
    }
  }
}

async function walkEntry(entry: FileSystemEntry, above: string, found: LocalFile[]) {
  const path = `${above}${entry.name}`;
  if (entry.isFile) {
    if (!isWanted(entry.name, path, found)) return;
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    found.push({ path, file });
  } else if (path.split('/').length < MAX_DEPTH) {
    for (const child of await childrenOf(entry as FileSystemDirectoryEntry)) {
      await walkEntry(child, `${path}/`, found);
    }
  }
}

/** A reader gives at most a hundred entries at a time, and none when all were given. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const children: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return children;
    children.push(...some);
  }
}
