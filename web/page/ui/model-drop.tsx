import { useEffect, useRef } from 'preact/hooks';
import { addModelFiles, chosenFiles, droppedFiles } from '../model-files.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { LockedFiles } from './locked-files.tsx';
import { ProblemNote } from './problem-note.tsx';
import { useFileDrag } from './use-file-drag.ts';

/** Takes models that are dropped anywhere in the window, or chosen as files or as a folder. */
export function ModelDrop() {
  const app = useApp();
  const { isReading, problem, added } = app.state.modelFiles;
  const isOver = useFileDrag((event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    void addModelFiles(app, droppedFiles(event.dataTransfer));
  });
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  useEffect(() => {
    // A property alone: the attribute is missing in the element's type.
    if (folder.current) folder.current.webkitdirectory = true;
  }, []);

  const take = (input: HTMLInputElement) => {
    const chosen = chosenFiles(input.files ?? []);
    void addModelFiles(app, async () => chosen);
    // Cleared, so that the same files can be chosen again.
    input.value = '';
  };
  return (
    <>
      <ProblemNote problem={problem} />
      <div class={isOver ? 'file-drop over' : 'file-drop'}>
        <span>{isReading.value ? t.modelFiles.reading : t.modelFiles.drop}</span>
        <button type="button" class="chip" onClick={() => files.current?.click()}>
          {t.modelFiles.files}
        </button>
        <button type="button" class="chip" onClick={() => folder.current?.click()}>
          {t.modelFiles.folder}
        </button>
        <input
          ref={files}
          type="file"
          multiple
          accept=".safetensors,.yaml"
          aria-label={t.modelFiles.files}
          hidden
          onChange={(event) => take(event.currentTarget)}
        />
        <input
          ref={folder}
          type="file"
          aria-label={t.modelFiles.folder}
          hidden
          onChange={(event) => take(event.currentTarget)}
        />
      </div>
      {added.value.length > 0 && (
        <p class="quiet" role="status">
          {t.modelFiles.added(
            added.value
              .map(({ kind, name }) => `${name} (${t.otherModels.kinds[kind]})`)
              .join(', '),
          )}
        </p>
      )}
      <LockedFiles />
    </>
  );
}
