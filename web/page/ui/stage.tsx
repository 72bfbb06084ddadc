import type { Picture } from '../picture.ts';
import type { AppState } from '../state.ts';
import { t } from '../strings/strings.ts';
import { AddressField } from './address-field.tsx';
import { ApiPictures } from './api-pictures.tsx';
import { useApp } from './context.ts';
import { DownloadLink } from './download-link.tsx';
import { GalleryProblemNote } from './gallery-view.tsx';
import { EaselMark } from './icons.tsx';
import { PictureCaption } from './picture-caption.tsx';
import { ProblemNote } from './problem-note.tsx';
import { ProgressPanel } from './progress-panel.tsx';
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

/** Place of another program's preview, whose picture's size is not known yet. */
const PREVIEW_SIZE = { width: 512, height: 512 };

interface CanvasImageProps {
  readonly url: string;
  readonly alt: string;
  readonly width: number;
  readonly height: number;
}

/** A picture at its own size, or as large as the mat lets it be; a small preview takes the same place. */
function CanvasImage({ url, alt, width, height }: CanvasImageProps) {
  return (
    <img
      class="canvas"
      src={url}
      alt={alt}
      width={width}
      height={height}
      style={{ '--w': width, '--h': height }}
    />
  );
}

function Canvas() {
  const { state } = useApp();
  const job = state.job.value;
  const picture = state.pictures.value[state.selectedIndex.value];
  const apiJob = state.apiJobs.current.value;
  const previewUrl = useObjectUrl(job ? state.preview.value : (apiJob?.preview ?? null));
  const pictureUrl = useObjectUrl(picture?.file ?? null);
  if (previewUrl && state.showsPreview.value) {
    const { width, height } = job?.params ?? PREVIEW_SIZE;
    return <CanvasImage url={previewUrl} alt={t.stage.previewAlt} width={width} height={height} />;
  }
  if (picture && pictureUrl) {
    const { width, height, prompt } = picture.info;
    return <CanvasImage url={pictureUrl} alt={t.stage.alt(prompt)} width={width} height={height} />;
  }
  return (
    <div class="canvas-empty">
      <EaselMark />
      {!job && <p class="empty-title">{t.stage.emptyTitle}</p>}
      {!job && <p>{t.stage.emptyText}</p>}
      {!job && state.server.value === 'bridge' && (
        <div class="serving">
          <p>{t.connection.serving}</p>
          <AddressField />
        </div>
      )}
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
  const summary = state.summary.value;
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
      {summary && summary.notes.length > 0 && (
        <ul class="notes">
          {summary.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      {summary?.interrupted && (
        <p class="quiet">{pictures.length > 0 ? t.stage.interrupted : t.stage.nothingMade}</p>
      )}
    </section>
  );
}
