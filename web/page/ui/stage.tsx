import type { Picture } from '../picture.ts';
import type { AppState } from '../state.ts';
import { t } from '../strings/strings.ts';
import { ApiPictures } from './api-pictures.tsx';
import { Canvas } from './canvas.tsx';
import { useApp } from './context.ts';
import { DownloadLink } from './download-link.tsx';
import { GalleryProblemNote } from './gallery-view.tsx';
import { PictureCaption } from './picture-caption.tsx';
import { ProblemNote } from './problem-note.tsx';
import { ProgressPanel } from './progress-panel.tsx';
import { SummaryNotes } from './summary-notes.tsx';
import { useObjectUrl } from './use-object-url.ts';

function Thumb({ picture, index, count }: { picture: Picture; index: number; count: number }) {
  const { state } = useApp();
  const url = useObjectUrl(picture.file);
  return (
    <div class="thumb">
      <button
        type="button"
        aria-pressed={state.selectedIndex.value === index}
        onClick={() => {
          state.selectedIndex.value = index;
        }}
      >
        {url && <img src={url} alt="" />}
        <span class="visually-hidden">{t.stage.choose(index + 1, count)}</span>
      </button>
      <DownloadLink picture={picture} isSmall />
    </div>
  );
}

/** What a screen reader says when a job begins and ends. */
function announcement({ job, pictures }: AppState): string {
  if (job.value) return t.stage.begun;
  return pictures.value.length > 0 ? t.stage.finished(pictures.value.length) : '';
}

/** What is made: preview, picture, its facts, and what went wrong. */
export function Stage() {
  const { state } = useApp();
  const pictures = state.pictures.value;
  const selected = pictures[state.selectedIndex.value];
  return (
    <section class="stage">
      <p class="visually-hidden" role="status">
        {announcement(state)}
      </p>
      <div class="mat">
        <Canvas />
      </div>
      <ProgressPanel />
      <ProblemNote problem={state.problem} />
      <GalleryProblemNote />
      {selected && <PictureCaption picture={selected} hasDownload={pictures.length === 1} />}
      {pictures.length > 1 && (
        <div class="thumbs">
          {pictures.map((picture, index) => (
            <Thumb key={picture.info.id} picture={picture} index={index} count={pictures.length} />
          ))}
        </div>
      )}
      <ApiPictures />
      <SummaryNotes />
    </section>
  );
}
