import { useEffect, useRef, useState } from 'preact/hooks';
import { beginWith, reuseSettings, sendToPngInfo } from '../actions.ts';
import { formOfPicture, stepPicture } from '../gallery.ts';
import { isOutput } from '../outputs.ts';
import type { PictureInfo } from '../picture.ts';
import { t } from '../strings/strings.ts';
import { CanvasImage } from './canvas.tsx';
import { useApp } from './context.ts';
import { DeleteButton } from './delete-button.tsx';
import { CloseIcon, NextIcon, PreviousIcon } from './icons.tsx';
import { PictureCaption } from './picture-caption.tsx';
import { useObjectUrl } from './use-object-url.ts';

/** The whole file of a picture; `missing` once it is known to be gone. */
function useFile(id: string): Blob | 'missing' | null {
  const { galleryStore } = useApp();
  const [file, setFile] = useState<Blob | 'missing' | null>(null);
  useEffect(() => {
    let isShown = true;
    setFile(null);
    galleryStore.file(id).then(
      (found) => isShown && setFile(found ?? 'missing'),
      () => isShown && setFile('missing'),
    );
    return () => {
      isShown = false;
    };
  }, [id, galleryStore]);
  return file;
}

function OpenPicture({ info }: { info: PictureInfo }) {
  const app = useApp();
  const { gallery } = app.state;
  const file = useFile(info.id);
  const url = useObjectUrl(file instanceof Blob ? file : null);
  return (
    <>
      <div class="viewer-bar">
        <button type="button" class="icon-button" onClick={() => stepPicture(gallery, -1)}>
          <PreviousIcon />
          <span class="visually-hidden">{t.gallery.previous}</span>
        </button>
        <button type="button" class="icon-button" onClick={() => stepPicture(gallery, 1)}>
          <NextIcon />
          <span class="visually-hidden">{t.gallery.next}</span>
        </button>
        <span class="viewer-space" />
        <button
          type="button"
          class="icon-button"
          onClick={() => {
            gallery.openId.value = null;
          }}
        >
          <CloseIcon />
          <span class="visually-hidden">{t.gallery.close}</span>
        </button>
      </div>
      <div class="mat">
        {file === 'missing' && <p class="quiet">{t.gallery.missing}</p>}
        {url && (
          <CanvasImage
            url={url}
            alt={t.stage.alt(info.prompt)}
            width={info.width}
            height={info.height}
          />
        )}
      </div>
      <p class="quiet">
        {new Date(info.createdAt).toLocaleString()}
        {isOutput(info.id) && ` · ${t.gallery.place} ${info.id.slice(info.id.indexOf(':') + 1)}`}
      </p>
      {file instanceof Blob && <PictureCaption picture={{ info, file }} hasDownload={true} />}
      <div class="viewer-actions">
        <button type="button" onClick={() => reuseSettings(app, formOfPicture(info))}>
          {t.gallery.reuse}
        </button>
        {file instanceof Blob && (
          <>
            <button type="button" onClick={() => void beginWith(app, file)}>
              {t.gallery.beginWith}
            </button>
            <button type="button" onClick={() => void sendToPngInfo(app, file)}>
              {t.gallery.toPngInfo}
            </button>
          </>
        )}
        <DeleteButton key={info.id} picture={info} />
      </div>
    </>
  );
}

/** One picture of the gallery at full size, over the grid. */
export function PictureDialog() {
  const { gallery } = useApp().state;
  const ref = useRef<HTMLDialogElement>(null);
  const info = gallery.all.value.find((picture) => picture.id === gallery.openId.value);
  const isOpen = info !== undefined;
  useEffect(() => {
    const dialog = ref.current;
    if (isOpen && dialog && !dialog.open) dialog.showModal();
    if (!isOpen) dialog?.close();
  }, [isOpen]);
  return (
    <dialog
      ref={ref}
      class="viewer"
      aria-label={t.gallery.viewer}
      onClose={() => {
        gallery.openId.value = null;
      }}
      onKeyDown={(event) => {
        if (event.key === 'ArrowLeft') stepPicture(gallery, -1);
        if (event.key === 'ArrowRight') stepPicture(gallery, 1);
      }}
    >
      {info && <OpenPicture info={info} />}
    </dialog>
  );
}
