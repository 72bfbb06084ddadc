import { showOnStage } from '../actions.ts';
import type { ApiPicture } from '../api-jobs.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { useObjectUrl } from './use-object-url.ts';

function ApiThumb({ made }: { made: ApiPicture }) {
  const app = useApp();
  const { picture, client } = made;
  const url = useObjectUrl(picture.file);
  return (
    <li class="thumb">
      <button type="button" title={client} onClick={() => showOnStage(app, picture)}>
        {url && <img src={url} alt="" />}
        <span class="visually-hidden">{t.stage.showPicture(client)}</span>
      </button>
    </li>
  );
}

/** The newest pictures that other programs have had made; the bridge has saved them. */
export function ApiPictures() {
  const made = useApp().state.apiJobs.pictures.value;
  if (made.length === 0) return null;
  return (
    <div class="api-pictures">
      <h2>{t.stage.apiPictures}</h2>
      <ul class="thumbs">
        {made.map((entry) => (
          <ApiThumb key={entry.picture.info.id} made={entry} />
        ))}
      </ul>
    </div>
  );
}
