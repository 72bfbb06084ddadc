import { useState } from 'preact/hooks';
import { packPictures, removePictures } from '../gallery.ts';
import { clearSelection, selectAll } from '../gallery-selection.ts';
import { saveFile } from '../save-file.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

function DeleteSelected() {
  const { state, galleryStore } = useApp();
  const { gallery } = state;
  const [isAsking, setAsking] = useState(false);
  const count = gallery.selection.ids.value.size;
  if (!isAsking) {
    return (
      <button type="button" onClick={() => setAsking(true)}>
        {t.gallery.remove}
      </button>
    );
  }
  return (
    <div class="ask">
      <span role="status">{t.gallery.removeManyQuestion(count)}</span>
      <button
        type="button"
        class="danger"
        onClick={() => {
          setAsking(false);
          void removePictures(gallery, galleryStore, [...gallery.selection.ids.value]);
        }}
      >
        {t.gallery.remove}
      </button>
      <button type="button" onClick={() => setAsking(false)}>
        {t.gallery.keep}
      </button>
    </div>
  );
}

/** What can be done with all selected pictures at once. */
export function SelectionBar() {
  const { state, galleryStore } = useApp();
  const { gallery } = state;
  const { selection, packing } = gallery;
  const count = selection.ids.value.size;
  if (gallery.all.value.length === 0) return null;
  const pack = () => {
    const chosen = gallery.all.value.filter(({ id }) => selection.ids.value.has(id));
    void packPictures(gallery, galleryStore, chosen, saveFile);
  };
  const progress = packing.value;
  return (
    <div class={count > 0 ? 'selection-bar active' : 'selection-bar'}>
      <p class="quiet" role="status">
        {progress ? t.gallery.packing(progress.done, progress.total) : t.gallery.selected(count)}
      </p>
      <button type="button" onClick={() => selectAll(selection, gallery.matching)}>
        {t.gallery.selectAll}
      </button>
      {count > 0 && (
        <>
          <button type="button" onClick={() => clearSelection(selection)}>
            {t.gallery.selectNone}
          </button>
          <button type="button" disabled={progress !== null} onClick={pack}>
            {t.gallery.zip}
          </button>
          <DeleteSelected />
        </>
      )}
    </div>
  );
}
