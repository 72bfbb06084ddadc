import { useEffect, useRef } from 'preact/hooks';
import { firstFile } from '../init-picture.ts';
import { isElsewhere, useFileDrag } from './use-file-drag.ts';

interface FileDropProps {
  readonly text: string;
  readonly button: string;
  readonly onFile: (file: File) => void;
}

/** True while a file is dragged over the window; drops and pastes anywhere go to `onFile`. */
function useFileIntake(onFile: (file: File) => void): boolean {
  const take = (event: Event, data: DataTransfer | null) => {
    const file = firstFile(data);
    if (!file) return;
    event.preventDefault();
    onFile(file);
  };
  const latest = useRef(take);
  latest.current = take;
  useEffect(() => {
    const onPaste = (event: ClipboardEvent) => {
      if (!isElsewhere(event)) latest.current(event, event.clipboardData);
    };
    addEventListener('paste', onPaste);
    return () => removeEventListener('paste', onPaste);
  }, []);
  return useFileDrag((event) => take(event, event.dataTransfer));
}

/** The words, the button and the dialog behind it. */
export function FileChooser({ text, button, onFile, isOver }: FileDropProps & { isOver: boolean }) {
  const input = useRef<HTMLInputElement>(null);
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

/** Takes a file that is dropped or pasted anywhere in the window, or chosen with the button. */
export function FileDrop(props: FileDropProps) {
  return <FileChooser {...props} isOver={useFileIntake(props.onFile)} />;
}
