import { t } from '../strings/strings.ts';
import { AddressField } from './address-field.tsx';
import { useApp } from './context.ts';
import { EaselMark } from './icons.tsx';
import { useObjectUrl } from './use-object-url.ts';

/** Place of another program's preview, whose picture's size is not known yet. */
const PREVIEW_SIZE = { width: 512, height: 512 };

interface CanvasImageProps {
  readonly url: string;
  readonly alt: string;
  readonly width: number;
  readonly height: number;
}

/** A picture at its own size, or as large as the mat lets it be; a small preview takes the same place. */
export function CanvasImage({ url, alt, width, height }: CanvasImageProps) {
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

/** The preview while a picture is made, else the picture chosen, else an empty easel. */
export function Canvas() {
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
