import { packPictures, removePictures } from '../gallery.ts';
import { clearSelection, selectAll } from '../gallery-selection.ts';
import { saveFile } from '../save-file.ts';
import { t } from '../strings/strings.ts';
import { AskButton } from './ask-button.tsx';
import { useApp } from './context.ts';

function DeleteSelected() {
  const { state, galleryStore } = useApp();
  const { gallery } = state;
  const { ids } = gallery.selection;
  return (
    <AskButton
      label={t.gallery.remove}
      question={t.gallery.removeManyQuestion(ids.value.size)}
      keep={t.gallery.keep}
      onConfirm={() => void removePictures(gallery, galleryStore, [...ids.value])}
    />
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
