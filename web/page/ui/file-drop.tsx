import { useEffect, useRef, useState } from 'preact/hooks';
import { firstFile } from '../init-picture.ts';

interface FileDropProps {
  readonly text: string;
  readonly button: string;
  readonly onFile: (file: File) => void;
}

/** True while a file is dragged over the window; drops and pastes anywhere go to `onFile`. */
function useFileIntake(onFile: (file: File) => void): boolean {
  const [isOver, setOver] = useState(false);
  const latest = useRef(onFile);
  latest.current = onFile;
  useEffect(() => {
    const take = (event: Event, data: DataTransfer | null) => {
      const file = firstFile(data);
      if (!file) return;
      event.preventDefault();
      latest.current(file);
    };
    const onDragOver = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes('Files')) setOver(true);
    };
    // Without a related element the pointer has left the window.
    const onDragLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const onDrop = (event: DragEvent) => {
      setOver(false);
      take(event, event.dataTransfer);
    };
    const onPaste = (event: ClipboardEvent) => take(event, event.clipboardData);
    addEventListener('dragover', onDragOver);
    addEventListener('dragleave', onDragLeave);
    addEventListener('drop', onDrop);
    addEventListener('paste', onPaste);
    return () => {
      removeEventListener('dragover', onDragOver);
      removeEventListener('dragleave', onDragLeave);
      removeEventListener('drop', onDrop);
      removeEventListener('paste', onPaste);
    };
  }, []);
  return isOver;
}

/** Takes a file that is dropped or pasted anywhere in the window, or chosen with the button. */
export function FileDrop({ text, button, onFile }: FileDropProps) {
  const input = useRef<HTMLInputElement>(null);
  const isOver = useFileIntake(onFile);
  return (
    <div class={isOver ? 'file-drop over' : 'file-drop'}>
      <span>{text}</span>
      <button type="button" class="chip" onClick={() => input.current?.click()}>
        {button}
      </button>
      <input
        ref={input}
        type="file"
        accept="image/png,image/jpeg,image/webp"
        hidden
        onChange={(event) => {
          const [file] = event.currentTarget.files ?? [];
          if (file) onFile(file);
          // Cleared, so that the same file can be chosen again.
          event.currentTarget.value = '';
        }}
      />
    </div>
  );
}
