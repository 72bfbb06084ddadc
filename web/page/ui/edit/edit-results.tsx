import type { EditSession } from '../../edit/edit-session.ts';
import type { Picture } from '../../picture.ts';
import { t } from '../../strings/strings.ts';
import { useApp } from '../context.ts';
import { DownloadLink } from '../download-link.tsx';
import { GalleryProblemNote } from '../gallery-view.tsx';
import { ProblemNote } from '../problem-note.tsx';
import { ProgressPanel } from '../progress-panel.tsx';
import { SummaryNotes } from '../summary-notes.tsx';
import { useObjectUrl } from '../use-object-url.ts';

interface ResultProps {
  readonly picture: Picture;
  readonly place: number;
  readonly onTake: () => void;
}

function Result({ picture, place, onTake }: ResultProps) {
  const url = useObjectUrl(picture.file);
  const { width, height, prompt } = picture.info;
  return (
    <li class="result">
      {url && <img src={url} alt={t.stage.alt(prompt)} width={width} height={height} />}
      <p class="facts">{t.edit.size(width, height)}</p>
      <div class="result-actions">
        <button type="button" title={t.edit.takeTitle(place)} onClick={onTake}>
          {t.edit.take}
        </button>
        <DownloadLink picture={picture} isSmall={true} />
      </div>
    </li>
  );
}

/** What the last job made, beside the canvas; one click puts it there. */
export function EditResults({ session }: { session: EditSession }) {
  const { state } = useApp();
  const pictures = state.pictures.value;
  const job = state.job.value;
  const preview = useObjectUrl(job && state.showsPreview.value ? state.preview.value : null);
  return (
    <section class="edit-results">
      <h2>{t.edit.results}</h2>
      <ProgressPanel />
      <ProblemNote problem={state.problem} />
      <GalleryProblemNote />
      {preview && <img class="result-preview" src={preview} alt={t.stage.previewAlt} />}
      {!job && pictures.length === 0 && <p class="quiet">{t.edit.resultsEmpty}</p>}
      <ul class="results">
        {pictures.map((picture, index) => (
          <Result
            key={picture.info.id}
            picture={picture}
            place={index + 1}
            onTake={() => void session.putPicture(picture.file)}
          />
        ))}
      </ul>
      <SummaryNotes />
    </section>
  );
}
