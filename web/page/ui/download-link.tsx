import type { Picture } from '../picture.ts';
import { t } from '../strings/strings.ts';
import { DownloadIcon } from './icons.tsx';
import { useObjectUrl } from './use-object-url.ts';

/** Saves a picture's whole file under the name that the bridge would give it. */
export function DownloadLink({
  picture,
  isSmall = false,
}: {
  picture: Picture;
  isSmall?: boolean;
}) {
  const url = useObjectUrl(picture.file);
  if (!url) return null;
  return (
    <a class={isSmall ? 'button small' : 'button'} href={url} download={picture.info.fileName}>
      <DownloadIcon />
      {isSmall ? <span class="visually-hidden">{t.stage.download}</span> : t.stage.download}
    </a>
  );
}
