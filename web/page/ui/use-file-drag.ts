import { useEffect, useRef, useState } from 'preact/hooks';

/** Marks an element that takes files for itself: what is dropped or pasted in it is not the window's. */
export const OWN_FILES = 'data-own-files';

/** Whether an event is in such an element. */
export function isElsewhere({ target }: Event): boolean {
  return target instanceof Element && target.closest(`[${OWN_FILES}]`) !== null;
}

/** True while files are dragged over the window; every drop on it goes to `onDrop`. */
export function useFileDrag(onDrop: (event: DragEvent) => void): boolean {
  const [isOver, setOver] = useState(false);
  const latest = useRef(onDrop);
  latest.current = onDrop;
  useEffect(() => {
    const onDragOver = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes('Files')) setOver(!isElsewhere(event));
    };
    // Without a related element the pointer has left the window.
    const onDragLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      setOver(false);
      if (!isElsewhere(event)) latest.current(event);
    };
    addEventListener('dragover', onDragOver);
    addEventListener('dragleave', onDragLeave);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', onDragOver);
      removeEventListener('dragleave', onDragLeave);
      removeEventListener('drop', drop);
    };
  }, []);
  return isOver;
}
