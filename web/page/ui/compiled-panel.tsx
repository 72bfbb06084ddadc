import { useEffect, useRef } from 'preact/hooks';
import type { CompiledInfo } from '../../shared/engine.ts';
import { deleteCompiled, keepStorage, readCompiled } from '../compiled-models.ts';
import { formatBytes } from '../format.ts';
import { exportCompiled, importCompiled } from '../model-archive.ts';
import { t } from '../strings/strings.ts';
import { AskButton } from './ask-button.tsx';
import { useApp } from './context.ts';
import { ProblemNote } from './problem-note.tsx';

function CompiledRow({ model }: { model: CompiledInfo }) {
  const app = useApp();
  const { key, name, family, precision, sizeBytes, lastUsedAt, isInUse } = model;
  const facts = [
    t.compiled.families[family],
    precision,
    formatBytes(sizeBytes),
    t.compiled.lastUsed(new Date(lastUsedAt).toLocaleString()),
    ...(isInUse ? [t.models.inMemory] : []),
  ];
  return (
    <li class="model-row">
      <div>
        <p class="model-name">{name}</p>
        <p class="quiet">{facts.join(' · ')}</p>
      </div>
      {model.isExportable && (
        <button
          type="button"
          class="push-right"
          disabled={app.state.compiled.busy.value !== null}
          onClick={() => void exportCompiled(app, model)}
        >
          {t.compiled.save}
          <span class="visually-hidden">
            {' '}
            {name}, {precision}
          </span>
        </button>
      )}
      <button type="button" onClick={() => void deleteCompiled(app, key)}>
        {t.compiled.remove}
        <span class="visually-hidden">
          {' '}
          {name}, {precision}
        </span>
      </button>
    </li>
  );
}

/** Takes a compiled model out of a file that was exported here or elsewhere. */
function ImportButton() {
  const app = useApp();
  const { busy } = app.state.compiled;
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" disabled={busy.value !== null} onClick={() => input.current?.click()}>
        {t.compiled.load}
      </button>
      <input
        ref={input}
        type="file"
        accept=".easel"
        aria-label={t.compiled.load}
        hidden
        onChange={(event) => {
          const [file] = event.currentTarget.files ?? [];
          if (file) void importCompiled(app, file);
          // Cleared, so that the same file can be chosen again.
          event.currentTarget.value = '';
        }}
      />
    </>
  );
}

/** What an export or import does or did. */
function ArchiveNotes() {
  const { busy, notes } = useApp().state.compiled;
  const lines = busy.value === null ? notes.value : [busy.value];
  return (
    <div role="status">
      {lines.map((line) => (
        <p key={line} class="quiet">
          {line}
        </p>
      ))}
    </div>
  );
}

/** Deletes everything compiled after asking once. */
function DeleteAll() {
  const app = useApp();
  return (
    <AskButton
      label={t.compiled.removeAll}
      question={t.compiled.removeAllQuestion}
      keep={t.compiled.keep}
      onConfirm={() => void deleteCompiled(app, null)}
    />
  );
}

/** Whether the browser may delete what is kept here, and how to ask it not to. */
function KeepLine() {
  const { state } = useApp();
  const kept = state.compiled.isKept.value;
  if (kept === null) return null;
  if (kept) return <p class="quiet">{t.compiled.isKept}</p>;
  return (
    <div class="ask">
      <span class="quiet">{t.compiled.mayGo}</span>
      <button type="button" onClick={() => void keepStorage(state)}>
        {t.compiled.ask}
      </button>
    </div>
  );
}

/** Compiled models in this browser: size, last use, and how to be rid of them. */
export function CompiledPanel() {
  const app = useApp();
  const { compiled, status, isRemote } = app.state;
  const inMemory = status.value.checkpoint;
  useEffect(() => {
    if (!app.state.isRemote.value) void readCompiled(app);
    // What is in memory changes what is compiled and in use.
  }, [app, inMemory]);
  const models = compiled.models.value;
  const use = compiled.storage.value;
  if (isRemote.value || models === null) return null;
  return (
    <section class="panel">
      <h2>{t.compiled.title}</h2>
      <ProblemNote problem={compiled.problem} />
      {models.length === 0 && <p class="quiet">{t.compiled.empty}</p>}
      <ul class="model-list">
        {models.map((model) => (
          <CompiledRow key={model.key} model={model} />
        ))}
      </ul>
      {use && (
        <p class="quiet">
          {t.models.storage(formatBytes(use.usedBytes), formatBytes(use.quotaBytes))}
        </p>
      )}
      <KeepLine />
      <ArchiveNotes />
      <ImportButton />
      {models.length > 1 && <DeleteAll />}
    </section>
  );
}
