import { sendToEdit } from '../actions.ts';
import { writeLink } from '../deep-link.ts';
import { formOfPicture } from '../gallery.ts';
import type { Picture } from '../picture.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { CopyButton } from './copy-button.tsx';
import { DownloadLink } from './download-link.tsx';

/** Facts of a picture, its download, and the infotext on demand. */
export function PictureCaption({
  picture,
  hasDownload,
}: {
  picture: Picture;
  hasDownload: boolean;
}) {
  const app = useApp();
  const { state } = app;
  const { info } = picture;
  return (
    <div class="caption">
      <div class="caption-line">
        <p class="facts">{t.stage.facts(info.width, info.height, info.seed)}</p>
        <div class="caption-actions">
          <button type="button" onClick={() => sendToEdit(app, picture.file)}>
            {t.edit.send}
          </button>
          {hasDownload && <DownloadLink picture={picture} />}
        </div>
      </div>
      <details>
        <summary>{t.stage.details}</summary>
        <pre class="infotext">{info.infotext}</pre>
        <div class="actions">
          <CopyButton
            text={info.infotext}
            label={t.stage.copyDetails}
            done={t.stage.copied}
            failed={t.stage.copyFailed}
          />
          <CopyButton
            text={writeLink(state.baseUrl.value, formOfPicture(info))}
            label={t.stage.copyLink}
            done={t.stage.copied}
            failed={t.stage.copyFailed}
          />
        </div>
      </details>
    </div>
  );
}
