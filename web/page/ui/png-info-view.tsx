import { beginWith, inspectPicture, reuseSettings, sendToEdit } from '../actions.ts';
import { formOfInfotext, type PictureText } from '../png-info.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { CopyButton } from './copy-button.tsx';
import { FileDrop } from './file-drop.tsx';
import { useObjectUrl } from './use-object-url.ts';

function Texts({ text, file }: { text: PictureText; file: Blob }) {
  const app = useApp();
  const { infotext, others } = text;
  return (
    <>
      <h2>{t.pngInfo.parameters}</h2>
      {infotext === null ? (
        <p class="quiet">{t.pngInfo.none}</p>
      ) : (
        <pre class="infotext">{infotext}</pre>
      )}
      <div class="actions">
        {infotext !== null && (
          <>
            <button
              type="button"
              class="primary"
              onClick={() => reuseSettings(app, formOfInfotext(infotext))}
            >
              {t.pngInfo.reuse}
            </button>
            <CopyButton
              text={infotext}
              label={t.pngInfo.copy}
              done={t.stage.copied}
              failed={t.stage.copyFailed}
            />
          </>
        )}
        <button type="button" onClick={() => void beginWith(app, file)}>
          {t.pngInfo.beginWith}
        </button>
        <button type="button" onClick={() => sendToEdit(app, file)}>
          {t.edit.send}
        </button>
      </div>
      {others.length > 0 && <h2>{t.pngInfo.others}</h2>}
      {others.map(([keyword, value]) => (
        <details key={keyword}>
          <summary>{keyword}</summary>
          <pre class="infotext">{value}</pre>
        </details>
      ))}
    </>
  );
}

function Inspected() {
  const inspected = useApp().state.inspected.value;
  const isPicture = inspected !== null && typeof inspected.outcome !== 'string';
  const url = useObjectUrl(isPicture ? inspected.file : null);
  if (!inspected) return null;
  const { outcome, file } = inspected;
  if (typeof outcome === 'string') {
    return (
      <p class="problem" role="alert">
        {t.problems.file[outcome]}
      </p>
    );
  }
  return (
    <section class="panel inspected">
      <div class="inspected-picture">{url && <img src={url} alt={t.pngInfo.alt} />}</div>
      <div class="inspected-texts">
        <Texts text={outcome} file={file} />
      </div>
    </section>
  );
}

/** Reads the settings that a picture carries. */
export function PngInfoView() {
  const app = useApp();
  return (
    <main class="page" id="content">
      <h1>{t.pngInfo.title}</h1>
      <FileDrop
        text={t.pngInfo.drop}
        button={t.pngInfo.choose}
        onFile={(file) => void inspectPicture(app, file)}
      />
      <p class="quiet">{t.pngInfo.hint}</p>
      <Inspected />
    </main>
  );
}
