import { useState } from 'preact/hooks';
import { removePictures } from '../gallery.ts';
import type { PictureInfo } from '../picture.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

/** The focus goes where a careless Enter does no harm. */
function focusFirst(element: HTMLButtonElement | null): void {
  element?.focus();
}

/** Deletes a picture of the gallery after asking once. */
export function DeleteButton({ picture }: { picture: PictureInfo }) {
  const { state, galleryStore } = useApp();
  const [isAsking, setAsking] = useState(false);
  if (!isAsking) {
    return (
      <button type="button" onClick={() => setAsking(true)}>
        {t.gallery.remove}
      </button>
    );
  }
  return (
    <div class="ask">
      <span role="status">{t.gallery.removeQuestion}</span>
      <button
        type="button"
        class="danger"
        onClick={() => void removePictures(state.gallery, galleryStore, [picture.id])}
      >
        {t.gallery.remove}
      </button>
      <button ref={focusFirst} type="button" onClick={() => setAsking(false)}>
        {t.gallery.keep}
      </button>
    </div>
  );
}
