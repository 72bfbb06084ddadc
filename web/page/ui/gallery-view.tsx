import '../styles/library.css';
import { useEffect } from 'preact/hooks';
import { loadOutputs } from '../gallery.ts';
import { NO_FILTER } from '../gallery-filter.ts';
import { clearSelection, selectAll } from '../gallery-selection.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { GalleryFilters } from './gallery-filters.tsx';
import { EaselMark } from './icons.tsx';
import { PictureDialog } from './picture-dialog.tsx';
import { PictureGrid } from './picture-grid.tsx';
import { SelectionBar } from './selection-bar.tsx';

/** What went wrong with storage, folder or zip; shown on the stage as well, where pictures are made. */
export function GalleryProblemNote() {
  const problem = useApp().state.gallery.problem.value;
  return problem ? (
    <p class="problem" role="alert">
      {t.gallery.problems[problem]}
    </p>
  ) : null;
}

function Contents() {
  const { gallery } = useApp().state;
  if (!gallery.isLoaded.value) return <p class="quiet">{t.gallery.loading}</p>;
  if (gallery.all.value.length === 0) {
    if (gallery.areOutputsLoading.value) return <p class="quiet">{t.gallery.loading}</p>;
    return (
      <div class="canvas-empty">
        <EaselMark />
        <p class="empty-title">{t.gallery.emptyTitle}</p>
        <p>{t.gallery.emptyText}</p>
      </div>
    );
  }
  if (gallery.matching.value.length === 0) {
    return (
      <div class="ask">
        <p class="quiet">{t.gallery.noMatch}</p>
        <button
          type="button"
          onClick={() => {
            gallery.filter.value = NO_FILTER;
          }}
        >
          {t.gallery.showAll}
        </button>
      </div>
    );
  }
  return <PictureGrid pictures={gallery.matching.value} />;
}

/** Ctrl+A selects all that is shown and Escape none, outside of fields. */
function useSelectionKeys(): void {
  const { gallery } = useApp().state;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const isField = (event.target as Element).closest(
        'input:not([type=checkbox]), select, textarea, dialog',
      );
      if (isField) return;
      if (event.key === 'Escape') clearSelection(gallery.selection);
      if (event.key.toLowerCase() === 'a' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        selectAll(gallery.selection, gallery.matching);
      }
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [gallery]);
}

/** Every picture that this browser keeps, and every saved one of the bridge's output folder. */
export function GalleryView() {
  const { state, outputs } = useApp();
  const { gallery } = state;
  const unreadable = gallery.unreadable.value;
  useSelectionKeys();
  useEffect(() => {
    if (outputs) void loadOutputs(gallery, outputs);
  }, [gallery, outputs]);
  // Whoever leaves by the browser's Back comes back to the grid, not to a dialog.
  useEffect(
    () => () => {
      gallery.openId.value = null;
    },
    [gallery],
  );
  return (
    <main class="page page-wide" id="content">
      <div class="page-head">
        <h1>{t.gallery.title}</h1>
        <p class="quiet" aria-live="polite">
          {t.gallery.count(gallery.matching.value.length)}
          {unreadable > 0 && ` · ${t.gallery.unreadableRecords(unreadable)}`}
        </p>
        <input
          type="search"
          class="search"
          aria-label={t.gallery.search}
          placeholder={t.gallery.search}
          value={gallery.filter.value.query}
          onInput={(event) => {
            gallery.filter.value = { ...gallery.filter.value, query: event.currentTarget.value };
          }}
        />
      </div>
      {gallery.all.value.length > 0 && <GalleryFilters />}
      <SelectionBar />
      <GalleryProblemNote />
      <Contents />
      <PictureDialog />
    </main>
  );
}
