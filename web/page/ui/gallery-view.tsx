import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { EaselMark } from './icons.tsx';
import { PictureDialog } from './picture-dialog.tsx';
import { PictureGrid } from './picture-grid.tsx';

const PROBLEM_TEXTS = {
  unreadable: t.gallery.unreadable,
  'not-kept': t.gallery.notKept,
  'not-removed': t.gallery.notRemoved,
} as const;

/** What went wrong with the browser's storage; shown on the stage as well, where pictures are made. */
export function GalleryProblemNote() {
  const problem = useApp().state.gallery.problem.value;
  return problem ? (
    <p class="problem" role="alert">
      {PROBLEM_TEXTS[problem]}
    </p>
  ) : null;
}

function Contents() {
  const { gallery } = useApp().state;
  if (!gallery.isLoaded.value) return null;
  if (gallery.pictures.value.length === 0) {
    return (
      <div class="canvas-empty">
        <EaselMark />
        <p class="empty-title">{t.gallery.emptyTitle}</p>
        <p>{t.gallery.emptyText}</p>
      </div>
    );
  }
  if (gallery.matching.value.length === 0) return <p class="quiet">{t.gallery.noMatch}</p>;
  return <PictureGrid pictures={gallery.matching.value} />;
}

/** Every picture that this browser keeps. */
export function GalleryView() {
  const { gallery } = useApp().state;
  const unreadable = gallery.unreadable.value;
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
          value={gallery.query.value}
          onInput={(event) => {
            gallery.query.value = event.currentTarget.value;
          }}
        />
      </div>
      <GalleryProblemNote />
      <Contents />
      <PictureDialog />
    </main>
  );
}
