import type { Picture } from '../picture.ts';
import { t } from '../strings/strings.ts';
import { CopyButton } from './copy-button.tsx';
import { DownloadIcon } from './icons.tsx';
import { useObjectUrl } from './use-object-url.ts';

/** Facts of a picture, its download, and the infotext on demand. */
export function PictureCaption({ picture }: { picture: Picture }) {
  const { info, file } = picture;
  const url = useObjectUrl(file);
  return (
    <div class="caption">
      <div class="caption-line">
        <p class="facts">{t.stage.facts(info.width, info.height, info.seed)}</p>
        {url && (
          <a class="button" href={url} download={info.fileName}>
            <DownloadIcon />
            {t.stage.download}
          </a>
        )}
      </div>
      <details>
        <summary>{t.stage.details}</summary>
        <pre class="infotext">{info.infotext}</pre>
        <CopyButton
          text={info.infotext}
          label={t.stage.copyDetails}
          done={t.stage.copied}
          failed={t.connection.copyFailed}
        />
      </details>
    </div>
  );
}
