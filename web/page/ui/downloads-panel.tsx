import { useId } from 'preact/hooks';
import type { DownloadView } from '../../../protocol/downloads/download-view.ts';
import { actOnDownload, isUnderWay, submitDownload } from '../downloads.ts';
import { formatBytes, formatDuration } from '../format.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

/** How far it is, how fast, how long still. */
function progressLine(view: DownloadView): string {
  const { doneBytes, totalBytes, bytesPerSecond, etaSeconds, state } = view;
  const size =
    totalBytes === null
      ? formatBytes(doneBytes)
      : t.downloads.of(formatBytes(doneBytes), formatBytes(totalBytes));
  return [
    t.downloads.states[state],
    ...(doneBytes > 0 || totalBytes !== null ? [size] : []),
    ...(bytesPerSecond === null ? [] : [t.downloads.speed(formatBytes(bytesPerSecond))]),
    ...(etaSeconds === null ? [] : [t.progress.left(formatDuration(etaSeconds))]),
  ].join(' · ');
}

function ActionButton({
  view,
  action,
  label,
}: {
  view: DownloadView;
  action: 'pause' | 'resume' | 'cancel';
  label: string;
}) {
  const app = useApp();
  return (
    <button type="button" onClick={() => void actOnDownload(app, view.id, action)}>
      {label}
      <span class="visually-hidden"> {view.title}</span>
    </button>
  );
}

function DownloadRow({ view }: { view: DownloadView }) {
  const { title, state, totalBytes, doneBytes, note, error } = view;
  return (
    <li class="model-row download-row">
      <div>
        <p class="model-name">{title}</p>
        <p class="quiet">{progressLine(view)}</p>
        {totalBytes !== null && totalBytes > 0 && state !== 'finished' && (
          <progress aria-label={title} max={totalBytes} value={doneBytes} />
        )}
        {note !== null && <p class="quiet">{note}</p>}
        {error && (
          <p class="field-problem" role="alert">
            {error.message}
          </p>
        )}
      </div>
      {isUnderWay(view) && <ActionButton view={view} action="pause" label={t.downloads.pause} />}
      {state === 'paused' && (
        <ActionButton view={view} action="resume" label={t.downloads.resume} />
      )}
      {state === 'failed' && <ActionButton view={view} action="resume" label={t.downloads.retry} />}
      <ActionButton
        view={view}
        action="cancel"
        label={state === 'finished' ? t.downloads.dismiss : t.downloads.cancel}
      />
    </li>
  );
}

function KindField() {
  const { kind } = useApp().state.downloads;
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{t.downloads.kind}</label>
      <select
        id={id}
        value={kind.value ?? ''}
        onChange={({ currentTarget }) => {
          const found = t.downloads.kinds.find(([value]) => value === currentTarget.value);
          kind.value = found?.[0] ?? null;
        }}
      >
        <option value="">{t.downloads.kindAuto}</option>
        {t.downloads.kinds.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Keys for hosts that ask who downloads; held by this page alone, and for its life. */
function AccessKeys() {
  const { hubToken, civitaiToken } = useApp().state.downloads;
  return (
    <details>
      <summary>{t.downloads.keys}</summary>
      <div class="access-keys">
        <p class="quiet">{t.downloads.keysHint}</p>
        {(
          [
            [t.downloads.hubToken, hubToken],
            [t.downloads.civitaiToken, civitaiToken],
          ] as const
        ).map(([label, key]) => (
          <label key={label} class="field">
            <span>{label}</span>
            <input
              type="password"
              autocomplete="off"
              value={key.value}
              onInput={({ currentTarget }) => {
                key.value = currentTarget.value;
              }}
            />
          </label>
        ))}
      </div>
    </details>
  );
}

/** Downloads: a field for an id or an address, and what is on its way. */
export function DownloadsPanel() {
  const app = useApp();
  const { views, problem, reference } = app.state.downloads;
  const id = useId();
  if (!app.downloader) return null;
  return (
    <section class="panel">
      <h2>{t.downloads.title}</h2>
      <form
        class="download-form"
        onSubmit={(event) => {
          event.preventDefault();
          void submitDownload(app);
        }}
      >
        <div class="field">
          <label for={id}>{t.downloads.reference}</label>
          <input
            id={id}
            type="text"
            autocomplete="off"
            spellcheck={false}
            placeholder={t.downloads.placeholder}
            value={reference.value}
            onInput={({ currentTarget }) => {
              reference.value = currentTarget.value;
            }}
          />
        </div>
        <KindField />
        <button type="submit" disabled={reference.value.trim() === ''}>
          {t.downloads.start}
        </button>
      </form>
      <p class="quiet">
        {app.state.server.value === 'static' ? t.downloads.intoBrowser : t.downloads.intoFolder}
      </p>
      {problem.value && (
        <p class="field-problem" role="alert">
          {problem.value.message}
        </p>
      )}
      <ul class="model-list">
        {views.value.map((view) => (
          <DownloadRow key={view.id} view={view} />
        ))}
      </ul>
      <AccessKeys />
    </section>
  );
}
