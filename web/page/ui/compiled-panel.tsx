import { useEffect, useState } from 'preact/hooks';
import type { CompiledInfo } from '../../shared/engine.ts';
import { deleteCompiled, keepStorage, readCompiled } from '../compiled-models.ts';
import { formatBytes } from '../format.ts';
import { t } from '../strings/strings.ts';
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

/** Deletes everything compiled after asking once. */
function DeleteAll() {
  const app = useApp();
  const [isAsking, setAsking] = useState(false);
  if (!isAsking) {
    return (
      <button type="button" onClick={() => setAsking(true)}>
        {t.compiled.removeAll}
      </button>
    );
  }
  return (
    <div class="ask">
      <span role="status">{t.compiled.removeAllQuestion}</span>
      <button
        type="button"
        class="danger"
        onClick={() => {
          setAsking(false);
          void deleteCompiled(app, null);
        }}
      >
        {t.compiled.removeAll}
      </button>
      <button type="button" onClick={() => setAsking(false)}>
        {t.compiled.keep}
      </button>
    </div>
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
      {models.length > 1 && <DeleteAll />}
    </section>
  );
}
