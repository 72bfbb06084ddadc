import { useEffect, useRef, useState } from 'preact/hooks';
import { addModelFiles, chosenFiles, droppedFiles } from '../model-files.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { ProblemNote } from './problem-note.tsx';

/** Takes checkpoints that are dropped anywhere in the window, or chosen as files or as a folder. */
export function ModelDrop() {
  const app = useApp();
  const { isReading, problem } = app.state.modelFiles;
  const [isOver, setOver] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const onDragOver = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes('Files')) setOver(true);
    };
    // Without a related element the pointer has left the window.
    const onDragLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const onDrop = (event: DragEvent) => {
      setOver(false);
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      void addModelFiles(app, droppedFiles(event.dataTransfer));
    };
    addEventListener('dragover', onDragOver);
    addEventListener('dragleave', onDragLeave);
    addEventListener('drop', onDrop);
    return () => {
      removeEventListener('dragover', onDragOver);
      removeEventListener('dragleave', onDragLeave);
      removeEventListener('drop', onDrop);
    };
  }, [app]);

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
    </>
  );
}
